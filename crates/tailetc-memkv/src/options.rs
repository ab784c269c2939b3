//! What can be chosen about a store.

use std::time::Duration;

use tailetc_core::backend::Capabilities;

use crate::fault::Fault;
use crate::store::SLICE;
use crate::{Clock, EtcdVersion, MemKv};

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
    /// The release to imitate where releases differ, and to report as
    /// [`status`](tailetc_core::backend::KvBackend::status). Default: [`EtcdVersion::NEWEST`].
    pub imitate: EtcdVersion,
    /// The most compares, and the most operations in one branch (etcd: `--max-txn-ops`).
    /// Default: 128.
    pub max_txn_ops: usize,
    /// The largest write in bytes, raft envelope included (etcd: `--max-request-bytes`).
    /// Default: 1,572,864.
    pub max_request_bytes: usize,
    /// How many bytes the store may come to, by its own
    /// [estimate](crate::MemKvStatus::db_size), before it takes no more puts and leases (etcd:
    /// `--quota-backend-bytes`). 0 is etcd's default of 2 GiB; a negative number is no limit.
    /// Default: 0.
    pub quota_backend_bytes: i64,
    /// What shorter lease times are raised to, in seconds. Default: 2 (etcd: 1.5 election timeouts
    /// of 1 s, rounded up).
    pub min_lease_ttl_seconds: i64,
    /// The first identifier given to a lease that did not choose its own; the next ones count up,
    /// leaving out those taken. Default: a large number, out of the way of chosen ones.
    pub first_lease_id: i64,
    /// What time it is for leases and progress. Default: tokio's clock.
    pub clock: Clock,
    /// How many responses may wait on a watch stream (etcd: `chanBufLen`). They survive the
    /// compaction of their revisions; what does not fit is read from the history later, many
    /// revisions at once. Default: 128. With 0, a watch that is behind a compaction at all is told
    /// so.
    pub watch_buffer_revisions: usize,
    /// How often, counted from its opening, a watch stream sends unsolicited progress to the watches
    /// that asked for it and had no events since the last time (etcd:
    /// `--watch-progress-notify-interval`). Default: 10 minutes; less than 100 ms counts as 100 ms.
    pub progress_notify_interval: Duration,
    /// How many keys or versions a request does at a time of what others left to do.
    pub(crate) slice: usize,
    /// What to do wrong.
    pub(crate) fault: Option<Fault>,
}

impl Default for MemKvOptions {
    fn default() -> Self {
        let capabilities = Capabilities::default();
        Self {
            cluster_id: 0x7461_696c_6574_6364,
            member_id: 0x6d65_6d6b_766e_6f64,
            raft_term: 2,
            imitate: EtcdVersion::NEWEST,
            max_txn_ops: capabilities.max_txn_ops,
            max_request_bytes: capabilities.max_request_bytes,
            quota_backend_bytes: 0,
            min_lease_ttl_seconds: 2,
            first_lease_id: 0x6d65_6d6b_0000_0001,
            clock: Clock::default(),
            watch_buffer_revisions: 128,
            progress_notify_interval: Duration::from_secs(600),
            slice: SLICE,
            fault: None,
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

    /// Sets [`imitate`](Self::imitate).
    #[must_use]
    pub fn with_imitate(mut self, version: EtcdVersion) -> Self {
        self.imitate = version;
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

    /// Sets [`quota_backend_bytes`](Self::quota_backend_bytes).
    #[must_use]
    pub fn with_quota_backend_bytes(mut self, bytes: i64) -> Self {
        self.quota_backend_bytes = bytes;
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

    /// Sets [`clock`](Self::clock).
    #[must_use]
    pub fn with_clock(mut self, clock: impl Into<Clock>) -> Self {
        self.clock = clock.into();
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

    /// Sets how many keys or versions a request does at a time of what others left to do, for tests
    /// of what happens in between.
    #[doc(hidden)]
    #[must_use]
    pub fn with_slice(mut self, slice: usize) -> Self {
        self.slice = slice;
        self
    }

    /// Makes the store do one thing wrong.
    #[cfg(any(test, feature = "faults"))]
    #[doc(hidden)]
    #[must_use]
    pub fn with_fault(mut self, fault: Fault) -> Self {
        self.fault = Some(fault);
        self
    }

    /// Whether the store is to do this wrong.
    pub(crate) fn has(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }
}
