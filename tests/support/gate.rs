//! A backend between a `Db` and its store that tests can interfere with.

use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use tailetc::backend::{
    BackendError, BackendErrorKind, Capabilities, Header, KvBackend, Lease, LeaseTimeToLive,
    RangeRequest, RangeResponse, Status, TxnRequest, TxnResponse, WatchRequest, WatchResponse,
    Watcher,
};
use tailetc::{LeaseId, Revision};
use tokio::sync::watch;

use super::Store;

type Hook = Box<dyn FnOnce() -> Pin<Box<dyn Future<Output = ()> + Send>> + Send>;

/// Passes everything through until told otherwise.
#[derive(Clone)]
pub(crate) struct Gate(Arc<Inner>);

struct Inner {
    store: Arc<dyn KvBackend>,
    /// While true, watches deliver nothing: a backlog builds up in the store.
    held: watch::Sender<bool>,
    /// Open watches break when it changes.
    cuts: watch::Sender<u64>,
    lose_reply: AtomicBool,
    swallow_txn: AtomicBool,
    unreliable_progress: AtomicBool,
    after_range: Mutex<Option<Hook>>,
    most_keys: AtomicI64,
    txns: AtomicU64,
    last_txn: Mutex<Option<TxnRequest>>,
    ranges: AtomicU64,
}

impl Gate {
    pub(crate) fn new(store: &Store) -> Self {
        Self(Arc::new(Inner {
            store: Arc::clone(&store.backend),
            held: watch::Sender::new(false),
            cuts: watch::Sender::new(0),
            lose_reply: AtomicBool::new(false),
            swallow_txn: AtomicBool::new(false),
            unreliable_progress: AtomicBool::new(false),
            after_range: Mutex::new(None),
            most_keys: AtomicI64::new(i64::MAX),
            txns: AtomicU64::new(0),
            last_txn: Mutex::new(None),
            ranges: AtomicU64::new(0),
        }))
    }

    pub(crate) fn builder(&self) -> tailetc::Builder {
        super::store::builder_on(Arc::new(self.clone()))
    }

    /// Stops delivery on all watches, those opened later too.
    pub(crate) fn hold_watches(&self) {
        self.0.held.send_replace(true);
    }

    pub(crate) fn release_watches(&self) {
        self.0.held.send_replace(false);
    }

    /// Breaks all open watches.
    pub(crate) fn cut_watches(&self) {
        self.0.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// The next transaction is applied, but its answer is lost.
    pub(crate) fn lose_next_reply(&self) {
        self.0.lose_reply.store(true, Ordering::SeqCst);
    }

    /// The next transaction never reaches the store, and no answer comes.
    pub(crate) fn swallow_next_txn(&self) {
        self.0.swallow_txn.store(true, Ordering::SeqCst);
    }

    /// Says that the store's progress cannot be trusted, as with old servers.
    pub(crate) fn distrust_progress(&self) {
        self.0.unreliable_progress.store(true, Ordering::SeqCst);
    }

    /// Runs `hook` once, after the next range has been answered by the store and before the answer
    /// is returned.
    pub(crate) fn after_next_range<F>(&self, hook: impl FnOnce() -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        *self.0.after_range.lock().unwrap() = Some(Box::new(|| Box::pin(hook())));
    }

    /// Ranges with a higher limit time out.
    pub(crate) fn time_out_above(&self, limit: i64) {
        self.0.most_keys.store(limit, Ordering::SeqCst);
    }

    /// How many transactions were sent to the store.
    pub(crate) fn txns(&self) -> u64 {
        self.0.txns.load(Ordering::SeqCst)
    }

    /// The last transaction sent to the store.
    pub(crate) fn last_txn(&self) -> TxnRequest {
        self.0.last_txn.lock().unwrap().clone().expect("a transaction was sent")
    }

    pub(crate) fn ranges(&self) -> u64 {
        self.0.ranges.load(Ordering::SeqCst)
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Gate({:?})", self.0.store)
    }
}

#[async_trait]
impl KvBackend for Gate {
    fn capabilities(&self) -> Capabilities {
        let mut capabilities = self.0.store.capabilities();
        capabilities.reliable_progress &= !self.0.unreliable_progress.load(Ordering::SeqCst);
        capabilities
    }

