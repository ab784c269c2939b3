//! A real etcd server for tests, as a child process: [`EtcdServer`].
//!
//! The binary is the one that the environment variable `TAILETC_ETCD` names; `etcdctl` is the one
//! that `TAILETC_ETCDCTL` names, or else the one beside it. `./test.sh tools` installs several
//! versions, and `./test.sh etcd` runs the tests with each of them. Without the variable a start
//! fails: a test that needs etcd is never skipped.
//!
//! The binary may also be `memkv`, this workspace's fake, which imitates the release that
//! `TAILETC_IMITATE` names, or the newest. It keeps nothing when it ends, so that a
//! [`restart`](EtcdServer::restart) finds an empty store, and it has no TLS.
//!
//! A server ends with the test process, however that ends, and takes its data along.

mod args;
pub(crate) mod binary;
mod error;
pub(crate) mod guard;
pub(crate) mod health;
mod options;
pub(crate) mod port;

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

use self::binary::{Binary, Kind};
pub use self::error::EtcdServerError;
use self::guard::Guard;
pub use self::options::{EtcdServerOptions, EtcdServerTls};

/// How long a server may take to begin or to stop serving.
const PATIENCE: Duration = Duration::from_secs(60);
/// How many ports are tried when another process takes the chosen one first.
const PORT_ATTEMPTS: usize = 5;

/// A single-member etcd cluster on a port and a data directory of its own. Dropping it kills the
/// server and removes the data.
#[derive(Debug)]
pub struct EtcdServer {
    binary: Binary,
    /// What it says its version is.
    version: String,
    options: EtcdServerOptions,
    port: u16,
    /// For `/health` and `/metrics` over plain HTTP, when `port` speaks TLS.
    metrics_port: Option<u16>,
    dir: PathBuf,
    /// `None` while the server is down.
    process: Option<Guard>,
}

impl EtcdServer {
    /// Starts a server with the default [`EtcdServerOptions`] and waits until it serves.
    ///
    /// # Errors
    ///
    /// Those of [`EtcdServer::start_with`].
    ///
    /// # Cancel safety
    ///
    /// A dropped future leaves no process behind.
    pub async fn start() -> Result<Self, EtcdServerError> {
        Self::start_with(EtcdServerOptions::default()).await
    }

    /// Starts a server and waits until it serves.
    ///
    /// # Errors
    ///
    /// When there is no binary, or the server ends or does not serve within a minute; with the
    /// end of its log.
    ///
    /// # Cancel safety
    ///
    /// A dropped future leaves no process behind.
    pub async fn start_with(options: EtcdServerOptions) -> Result<Self, EtcdServerError> {
        let binary = match &options.binary {
            Some(path) => Binary::at(path.clone()).await?,
            None => Binary::from_env().await?,
        };
        if matches!(binary.kind, Kind::Memkv { .. }) && options.tls.is_some() {
            return Err(EtcdServerError::new("memkv has no TLS"));
        }
        let mut attempts = PORT_ATTEMPTS;
        loop {
            attempts -= 1;
            let port = port::free()?;
            let metrics_port = options.tls.is_some().then(port::free).transpose()?;
            let dir = data_dir(port)?;
            let mut server = Self {
                binary: binary.clone(),
                version: String::new(),
                options: options.clone(),
                port,
                metrics_port,
                dir,
                process: None,
            };
            match server.launch().await {
                Err(error) if error.is_port_taken() && attempts > 0 => {}
                Err(error) => return Err(error),
                Ok(()) => {
                    server.version = server.ask_version().await?;
                    return Ok(server);
                }
            }
        }
    }

    /// The URL for clients, such as `http://127.0.0.1:12345`.
    pub fn url(&self) -> String {
        let scheme = match self.options.tls {
            Some(_) => "https",
            None => "http",
        };
        format!("{scheme}://127.0.0.1:{}", self.port)
    }

    /// The server's version, such as `3.5.30`.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Waits until the server tells the storage version that it keeps, as servers from 3.6 on do
    /// some seconds after their start: they begin with none, or with that of an older release
    /// (etcd: `server/etcdserver/server.go`, `monitorStorageVersion`). It is a part of their status.
    /// Others have none to wait for.
    ///
    /// # Errors
    ///
    /// When a minute does not suffice.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn storage_version_settled(&self) -> Result<(), EtcdServerError> {
        let settled = async {
            while !health::storage_version_is_settled(&self.http_get("/version").await?) {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Ok(())
        };
        let late = |_| EtcdServerError::new("etcd does not settle on a storage version");
        timeout(PATIENCE, settled).await.map_err(late)?
    }

    /// The directory that the server keeps its data in.
    pub fn data_dir(&self) -> &Path {
        &self.dir
    }

    /// The `etcdctl` that goes with the server.
    pub fn etcdctl_path(&self) -> &Path {
        &self.binary.etcdctl
    }

    /// Kills the server at once (SIGKILL). The data stays for [`restart`](Self::restart).
    ///
    /// # Errors
    ///
    /// When the process cannot be waited for.
    ///
    /// # Cancel safety
    ///
    /// A dropped future kills the server all the same.
    pub async fn kill(&mut self) -> Result<(), EtcdServerError> {
        match self.process.take() {
            Some(process) => process.kill().await,
            None => Ok(()),
        }
    }

