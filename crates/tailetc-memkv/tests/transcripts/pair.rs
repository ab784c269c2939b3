//! A server, the fake that imitates it, and `etcdctl` for both.

use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::time::Duration;

use tailetc_testkit::etcd_server::{EtcdServer, EtcdServerOptions};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::normal::Own;
use crate::watching::Watching;

/// Nothing here takes longer unless it hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The same commands go to both.
pub(crate) struct Pair {
    pub(crate) real: Side,
    pub(crate) fake: Side,
    _server: EtcdServer,
    _memkv: Child,
}

/// One of the two, as `etcdctl` sees it.
pub(crate) struct Side {
    etcdctl: PathBuf,
    pub(crate) own: Own,
}

/// What a command left behind, without what may differ.
#[derive(Debug, PartialEq, Eq)]
struct Printed {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Pair {
    pub(crate) async fn start() -> Self {
        let options = EtcdServerOptions::default().with_default_min_ttl();
        let server = EtcdServer::start_with(options).await.expect("starting etcd");
        server.storage_version_settled().await.expect("a storage version");
        let etcdctl = server.etcdctl_path().to_owned();
        let (memkv, address) = start_memkv(server.version()).await;
        let real = server.url().replace("http://", "");
        let version = server.version().to_owned();
        let side = |address| Side {
            etcdctl: etcdctl.clone(),
            own: Own { address, version: version.clone(), leases: Vec::new() },
        };
        Self { real: side(real), fake: side(address), _server: server, _memkv: memkv }
    }

    /// Runs `etcdctl` with the words of `command`. `{lease0}` is the first lease granted.
    pub(crate) async fn ctl(&mut self, command: &str) {
        self.ctl_with(command, "").await;
    }

    /// The same in each format that it can print.
    pub(crate) async fn ctl_in_all_formats(&mut self, command: &str) {
        for format in ["simple", "json", "fields"] {
            self.ctl(&format!("{command} -w {format}")).await;
        }
    }

    /// Runs `etcdctl` with an input.
    pub(crate) async fn ctl_with(&mut self, command: &str, input: &str) {
        let (real, fake) =
            tokio::join!(self.real.run(command, input), self.fake.run(command, input));
        assert_eq!(
            fake, real,
            "memkv on the left, etcd on the right: etcdctl {command} <{input:?}"
        );
    }

    /// Begins `etcdctl watch` with the words of `arguments`.
    pub(crate) fn watch(&self, arguments: &str) -> Watching {
        Watching::start(self, arguments)
    }
}

impl Side {
    pub(crate) fn command(&self, command: &str) -> Command {
        let mut etcdctl = Command::new(&self.etcdctl);
        etcdctl.env("ETCDCTL_API", "3").arg(format!("--endpoints={}", self.own.address));
        for word in command.split_whitespace() {
            let mut word = word.to_owned();
            for (at, lease) in self.own.leases.iter().enumerate() {
                word = word.replace(&format!("{{lease{at}}}"), lease);
            }
            etcdctl.arg(word);
        }
        etcdctl.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        etcdctl.kill_on_drop(true);
        etcdctl
    }

    pub(crate) fn normal(&self, text: &[u8]) -> String {
        self.own.without(&String::from_utf8_lossy(text))
    }

    async fn run(&mut self, command: &str, input: &str) -> Printed {
        let mut child = self.command(command).spawn().expect("etcdctl can be run");
        let mut stdin = child.stdin.take().expect("it is piped");
        stdin.write_all(input.as_bytes()).await.expect("etcdctl reads its input");
        drop(stdin);
        let output = timeout(PATIENCE, child.wait_with_output()).await;
        let output = output.unwrap_or_else(|_| panic!("etcdctl {command} does not end"));
        let Output { status, stdout, stderr } = output.expect("etcdctl can be waited for");
        if command.starts_with("lease grant") {
            let text = String::from_utf8_lossy(&stdout);
            let id = text.strip_prefix("lease ").and_then(|text| text.split(' ').next());
            self.own.leases.extend(id.map(str::to_owned));
        }
        let (out, err) = (self.normal(&stdout), self.normal(&stderr));
        Printed { code: status.code(), out, err }
    }
}

/// Returns the process and the address from the first line of its output.
async fn start_memkv(imitate: &str) -> (Child, String) {
    let mut memkv = Command::new(env!("CARGO_BIN_EXE_memkv"))
        .args(["--listen=127.0.0.1:0", &format!("--imitate={imitate}")])
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("memkv can be run");
    let stdout = memkv.stdout.take().expect("it is piped");
    let first = BufReader::new(stdout).lines().next_line().await.expect("memkv prints");
    let address = first.as_deref().and_then(|line| line.strip_prefix("memkv listens on "));
    let address = address.expect("its first line has the address").to_owned();
    (memkv, address)
}