    async fn range(&self, request: RangeRequest) -> Result<RangeResponse, BackendError> {
        self.0.ranges.fetch_add(1, Ordering::SeqCst);
        if request.limit > self.0.most_keys.load(Ordering::SeqCst) {
            return Err(BackendError::new(BackendErrorKind::Timeout, "too slow"));
        }
        let response = self.0.store.range(request).await;
        let hook = self.0.after_range.lock().unwrap().take();
        if let Some(hook) = hook {
            hook().await;
        }
        response
    }

    async fn txn(&self, request: TxnRequest) -> Result<TxnResponse, BackendError> {
        *self.0.last_txn.lock().unwrap() = Some(request.clone());
        self.0.txns.fetch_add(1, Ordering::SeqCst);
        if self.0.swallow_txn.swap(false, Ordering::SeqCst) {
            return std::future::pending().await;
        }
        let response = self.0.store.txn(request).await;
        if self.0.lose_reply.swap(false, Ordering::SeqCst) {
            return Err(BackendError::new(BackendErrorKind::Unavailable, "the reply was lost"));
        }
        response
    }

    async fn watch(&self, request: WatchRequest) -> Result<Box<dyn Watcher>, BackendError> {
        let watcher = self.0.store.watch(request).await?;
        Ok(Box::new(GatedWatcher {
            watcher,
            held: self.0.held.subscribe(),
            cuts: self.0.cuts.subscribe(),
            kept: None,
        }))
    }

    async fn compact(&self, revision: Revision) -> Result<Header, BackendError> {
        self.0.store.compact(revision).await
    }

    async fn lease_grant(&self, id: LeaseId, ttl_seconds: i64) -> Result<Lease, BackendError> {
        self.0.store.lease_grant(id, ttl_seconds).await
    }

    async fn lease_revoke(&self, id: LeaseId) -> Result<Header, BackendError> {
        self.0.store.lease_revoke(id).await
    }

    async fn lease_keep_alive(&self, id: LeaseId) -> Result<Option<Lease>, BackendError> {
        self.0.store.lease_keep_alive(id).await
    }

    async fn lease_time_to_live(
        &self,
        id: LeaseId,
        keys: bool,
    ) -> Result<Option<LeaseTimeToLive>, BackendError> {
        self.0.store.lease_time_to_live(id, keys).await
    }

    async fn status(&self) -> Result<Status, BackendError> {
        self.0.store.status().await
    }
}

#[derive(Debug)]
struct GatedWatcher {
    watcher: Box<dyn Watcher>,
    held: watch::Receiver<bool>,
    cuts: watch::Receiver<u64>,
    /// Received from the store, not yet delivered.
    kept: Option<Result<WatchResponse, BackendError>>,
}

#[async_trait]
impl Watcher for GatedWatcher {
    async fn next(&mut self) -> Result<WatchResponse, BackendError> {
        let Self { watcher, held, cuts, kept } = self;
        tokio::select! {
            biased;
            _ = cuts.changed() => {
                Err(BackendError::new(BackendErrorKind::Unavailable, "the watch was cut"))
            }
            response = async {
                loop {
                    let _ = held.wait_for(|held| !held).await;
                    if let Some(response) = kept.take() {
                        return response;
                    }
                    tokio::select! {
                        biased;
                        _ = held.wait_for(|held| *held) => {}
                        // The hold may have begun after it was looked at.
                        response = watcher.next() => *kept = Some(response),
                    }
                }
            } => response,
        }
    }

    async fn request_progress(&mut self) -> Result<(), BackendError> {
        self.watcher.request_progress().await
    }
}
