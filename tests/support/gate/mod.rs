//! A backend between a `Db` and its store that tests can interfere with.

mod backend;

use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock};

use tailetc::LeaseId;
use tailetc::backend::{BackendErrorKind, Header, KvBackend, TxnRequest, TxnResponse};
use tokio::sync::watch;

use super::Store;

/// Passes everything through until told otherwise.
#[derive(Clone)]
pub(crate) struct Gate(Arc<Inner>);

struct Inner {
    store: RwLock<Arc<dyn KvBackend>>,
    /// What all headers say; 0 for what the store says.
    cluster_id: AtomicU64,
    /// While true, watches deliver nothing: a backlog builds up in the store.
    held: watch::Sender<bool>,
    /// While true, transactions are applied, but their answers are under way.
    answers_held: watch::Sender<bool>,
    /// Watches opened before it last grew never say anything again.
    frozen: watch::Sender<u64>,
    /// While true, nothing is answered but by watches that are open already.
    hanging: watch::Sender<bool>,
    /// Open watches break when it changes.
    cuts: watch::Sender<u64>,
    /// While it is some, everything fails like that, open watches too.
    failing: watch::Sender<Option<BackendErrorKind>>,
    failures: AtomicU64,
    lose_replies: AtomicU64,
    swallow_txn: AtomicBool,
    lose_requests: AtomicBool,
    /// The last transaction that was swallowed: it may still arrive.
    late: Mutex<Option<TxnRequest>>,
    unreliable_progress: AtomicBool,
    swallow_progress: AtomicBool,
    zero_progress: AtomicBool,
    yields: AtomicBool,
    /// Watches deliver no event of this key.
    lost_key: Mutex<Option<String>>,
    /// By how many revisions the next watch begins too early.
    rewind: AtomicI64,
    watches: AtomicU64,
    before_page: Hook,
    after_page: Hook,
    after_header: Hook,
    after_response: Hook,
    most_keys: AtomicI64,
    txns: AtomicU64,
    answered: AtomicU64,
    last_txn: Mutex<Option<TxnRequest>>,
    ranges: AtomicU64,
    last_lease: AtomicI64,
}

type Action = Box<dyn FnOnce() -> Pin<Box<dyn Future<Output = ()> + Send>> + Send>;

/// What to do once, at some place.
#[derive(Default)]
struct Hook(Mutex<Option<Action>>);

impl Hook {
    fn set<F>(&self, action: impl FnOnce() -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        *self.0.lock().unwrap() = Some(Box::new(|| Box::pin(action())));
    }

    async fn run(&self) {
        if let Some(action) = self.take() {
            action.await;
        }
    }

    fn take(&self) -> Option<Pin<Box<dyn Future<Output = ()> + Send>>> {
        let action = self.0.lock().unwrap().take();
        action.map(|action| action())
    }
}

impl Gate {
    pub(crate) fn new(store: &Store) -> Self {
        Self(Arc::new(Inner {
            store: RwLock::new(Arc::clone(&store.backend)),
            cluster_id: AtomicU64::new(0),
            held: watch::Sender::new(false),
            answers_held: watch::Sender::new(false),
            frozen: watch::Sender::new(0),
            hanging: watch::Sender::new(false),
            cuts: watch::Sender::new(0),
            failing: watch::Sender::new(None),
            failures: AtomicU64::new(0),
            lose_replies: AtomicU64::new(0),
            swallow_txn: AtomicBool::new(false),
            lose_requests: AtomicBool::new(false),
            late: Mutex::new(None),
            unreliable_progress: AtomicBool::new(false),
            swallow_progress: AtomicBool::new(false),
            zero_progress: AtomicBool::new(false),
            yields: AtomicBool::new(false),
            lost_key: Mutex::new(None),
            rewind: AtomicI64::new(0),
            watches: AtomicU64::new(0),
            before_page: Hook::default(),
            after_page: Hook::default(),
            after_header: Hook::default(),
            after_response: Hook::default(),
            most_keys: AtomicI64::new(i64::MAX),
            txns: AtomicU64::new(0),
            answered: AtomicU64::new(0),
            last_txn: Mutex::new(None),
            ranges: AtomicU64::new(0),
            last_lease: AtomicI64::new(0),
        }))
    }

    pub(crate) fn builder(&self) -> tailetc::Builder {
        super::store::builder_on(Arc::new(self.clone()))
    }

    /// From now on everything goes to another store. Open watches stay where they are.
    pub(crate) fn swap_store(&self, store: &Store) {
        *self.0.store.write().unwrap() = Arc::clone(&store.backend);
    }

    /// All headers bear this cluster, whatever the store: a store that was swapped in then is the
    /// same cluster, restored from a backup.
    pub(crate) fn pretend_cluster(&self, cluster_id: u64) {
        self.0.cluster_id.store(cluster_id, Ordering::SeqCst);
    }

    /// Stops delivery on all watches, those opened later too.
    pub(crate) fn hold_watches(&self) {
        self.0.held.send_replace(true);
    }

    pub(crate) fn release_watches(&self) {
        self.0.held.send_replace(false);
    }

    /// The connections of all open watches are half-open from now on: nothing comes, no error
    /// either. Watches opened later work.
    pub(crate) fn freeze_watches(&self) {
        self.0.frozen.send_modify(|frozen| *frozen += 1);
    }

    /// Nothing is answered from now on, and nothing said.
    pub(crate) fn hang(&self) {
        self.freeze_watches();
        self.0.hanging.send_replace(true);
    }

