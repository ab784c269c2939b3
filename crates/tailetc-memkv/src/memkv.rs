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
use crate::store::{Deletions, Store, Unfinished};
use crate::version::SolicitedProgress;
use crate::watcher;

/// An etcd of one node, in memory.
///
/// A clone is another handle on the same store, which lives as long as a handle or a watch does.
/// See the [crate documentation](crate) for what it does as etcd does.
///
/// # Blocking
///
/// Every method takes a lock for the time that its answer takes to compute, or a part of it that is
/// done at a time. Those that are not async wait for nothing else, but where they say so.
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
        let (turn, expires_sooner) = (Mutex::new(()), Notify::new());
        Self { shared: Arc::new(Shared { options, turn, store, expires_sooner }) }
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
    /// Held by the one whose turn it is to wait for the store: who comes back for more cannot
    /// overtake those who wait.
    turn: Mutex<()>,
    /// A std lock: it is never held across an await.
    store: Mutex<Store>,
    /// Told when the next lease expires sooner than before. All who wait listen: the one who makes
    /// it expire must not be one who has stopped being polled.
    expires_sooner: Notify,
}

/// After so many slices, some seconds, whoever still waits does all the rest at once: others may leave
/// more to do in the meantime, again and again.
const MOST_SLICES: u32 = 1 << 14;

impl Shared {
    /// Runs `operation` on the store as it is now, expired leases gone, and does a slice of what
    /// earlier ones left to do.
    pub(crate) fn with<T>(&self, operation: impl FnOnce(&mut Store, Instant) -> T) -> T {
        // Nothing in the store panics halfway through a change.
        let turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let mut store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        drop(turn);
        let now = self.options.clock.now();
        let expiry = store.next_expiry();
        store.expire(now);
        let answer = operation(&mut store, now);
        store.work();
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

    /// Runs `operation` until it has an answer. It has none while it needs what earlier ones left
    /// to do, of which each time a slice is done.
    pub(crate) async fn until<T>(
        &self,
        mut operation: impl FnMut(&mut Store, Instant) -> Option<T>,
    ) -> T {
        let mut slices = 0;
        loop {
            if let Some(answer) = self.attempt(&mut operation, slices) {
                return answer;
            }
            slices += 1;
            tokio::task::yield_now().await;
        }
    }

    /// The same for those who cannot wait otherwise than by blocking their thread.
    pub(crate) fn block_until<T>(
        &self,
        mut operation: impl FnMut(&mut Store, Instant) -> Option<T>,
    ) -> T {
        let mut slices = 0;
        loop {
            if let Some(answer) = self.attempt(&mut operation, slices) {
                return answer;
            }
            slices += 1;
            std::thread::yield_now();
        }
    }

    /// Runs `operation` for one who has waited for so many slices.
    fn attempt<T>(
        &self,
        operation: impl FnOnce(&mut Store, Instant) -> Option<T>,
        slices: u32,
    ) -> Option<T> {
        self.with(|store, now| {
            if slices >= MOST_SLICES {
                store.finish();
            }
            operation(store, now)
        })
    }

    /// Runs `operation`, and returns its answer with what is to be written down before it is given.
    fn begin<T>(
        &self,
        operation: impl FnOnce(&mut Store, Instant) -> T,
    ) -> (T, Option<Unfinished>) {
        self.with(|store, now| {
            // What expired is nobody's.
            store.take_unfinished();
            (operation(store, now), store.take_unfinished())
        })
    }

    /// Runs `operation`, and ends when all that it changed is written down.
    pub(crate) async fn written<T: Deletions>(
        &self,
        operation: impl FnOnce(&mut Store, Instant) -> T,
    ) -> T {
        let (mut answer, unfinished) = self.begin(operation);
        if let Some(unfinished) = unfinished {
            let revision = unfinished.revision;
            self.until(|store, _| store.is_written(revision).then_some(())).await;
            unfinished.complete(&mut answer);
        }
        answer
    }

    /// The same for those who cannot wait otherwise than by blocking their thread.
    pub(crate) fn block_written<T: Deletions>(
        &self,
        operation: impl FnOnce(&mut Store, Instant) -> T,
    ) -> T {
        let (mut answer, unfinished) = self.begin(operation);
        if let Some(unfinished) = unfinished {
            let revision = unfinished.revision;
            self.block_until(|store, _| store.is_written(revision).then_some(()));
            unfinished.complete(&mut answer);
        }
        answer
    }

    /// Ends when all is done that requests up to `revision` left to do.
    pub(crate) async fn done(&self, revision: Revision) {
        self.until(|store, _| store.is_done(revision).then_some(())).await;
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
/// An operation takes effect entirely or, if dropped before it was polled, not at all. Those that
/// leave much to do, compactions and deletions of very many keys, may be dropped after they have
/// taken effect and before they are answered. Later operations do then what is left.
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
        self.shared.written(|store, _| store.txn(&request, request_len)).await
    }

    async fn watch(&self, request: WatchRequest) -> Result<Box<dyn Watcher>, BackendError> {
        tokio::task::coop::consume_budget().await;
        watcher::open(&self.shared, request).await
    }

    async fn compact(&self, revision: Revision) -> Result<Header, BackendError> {
        tokio::task::coop::consume_budget().await;
        let header = self.shared.with(|store, _| store.compact(revision))?;
        self.shared.done(revision).await;
        Ok(header)
    }

    async fn lease_grant(&self, id: LeaseId, ttl_seconds: i64) -> Result<Lease, BackendError> {
        tokio::task::coop::consume_budget().await;
        self.shared.with(|store, now| store.lease_grant(id, ttl_seconds, now))
    }

    async fn lease_revoke(&self, id: LeaseId) -> Result<Header, BackendError> {
        tokio::task::coop::consume_budget().await;
        self.shared.written(|store, _| store.lease_revoke(id)).await
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
        Ok(self.shared.until(|store, now| store.lease_time_to_live(id, keys, now)).await)
    }

    async fn status(&self) -> Result<Status, BackendError> {
        tokio::task::coop::consume_budget().await;
        let header = self.shared.with(|store, _| store.header());
        Ok(Status::new(header, self.shared.options.imitate.to_string()))
    }
}
