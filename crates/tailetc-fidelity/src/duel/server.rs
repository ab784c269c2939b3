//! The servers of a duel.

use std::path::PathBuf;
use std::time::Duration;

use tailetc_memkv::{EtcdVersion, Fault, ManualClock, MemKv, grpc};
use tailetc_testkit::etcd_server::{EtcdServer, EtcdServerError, EtcdServerOptions};
use tokio::process::Command;

/// A kind of server.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Kind {
    /// The etcd binary that `TAILETC_ETCD` names.
    Etcd,
    /// The etcd binary at this path.
    EtcdAt(PathBuf),
    /// memkv, imitating the version of the other server, with this mistake if any.
    Memkv(Option<Fault>),
}

/// A server does not start, or cannot be reached.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Broken {
    #[error("{0}")]
    Etcd(#[from] EtcdServerError),
    #[error("the server cannot be reached")]
    Connection(#[from] tonic::transport::Error),
    #[error("a server cannot be run")]
    Run(#[from] std::io::Error),
    #[error("{0}")]
    Other(String),
}

#[derive(Debug)]
pub(super) enum Server {
    Etcd(Box<EtcdServer>),
    Memkv(grpc::Server, ManualClock),
}

impl Server {
    /// Starts a server; memkv imitates `version`.
    pub(super) async fn start(kind: &Kind, version: Option<&str>) -> Result<Self, Broken> {
        // Idle servers cost half as much as with the launcher's interval.
        let options = EtcdServerOptions::default().with_arg("--heartbeat-interval=20");
        let options = match kind {
            Kind::Etcd => options,
            Kind::EtcdAt(path) => options.with_binary(path),
            Kind::Memkv(fault) => return memkv(version, *fault).await,
        };
        let server = EtcdServer::start_with(options).await?;
        server.storage_version_settled().await?;
        Ok(Self::Etcd(Box::new(server)))
    }

    pub(super) fn url(&self) -> String {
        match self {
            Self::Etcd(server) => server.url(),
            Self::Memkv(server, _) => server.url(),
        }
    }

    /// The version of an etcd.
    pub(super) fn version(&self) -> Option<&str> {
        match self {
            Self::Etcd(server) => Some(server.version()),
            Self::Memkv(..) => None,
        }
    }

    /// Lets time pass on a server that has a clock of its own.
    pub(super) fn advance(&self, time: Duration) {
        match self {
            Self::Etcd(_) => {}
            Self::Memkv(_, clock) => clock.advance(time),
        }
    }
}

/// How many sorted pairs a server leaves in key order where they are equal.
///
/// etcd sorts with Go's `sort.Sort`, which sorts up to 12 elements by inserting one after the other.
/// Before Go 1.19 a pass that swaps elements six apart comes first, which 6 are too few for.
pub(super) async fn stable(kind: &Kind) -> Result<usize, Broken> {
    let path = match kind {
        Kind::Memkv(_) => return Ok(usize::MAX),
        Kind::EtcdAt(path) => Some(path.clone()),
        Kind::Etcd => std::env::var_os("TAILETC_ETCD").map(PathBuf::from),
    };
    let path = path.ok_or_else(|| Broken::Other("TAILETC_ETCD names no server".to_owned()))?;
    let printed = Command::new(path).arg("--version").kill_on_drop(true).output().await?;
    let printed = String::from_utf8_lossy(&printed.stdout);
    // memkv as a binary is not built with Go.
    let Some((_, version)) = printed.split_once("Go Version: go1.") else {
        return Ok(usize::MAX);
    };
    let minor = version.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
    Ok(if minor.parse().is_ok_and(|minor: u32| minor >= 19) { 12 } else { 6 })
}

async fn memkv(version: Option<&str>, fault: Option<Fault>) -> Result<Server, Broken> {
    // That of the launcher's servers.
    const MIN_TTL: i64 = 1;
    let clock = ManualClock::new();
    let mut options =
        MemKv::builder().with_min_lease_ttl_seconds(MIN_TTL).with_clock(clock.clone());
    // What is no release yet is imitated by the newest one.
    if let Some(version) = version.filter(|version| !version.contains('-')) {
        let version = version.parse::<EtcdVersion>().map_err(|e| Broken::Other(e.to_string()))?;
        options = options.with_imitate(version);
    }
    if let Some(fault) = fault {
        options = options.with_fault(fault);
    }
    Ok(Server::Memkv(grpc::Server::bind(options.build(), "127.0.0.1:0").await?, clock))
}