    pub(crate) fn hang_no_more(&self) {
        self.0.hanging.send_replace(false);
    }

    /// Progress requests get lost, as in a proxy.
    pub(crate) fn swallow_progress(&self) {
        self.0.swallow_progress.store(true, Ordering::SeqCst);
    }

    /// Progress says revision 0, as some stores beneath etcd's interface do.
    pub(crate) fn zero_progress(&self) {
        self.0.zero_progress.store(true, Ordering::SeqCst);
    }

    /// Requests and answers take several polls from now on.
    pub(crate) fn yield_often(&self) {
        self.0.yields.store(true, Ordering::SeqCst);
    }

    /// Watches drop the events of a key, or of none, as some servers have done.
    pub(crate) fn lose_events_of(&self, key: Option<&str>) {
        *self.0.lost_key.lock().unwrap() = key.map(str::to_owned);
    }

    /// The next watch begins so many revisions too early, as on a member that lags.
    pub(crate) fn rewind_next_watch(&self, revisions: i64) {
        self.0.rewind.store(revisions, Ordering::SeqCst);
    }

    /// How many watches were opened.
    pub(crate) fn watches(&self) -> u64 {
        self.0.watches.load(Ordering::SeqCst)
    }

    /// Breaks all open watches.
    pub(crate) fn cut_watches(&self) {
        self.0.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Everything fails like that, open watches too, until it is mended with none.
    pub(crate) fn fail_with(&self, kind: Option<BackendErrorKind>) {
        self.0.failing.send_replace(kind);
    }

    /// How much has failed so.
    pub(crate) fn failures(&self) -> u64 {
        self.0.failures.load(Ordering::SeqCst)
    }

    /// Transactions are applied from now on, but not answered.
    pub(crate) fn hold_answers(&self) {
        self.0.answers_held.send_replace(true);
    }

    pub(crate) fn release_answers(&self) {
        self.0.answers_held.send_replace(false);
    }

    /// The next transaction is applied, but its answer is lost.
    pub(crate) fn lose_next_reply(&self) {
        self.lose_next_replies(1);
    }

    /// The next transactions are applied, but their answers are lost.
    pub(crate) fn lose_next_replies(&self, count: u64) {
        self.0.lose_replies.store(count, Ordering::SeqCst);
    }

    /// While true, no transaction reaches the store, and its sender is told that it may have.
    pub(crate) fn lose_requests(&self, lose: bool) {
        self.0.lose_requests.store(lose, Ordering::SeqCst);
    }

    /// The swallowed transaction reaches the store after all.
    pub(crate) async fn deliver_late(&self) -> TxnResponse {
        let late = self.0.late.lock().unwrap().take().expect("a transaction was swallowed");
        self.store().txn(late).await.expect("the store takes it")
    }

    /// The next transaction does not reach the store (but see [`Gate::deliver_late`]), and no
    /// answer comes.
    pub(crate) fn swallow_next_txn(&self) {
        self.0.swallow_txn.store(true, Ordering::SeqCst);
    }

    /// Says that the store's progress cannot be trusted, as with old servers.
    pub(crate) fn distrust_progress(&self) {
        self.0.unreliable_progress.store(true, Ordering::SeqCst);
    }

    /// Runs `action` once, before the next page of a load is asked for.
    pub(crate) fn before_next_page<F>(&self, action: impl FnOnce() -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.0.before_page.set(action);
    }

    /// Runs `action` once, after the store has answered the next page of a load, before the `Db`
    /// gets it.
    pub(crate) fn after_next_page<F>(&self, action: impl FnOnce() -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.0.after_page.set(action);
    }

    /// Runs `action` once, after the store has been asked for its revision, before the `Db` gets
    /// the answer.
    pub(crate) fn after_next_header<F>(&self, action: impl FnOnce() -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.0.after_header.set(action);
    }

    /// Runs `action` once, after the store has sent the next response of a watch, before the `Db`
    /// gets it.
    pub(crate) fn after_next_response<F>(&self, action: impl FnOnce() -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.0.after_response.set(action);
    }

    /// Ranges with a higher limit time out.
    pub(crate) fn time_out_above(&self, limit: i64) {
        self.0.most_keys.store(limit, Ordering::SeqCst);
    }

    /// How many transactions were sent to the store.
    pub(crate) fn txns(&self) -> u64 {
        self.0.txns.load(Ordering::SeqCst)
    }

    /// How many transactions the store has answered, whatever became of the answers.
    pub(crate) fn answered(&self) -> u64 {
        self.0.answered.load(Ordering::SeqCst)
    }

    /// The last transaction sent to the store.
    pub(crate) fn last_txn(&self) -> TxnRequest {
        self.0.last_txn.lock().unwrap().clone().expect("a transaction was sent")
    }

    /// The last lease that the store has granted.
    pub(crate) fn last_lease(&self) -> LeaseId {
        LeaseId::new(self.0.last_lease.load(Ordering::SeqCst))
    }

    pub(crate) fn ranges(&self) -> u64 {
        self.0.ranges.load(Ordering::SeqCst)
    }

    fn store(&self) -> Arc<dyn KvBackend> {
        Arc::clone(&self.0.store.read().unwrap())
    }

    fn header(&self, mut header: Header) -> Header {
        let pretended = self.0.cluster_id.load(Ordering::SeqCst);
        if pretended != 0 {
            header.cluster_id = pretended;
        }
        header
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Gate({:?})", self.store())
    }
}
