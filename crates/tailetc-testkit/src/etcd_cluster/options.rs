//! How a test cluster is started.

use std::path::PathBuf;
use std::time::Duration;

/// Options of an [`EtcdCluster`](super::EtcdCluster).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EtcdClusterOptions {
    /// The `etcd` to run, with `etcdctl` beside it. Default: what `TAILETC_ETCD` names.
    pub binary: Option<PathBuf>,
    /// How often the leader is heard of. Default 50 ms.
    pub heartbeat_interval: Duration,
    /// After how long without it a member wants to be elected; ten times the interval between
    /// heartbeats suits etcd. Default 500 ms.
    pub election_timeout: Duration,
    /// More arguments for every member. None by default.
    pub args: Vec<String>,
}

impl Default for EtcdClusterOptions {
    fn default() -> Self {
        Self {
            binary: None,
            heartbeat_interval: Duration::from_millis(50),
            election_timeout: Duration::from_millis(500),
            args: Vec::new(),
        }
    }
}

impl EtcdClusterOptions {
    /// Runs this `etcd` and not the one that `TAILETC_ETCD` names.
    #[must_use]
    pub fn with_binary(mut self, binary: impl Into<PathBuf>) -> Self {
        self.binary = Some(binary.into());
        self
    }

    /// Sets how soon a leader is missed.
    #[must_use]
    pub fn with_timing(mut self, heartbeat_interval: Duration, election_timeout: Duration) -> Self {
        self.heartbeat_interval = heartbeat_interval;
        self.election_timeout = election_timeout;
        self
    }

    /// Adds an argument for every member.
    #[must_use]
    pub fn with_arg(mut self, arg: impl Into<String>) -> Self {
        self.args.push(arg.into());
        self
    }
}
