//! What can be chosen about a store.

use std::time::Duration;

use tailetc_core::backend::Capabilities;

use crate::MemKv;

/// The identity and the limits of a [`MemKv`]; the defaults are those of an etcd server.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct MemKvOptions {
    /// The cluster in response headers; an etcd's is never 0. Default: a fixed number.
    pub cluster_id: u64,
    /// The member in response headers; an etcd's is never 0. Default: a fixed number.
    pub member_id: u64,
    /// The raft term in response headers. Default: 2, that of a server after its first election.
    pub raft_term: u64,
    /// The version that [`status`](tailetc_core::backend::KvBackend::status) reports. Default:
    /// `3.6.6`: where versions differ, the store follows the source of 3.6. Another text changes
    /// only the report.
    pub version: String,
    /// The most compares, and the most operations in one branch (etcd: `--max-txn-ops`).
    /// Default: 128.
    pub max_txn_ops: usize,
    /// The largest write in bytes, raft envelope included (etcd: `--max-request-bytes`).
    /// Default: 1,572,864.
    pub max_request_bytes: usize,
    /// What shorter lease times are raised to, in seconds. Default: 2 (etcd: 1.5 election timeouts
    /// of 1 s, rounded up).
    pub min_lease_ttl_seconds: i64,
    /// The first identifier given to a lease that did not choose its own; the next ones count up,
    /// leaving out those taken. Default: a large number, out of the way of chosen ones.
    pub first_lease_id: i64,
    /// How many revisions that concern it a watch may leave unread and still survive their
    /// compaction (etcd: the buffer of a watch stream). Default: 128. With 0, a watch that is
    /// behind a compaction at all is told so.
    pub watch_buffer_revisions: usize,
    /// How long a watch that asked for it stays without events until it gets unsolicited progress
    /// (etcd: `--watch-progress-notify-interval`). Default: 10 minutes; less than 100 ms counts as
    /// 100 ms.
    pub progress_notify_interval: Duration,
}

impl Default for MemKvOptions {
    fn default() -> Self {
        let capabilities = Capabilities::default();
        Self {
            cluster_id: 0x7461_696c_6574_6364,
            member_id: 0x6d65_6d6b_766e_6f64,
            raft_term: 2,
            version: "3.6.6".to_owned(),
            max_txn_ops: capabilities.max_txn_ops,
            max_request_bytes: capabilities.max_request_bytes,
            min_lease_ttl_seconds: 2,
            first_lease_id: 0x6d65_6d6b_0000_0001,
            watch_buffer_revisions: 128,
            progress_notify_interval: Duration::from_secs(600),
        }
    }
}

impl MemKvOptions {
    /// An empty store at revision 1 with these options.
    pub fn build(self) -> MemKv {
        MemKv::with_options(self)
    }

    /// Sets [`cluster_id`](Self::cluster_id).
    #[must_use]
    pub fn with_cluster_id(mut self, cluster_id: u64) -> Self {
        self.cluster_id = cluster_id;
        self
    }

    /// Sets [`member_id`](Self::member_id).
    #[must_use]
    pub fn with_member_id(mut self, member_id: u64) -> Self {
        self.member_id = member_id;
        self
    }

    /// Sets [`raft_term`](Self::raft_term).
    #[must_use]
    pub fn with_raft_term(mut self, raft_term: u64) -> Self {
        self.raft_term = raft_term;
        self
    }

    /// Sets [`version`](Self::version).
    #[must_use]
    pub fn with_version(mut self, version: impl Into<String>) -> Self {
        self.version = version.into();
        self
    }

    /// Sets [`max_txn_ops`](Self::max_txn_ops).
    #[must_use]
    pub fn with_max_txn_ops(mut self, max_txn_ops: usize) -> Self {
        self.max_txn_ops = max_txn_ops;
        self
    }

    /// Sets [`max_request_bytes`](Self::max_request_bytes).
    #[must_use]
    pub fn with_max_request_bytes(mut self, max_request_bytes: usize) -> Self {
        self.max_request_bytes = max_request_bytes;
        self
    }

    /// Sets [`min_lease_ttl_seconds`](Self::min_lease_ttl_seconds).
    #[must_use]
    pub fn with_min_lease_ttl_seconds(mut self, seconds: i64) -> Self {
        self.min_lease_ttl_seconds = seconds;
        self
    }

    /// Sets [`first_lease_id`](Self::first_lease_id).
    #[must_use]
    pub fn with_first_lease_id(mut self, id: i64) -> Self {
        self.first_lease_id = id;
        self
    }

    /// Sets [`watch_buffer_revisions`](Self::watch_buffer_revisions).
    #[must_use]
    pub fn with_watch_buffer_revisions(mut self, revisions: usize) -> Self {
        self.watch_buffer_revisions = revisions;
        self
    }

    /// Sets [`progress_notify_interval`](Self::progress_notify_interval).
    #[must_use]
    pub fn with_progress_notify_interval(mut self, interval: Duration) -> Self {
        self.progress_notify_interval = interval;
        self
    }
}
