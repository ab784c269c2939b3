//! A real etcd cluster of three members for tests, as child processes: [`EtcdCluster`].
//!
//! Before each member's port for clients, and before the one for its peers, stands a proxy, so that
//! the [`Network`] between clients and members, and between each two members, can fail each way on
//! its own. The binary is the one that [`EtcdServer`](crate::etcd_server::EtcdServer) runs; it must
//! be etcd. All of it is on the loopback interface, and ends with the test process, however that
//! ends.
//!
//! ```no_run
//! use tailetc_testkit::etcd_cluster::{Disturbance, EtcdCluster, Party};
//!
//! # async fn example() -> Result<(), tailetc_testkit::etcd_server::EtcdServerError> {
//! let mut cluster = EtcdCluster::start().await?;
//! let endpoints = cluster.client_urls();
//! let leader = cluster.leader().await?;
//! cluster.network().isolate(leader);
//! // What the others send to member 0 gets lost, and the connections stay open.
//! cluster.network().disturb(Party::Clients, Party::Member(0), Disturbance::Swallow);
//! cluster.network().heal();
//! cluster.kill(1).await?;
//! cluster.restart(1).await?;
//! cluster.healthy().await?;
//! # Ok(())
//! # }
//! ```

mod backup;
mod control;
mod dialer;
mod member;
mod network;
mod options;
mod proxy;
mod pump;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

pub use self::backup::{Backup, RestoredAs};
use self::member::Member;
pub use self::network::{Disturbance, Network, Party};
pub use self::options::EtcdClusterOptions;
use crate::etcd_server::EtcdServerError;
use crate::etcd_server::binary::{Binary, Kind};
use crate::etcd_server::port;

/// How many members a cluster has.
pub const MEMBERS: usize = 3;

/// How long a cluster may take until all its members serve.
const PATIENCE: Duration = Duration::from_secs(60);

/// Three members, by the numbers 0 to 2. Dropping it kills them and removes their data.
#[derive(Debug)]
pub struct EtcdCluster {
    binary: Binary,
    options: EtcdClusterOptions,
    members: Vec<Member>,
    network: Arc<Network>,
    /// Unique among the clusters on this machine.
    name: String,
    /// What makes identifiers of clusters that have the same addresses differ.
    token: String,
    /// How often it was restored: data directories are never used twice.
    generation: usize,
}

impl EtcdCluster {
    /// Starts a cluster with the default [`EtcdClusterOptions`] and waits until all members serve.
    ///
    /// # Errors
    ///
    /// Those of [`EtcdCluster::start_with`].
    ///
    /// # Cancel safety
    ///
    /// A dropped future leaves no process behind.
    pub async fn start() -> Result<Self, EtcdServerError> {
        Self::start_with(EtcdClusterOptions::default()).await
    }

    /// Starts a cluster and waits until all members serve.
    ///
    /// # Errors
    ///
    /// When there is no binary or it is not etcd's, or a member does not serve within 60 seconds;
    /// with the end of its log.
    ///
    /// # Cancel safety
    ///
    /// A dropped future leaves no process behind.
    pub async fn start_with(options: EtcdClusterOptions) -> Result<Self, EtcdServerError> {
        let binary = match &options.binary {
            Some(path) => Binary::at(path.clone()).await?,
            None => Binary::from_env().await?,
        };
        if matches!(binary.kind, Kind::Memkv { .. }) {
            return Err(EtcdServerError::new("memkv has no clusters: TAILETC_ETCD must be etcd"));
        }
        let network = Arc::new(Network::default());
        let mut members = Vec::new();
        for index in 0..MEMBERS {
            members.push(Member::new(index, &network).await?);
        }
        let name = format!("tailetc-{}-{}", std::process::id(), port::free()?);
        let token = name.clone();
        let mut cluster = Self { binary, options, members, network, name, token, generation: 0 };
        for index in 0..MEMBERS {
            cluster.restart(index).await?;
        }
        cluster.healthy().await?;
        cluster.learn_identifiers().await?;
        Ok(cluster)
    }

    /// The members' URLs for clients, which lead through the proxies.
    pub fn client_urls(&self) -> Vec<String> {
        self.members.iter().map(Member::client_url).collect()
    }

    /// The URLs that no proxy is before: for those who must see what really is.
    pub fn direct_urls(&self) -> Vec<String> {
        self.members.iter().map(Member::direct_url).collect()
    }

    /// The network between clients and members, and among the members.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// The version of the servers, such as `3.5.30`.
    pub fn version(&self) -> &str {
        match &self.binary.kind {
            Kind::Etcd { version, .. } => version,
            Kind::Memkv { .. } => "",
        }
    }

    /// Kills a member at once (SIGKILL). Its data stays for [`restart`](Self::restart).
    ///
    /// # Errors
    ///
    /// When the process cannot be waited for.
    ///
    /// # Cancel safety
    ///
    /// A dropped future kills the member all the same.
    pub async fn kill(&mut self, member: usize) -> Result<(), EtcdServerError> {
        self.members[member].kill().await
    }

    /// Kills a member if it runs, and starts it with its data. Does not wait until it serves, which
    /// it cannot without a majority: see [`healthy`](Self::healthy).
    ///
    /// # Errors
    ///
    /// When it cannot be started.
    ///
    /// # Cancel safety
    ///
    /// A dropped future leaves the member down for good, without its data.
    pub async fn restart(&mut self, member: usize) -> Result<(), EtcdServerError> {
        self.kill(member).await?;
        let args = self.args(member);
        let dir = self.data_dir(member);
        self.members[member].start(&self.binary.path, &args, dir).await
    }

    /// Freezes a member (SIGSTOP): connections stay open and nothing answers.
    ///
    /// # Errors
    ///
    /// When it does not run.
    pub async fn pause(&mut self, member: usize) -> Result<(), EtcdServerError> {
        self.members[member].running()?.signal("STOP").await
    }

    /// Lets a frozen member go on (SIGCONT).
    ///
    /// # Errors
    ///
    /// When it does not run.
    pub async fn resume(&mut self, member: usize) -> Result<(), EtcdServerError> {
        self.members[member].running()?.signal("CONT").await
    }

    /// Waits until all members answer linearizable reads.
    ///
    /// # Errors
    ///
    /// When one does not within 60 seconds, with the end of its log.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn healthy(&self) -> Result<(), EtcdServerError> {
        for (index, member) in self.members.iter().enumerate() {
            if timeout(PATIENCE, member.serving()).await.is_err() {
                let failure = format!("member {index} does not serve after {PATIENCE:?}");
                return Err(member.failure(&failure));
            }
        }
        Ok(())
    }
}
