//! `etcdctl watch` on both servers, for as long as a test wants.

use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout};
use tokio::time::timeout;

use crate::normal::Own;
use crate::pair::{PATIENCE, Pair, Side};

/// Dropping it kills both.
pub(crate) struct Watching {
    arguments: String,
    real: Watch,
    fake: Watch,
}

struct Watch {
    child: Child,
    stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
    own: Own,
}

impl Watching {
    pub(crate) fn start(pair: &Pair, arguments: &str) -> Self {
        let start = |side| Watch::start(side, arguments);
        Self { arguments: arguments.to_owned(), real: start(&pair.real), fake: start(&pair.fake) }
    }

    /// Writes a line for an interactive watch to read.
    pub(crate) async fn enter(&mut self, line: &str) {
        for watch in [&mut self.real, &mut self.fake] {
            let written = watch.stdin.write_all(format!("{line}\n").as_bytes()).await;
            written.expect("etcdctl reads its input");
        }
    }

    /// Waits for a line that contains `text`, and compares all lines up to it.
    pub(crate) async fn until(&mut self, text: &str) {
        let (real, fake) = tokio::join!(self.real.until(text), self.fake.until(text));
        assert_eq!(fake, real, "memkv left, etcd right: etcdctl watch {}", self.arguments);
    }

    /// Waits for the end of both, and compares what they printed since.
    pub(crate) async fn end(self) {
        let (real, fake) = tokio::join!(self.real.end(), self.fake.end());
        assert_eq!(fake, real, "memkv left, etcd right: etcdctl watch {}", self.arguments);
    }
}

impl Watch {
    fn start(side: &Side, arguments: &str) -> Self {
        let mut command = side.command(&format!("watch {arguments}"));
        let mut child = command.stderr(Stdio::piped()).spawn().expect("etcdctl can be run");
        let stdin = child.stdin.take().expect("it is piped");
        let stdout = child.stdout.take().expect("it is piped");
        Self { child, stdin, lines: BufReader::new(stdout).lines(), own: side.own.clone() }
    }

    async fn until(&mut self, text: &str) -> String {
        let mut printed = String::new();
        let read = async {
            while let Some(line) = self.lines.next_line().await.expect("etcdctl prints text") {
                printed += &line;
                printed += "\n";
                if line.contains(text) {
                    return true;
                }
            }
            false
        };
        let found = timeout(PATIENCE, read).await;
        assert_eq!(found, Ok(true), "{text:?} was waited for, and this came: {printed}");
        self.own.without(&printed)
    }

    async fn end(mut self) -> (Option<i32>, String, String) {
        let mut printed = String::new();
        let mut errors = String::new();
        let mut stderr = self.child.stderr.take().expect("it is piped");
        let end = async {
            while let Some(line) = self.lines.next_line().await.expect("etcdctl prints text") {
                printed += &line;
                printed += "\n";
            }
            stderr.read_to_string(&mut errors).await.expect("etcdctl prints text");
            self.child.wait().await.expect("etcdctl can be waited for").code()
        };
        let code = timeout(PATIENCE, end).await.expect("etcdctl watch does not end");
        (code, self.own.without(&printed), self.own.without(&errors))
    }
}
