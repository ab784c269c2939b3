//! A registry as a child process.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::{Http, PATIENCE, binary, eventually};

/// A directory of its own, removed when it is dropped.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("tailetc-registry-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).expect("a temporary directory");
        Self(path)
    }

    /// A file to import: `count` services whose names are `prefix` and six digits, each with a
    /// description of `size` bytes.
    pub(crate) fn services(&self, prefix: &str, count: usize, size: usize) -> String {
        let mut lines = String::new();
        let description = "d".repeat(size);
        for number in 0..count {
            let service = format!(r#"{{"version":"{number}","description":"{description}"}}"#);
            writeln!(lines, r#"{{"name":"{prefix}{number:06}","service":{service}}}"#)
                .expect("a string takes all");
        }
        self.file("services.jsonl", &lines)
    }

    /// A file with this text; its path.
    pub(crate) fn file(&self, name: &str, text: &str) -> String {
        let path = self.0.join(name);
        std::fs::write(&path, text).expect("a file in a temporary directory");
        path.to_str().expect("a path of text").to_owned()
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.0.join(name)).unwrap_or_default()
    }

    fn create(&self, name: &str) -> Stdio {
        std::fs::File::create(self.0.join(name)).expect("a file in a temporary directory").into()
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed is left to the system.
        let _ = std::fs::remove_dir_all(self.path());
    }
}

/// A running registry. Killed when it is dropped.
pub(crate) struct Registry {
    child: Child,
    output: Scratch,
}

/// How a registry ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// None if a signal killed it.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Registry {
    /// Starts the program on a free port, unless `args` names one.
    pub(crate) fn spawn(args: &[&str]) -> Self {
        let output = Scratch::new();
        let listen: &[&str] =
            if args.contains(&"--listen") { &[] } else { &["--listen", "127.0.0.1:0"] };
        let child = Command::new(binary::path())
            .args(listen)
            .args(args)
            .stdin(Stdio::null())
            .stdout(output.create("stdout"))
            .stderr(output.create("stderr"))
            .kill_on_drop(true)
            .spawn()
            .expect("starting the registry");
        Self { child, output }
    }

    /// Starts the program, and returns when it serves.
    pub(crate) async fn serve(args: &[&str]) -> (Self, Http) {
        let mut registry = Self::spawn(args);
        let http = registry.serving().await;
        (registry, http)
    }

    /// Waits until it serves.
    pub(crate) async fn serving(&mut self) -> Http {
        let url = eventually("a registry that serves", async || {
            assert!(self.is_running(), "it ended: {}", self.stderr());
            let stdout = self.stdout();
            let (url, _) = stdout.split_once("listening on ")?.1.split_once(',')?;
            Some(url.to_owned())
        });
        Http::new(url.await)
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("the state of a child").is_none()
    }

    pub(crate) fn stdout(&self) -> String {
        self.output.read("stdout")
    }

    pub(crate) fn stderr(&self) -> String {
        self.output.read("stderr")
    }

    /// Sends a signal, such as `INT`.
    pub(crate) async fn signal(&self, name: &str) {
        let id = self.child.id().expect("a running process").to_string();
        // Not every system has `kill` as a program; every shell has it.
        let status = Command::new("sh").args(["-c", "kill -s $0 $1", name, &id]).status().await;
        assert!(status.expect("running sh").success());
    }

    /// Waits until it ends by itself.
    pub(crate) async fn ended(mut self) -> Ended {
        let status = timeout(PATIENCE, self.child.wait()).await.expect("an end in time");
        let code = status.expect("the state of a child").code();
        Ended { code, stdout: self.stdout(), stderr: self.stderr() }
    }

    /// Stops it as Ctrl-C does, and checks that it stopped well.
    pub(crate) async fn stop(self) {
        self.signal("INT").await;
        let ended = self.ended().await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
    }
}
