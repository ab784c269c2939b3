//! The servers of a duel.

use std::path::PathBuf;
use std::time::Duration;

use tailetc_memkv::{EtcdVersion, Fault, ManualClock, MemKv, grpc};
use tailetc_testkit::etcd_server::{EtcdServer, EtcdServerError, EtcdServerOptions};

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
    #[error("memkv does not start")]
    Memkv(#[from] std::io::Error),
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

async fn memkv(version: Option<&str>, fault: Option<Fault>) -> Result<Server, Broken> {
    // That of the launcher's servers.
    const MIN_TTL: i64 = 1;
    let clock = ManualClock::new();
    let mut options =
        MemKv::builder().with_min_lease_ttl_seconds(MIN_TTL).with_clock(clock.clone());
    if let Some(version) = version {
        let version = version.parse::<EtcdVersion>().map_err(|e| Broken::Other(e.to_string()))?;
        options = options.with_imitate(version);
    }
    if let Some(fault) = fault {
        options = options.with_fault(fault);
    }
    Ok(Server::Memkv(grpc::Server::bind(options.build(), "127.0.0.1:0").await?, clock))
}
