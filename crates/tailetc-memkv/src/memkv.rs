//! The handle on a store, and the store as a backend.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use tailetc_core::backend::{
    BackendError, Capabilities, Header, KvBackend, Lease, LeaseTimeToLive, RangeRequest,
    RangeResponse, Status, TxnRequest, TxnResponse, WatchRequest, Watcher,
};
use tailetc_core::{LeaseId, Revision};
use tokio::sync::Notify;
use tokio::sync::futures::Notified;
use tokio::time::Instant;

use crate::MemKvOptions;
use crate::request::Txn;
use crate::store::Store;
use crate::version::SolicitedProgress;
use crate::watcher;

/// An etcd of one node, in memory.
///
/// A clone is another handle on the same store, which lives as long as a handle or a watch does.
/// See the [crate documentation](crate) for what it does as etcd does.
///
/// # Blocking
///
/// Every method takes a lock for the time that its answer takes to compute, and never waits for
/// anything else.
#[derive(Clone)]
pub struct MemKv {
    pub(crate) shared: Arc<Shared>,
}

impl MemKv {
    /// An empty store at revision 1.
    pub fn new() -> Self {
        Self::with_options(MemKvOptions::default())
    }

    /// Options to [build](MemKvOptions::build) a store with.
    pub fn builder() -> MemKvOptions {
        MemKvOptions::default()
    }

    /// An empty store at revision 1 with `options`.
    pub fn with_options(options: MemKvOptions) -> Self {
        let store = Mutex::new(Store::new(&options));
        Self { shared: Arc::new(Shared { options, store, expires_sooner: Notify::new() }) }
    }
}

impl Default for MemKv {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemKv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemKv").field("options", &self.shared.options).finish_non_exhaustive()
    }
}

/// What all handles and watches of a store share.
pub(crate) struct Shared {
    pub(crate) options: MemKvOptions,
    /// A std lock: it is never held across an await.
    store: Mutex<Store>,
    /// Told when the next lease expires sooner than before. All who wait listen: the one who makes
    /// it expire must not be one who has stopped being polled.
    expires_sooner: Notify,
}

impl Shared {
    /// Runs `operation` on the store as it is now, expired leases gone.
    pub(crate) fn with<T>(&self, operation: impl FnOnce(&mut Store, Instant) -> T) -> T {
        // Nothing in the store panics halfway through a change.
        let mut store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.options.clock.now();
        let expiry = store.next_expiry();
        store.expire(now);
        let answer = operation(&mut store, now);
        let expires_sooner = match (store.next_expiry(), expiry) {
            (Some(sooner), Some(later)) => sooner < later,
            (next, None) => next.is_some(),
            (None, Some(_)) => false,
        };
        if expires_sooner {
            self.expires_sooner.notify_waiters();
        }
        answer
    }

    /// Ends when the next lease expires sooner than at the time of the call.
    pub(crate) fn expires_sooner(&self) -> Notified<'_> {
        self.expires_sooner.notified()
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

/// Every operation spends a unit of tokio's cooperative budget before it begins, so that a task
/// which only ever asks the store still lets others run.
///
/// # Cancel safety
///
/// An operation takes effect entirely or, if dropped before it was polled to its end, not at all.
#[async_trait]
impl KvBackend for MemKv {
    fn capabilities(&self) -> Capabilities {
        let options = &self.shared.options;
        let mut capabilities = Capabilities::default();
        capabilities.max_txn_ops = options.max_txn_ops;
        capabilities.max_request_bytes = options.max_request_bytes;
        capabilities.reliable_progress =
            options.imitate.solicited_progress() == SolicitedProgress::Synchronised;
        capabilities.compaction_keeps_deletions = options.imitate.keeps_deletions_when_compacted();
        capabilities
    }

    async fn range(&self, request: RangeRequest) -> Result<RangeResponse, BackendError> {
        tokio::task::coop::consume_budget().await;
        self.shared.with(|store, _| store.range(&request))
    }

    async fn txn(&self, request: TxnRequest) -> Result<TxnResponse, BackendError> {
        tokio::task::coop::consume_budget().await;
        let request_len = request.encoded_len();
        let request = Txn::from(request);
        self.shared.with(|store, _| store.txn(&request, request_len))
    }

    async fn watch(&self, request: WatchRequest) -> Result<Box<dyn Watcher>, BackendError> {
        tokio::task::coop::consume_budget().await;
        watcher::open(&self.shared, request)
    }

    async fn compact(&self, revision: Revision) -> Result<Header, BackendError> {
        tokio::task::coop::consume_budget().await;
        self.shared.with(|store, _| store.compact(revision))
    }

    async fn lease_grant(&self, id: LeaseId, ttl_seconds: i64) -> Result<Lease, BackendError> {
        tokio::task::coop::consume_budget().await;
        self.shared.with(|store, now| store.lease_grant(id, ttl_seconds, now))
    }

    async fn lease_revoke(&self, id: LeaseId) -> Result<Header, BackendError> {
        tokio::task::coop::consume_budget().await;
        self.shared.with(|store, _| store.lease_revoke(id))
    }

    async fn lease_keep_alive(&self, id: LeaseId) -> Result<Option<Lease>, BackendError> {
        tokio::task::coop::consume_budget().await;
        Ok(self.shared.with(|store, now| store.lease_keep_alive(id, now)))
    }

    async fn lease_time_to_live(
        &self,
        id: LeaseId,
        keys: bool,
    ) -> Result<Option<LeaseTimeToLive>, BackendError> {
        tokio::task::coop::consume_budget().await;
        Ok(self.shared.with(|store, now| store.lease_time_to_live(id, keys, now)))
    }

    async fn status(&self) -> Result<Status, BackendError> {
        tokio::task::coop::consume_budget().await;
        let status = self.shared.with(|store, _| store.status());
        Ok(Status::new(status.header, status.version.to_string()))
    }
}