    /// Lets the server shut down by itself (SIGTERM) and waits for its end.
    ///
    /// # Errors
    ///
    /// When it does not end within a minute; then it is killed.
    ///
    /// # Cancel safety
    ///
    /// A dropped future kills the server.
    pub async fn stop(&mut self) -> Result<(), EtcdServerError> {
        let Some(mut process) = self.process.take() else {
            return Ok(());
        };
        process.signal("TERM").await?;
        let stopped = timeout(PATIENCE, process.exited()).await;
        process.kill().await?;
        stopped.map_err(|_| EtcdServerError::new("etcd does not stop within a minute of SIGTERM"))
    }

    /// Kills the server if it runs, and starts it with the same port, data and options.
    ///
    /// # Errors
    ///
    /// Those of [`EtcdServer::start_with`].
    ///
    /// # Cancel safety
    ///
    /// A dropped future leaves the server down for good, without its data.
    pub async fn restart(&mut self) -> Result<(), EtcdServerError> {
        self.kill().await?;
        self.launch().await
    }

    /// Freezes the server (SIGSTOP): connections stay open and nothing answers.
    ///
    /// # Errors
    ///
    /// When the server does not run.
    pub async fn pause(&mut self) -> Result<(), EtcdServerError> {
        self.running()?.signal("STOP").await
    }

    /// Lets a frozen server go on (SIGCONT).
    ///
    /// # Errors
    ///
    /// When the server does not run.
    pub async fn resume(&mut self) -> Result<(), EtcdServerError> {
        self.running()?.signal("CONT").await
    }

    /// Runs `etcdctl` (API version 3) against this server and returns its standard output.
    ///
    /// # Errors
    ///
    /// When it fails, with its standard error.
    ///
    /// # Cancel safety
    ///
    /// A dropped future kills `etcdctl`; what it asked for may have been done.
    pub async fn etcdctl(&self, args: &[&str]) -> Result<String, EtcdServerError> {
        let mut command = Command::new(&self.binary.etcdctl);
        command
            .env("ETCDCTL_API", "3")
            .arg(format!("--endpoints={}", self.url()))
            .args(args)
            .kill_on_drop(true);
        if let Some(tls) = &self.options.tls {
            command.args(tls.etcdctl_args());
        }
        let output =
            command.output().await.map_err(|e| EtcdServerError::io("etcdctl cannot be run", e))?;
        if !output.status.success() {
            return Err(EtcdServerError::new(format!(
                "etcdctl {args:?} failed: {}",
                String::from_utf8_lossy(&output.stderr).trim()
            )));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Compacts the history up to `revision`.
    ///
    /// # Errors
    ///
    /// When the server refuses.
    ///
    /// # Cancel safety
    ///
    /// After a drop the compaction may have been done.
    pub async fn compact(&self, revision: i64) -> Result<(), EtcdServerError> {
        self.etcdctl(&["compact", &revision.to_string()]).await.map(drop)
    }

    /// The answer, headers and body, to an HTTP GET, such as that of `/metrics`.
    ///
    /// # Errors
    ///
    /// When there is no answer.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn http_get(&self, path: &str) -> Result<String, EtcdServerError> {
        health::get(self.http_port(), path)
            .await
            .map_err(|e| EtcdServerError::io(format!("GET {path} failed"), e))
    }

    /// The port of plain HTTP.
    fn http_port(&self) -> u16 {
        self.metrics_port.unwrap_or(self.port)
    }

    fn running(&mut self) -> Result<&mut Guard, EtcdServerError> {
        self.process.as_mut().ok_or_else(|| EtcdServerError::new("the etcd server is down"))
    }

    async fn launch(&mut self) -> Result<(), EtcdServerError> {
        let log = self.dir.with_extension("log");
        let mut process = Guard::spawn(&self.binary.path, &self.args(), &self.dir, &log).await?;
        let failure = tokio::select! {
            () = health::serving(self.http_port()) => {
                self.process = Some(process);
                return Ok(());
            }
            () = process.exited() => "etcd ended while it was starting",
            () = tokio::time::sleep(PATIENCE) => "etcd does not serve a minute after its start",
        };
        let error = EtcdServerError::with_log(failure, &log);
        process.kill().await?;
        Err(error)
    }

    async fn ask_version(&self) -> Result<String, EtcdServerError> {
        if let Kind::Etcd { version, .. } = &self.binary.kind {
            return Ok(version.clone());
        }
        let answer = self.http_get("/version").await?;
        let version = answer.split_once(r#""etcdserver":""#).and_then(|(_, rest)| {
            let (version, _) = rest.split_once('"')?;
            Some(version.to_owned())
        });
        version.ok_or_else(|| EtcdServerError::new(format!("no version: {answer}")))
    }
}

impl Drop for EtcdServer {
    fn drop(&mut self) {
        // A running server's guard removes the data once the server is dead.
        if self.process.is_none() {
            guard::remove_data(&self.dir);
        }
    }
}

fn data_dir(port: u16) -> Result<PathBuf, EtcdServerError> {
    let dir = std::env::temp_dir().join(format!("tailetc-etcd-{}-{port}", std::process::id()));
    guard::remove_data(&dir);
    std::fs::create_dir_all(&dir)
        .map_err(|e| EtcdServerError::io("the data directory cannot be made", e))?;
    Ok(dir)
}
