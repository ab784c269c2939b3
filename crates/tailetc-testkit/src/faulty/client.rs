//! One client's way to the store: what becomes of its requests.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tailetc_core::backend::{
    BackendError, BackendErrorKind, Capabilities, Header, KvBackend, Lease, LeaseTimeToLive,
    RangeRequest, RangeResponse, Status, TxnOp, TxnRequest, TxnResponse, WatchRequest, Watcher,
};
use tailetc_core::{LeaseId, Revision};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::cluster::Cluster;
use super::control::Control;
use super::dice::Dice;
use super::watcher::{FaultyWatcher, Recent};
use super::{Fault, FaultPlan};

/// A backend between a [`Db`](tailetc_core::Db) and its store that fails on purpose.
///
/// A clone is another handle on the same client. See the [module](super).
#[derive(Clone)]
pub struct FaultyBackend(pub(super) Arc<Client>);

pub(super) struct Client {
    pub(super) cluster: Cluster,
    pub(super) number: usize,
    pub(super) dice: Mutex<Dice>,
    pub(super) control: watch::Sender<Control>,
    pub(super) next_commit: Mutex<Option<Fault>>,
    pub(super) distrusted: AtomicBool,
    pub(super) recent: Mutex<Recent>,
    timeout: Duration,
    /// Requests that are applied after their deadline.
    late: Mutex<JoinSet<()>>,
}

impl FaultyBackend {
    pub(super) fn of(cluster: Cluster, number: usize, plan: &FaultPlan) -> Self {
        Self(Arc::new(Client {
            cluster,
            number,
            dice: Mutex::new(Dice::new(plan)),
            control: watch::Sender::new(Control::default()),
            next_commit: Mutex::new(None),
            distrusted: AtomicBool::new(false),
            recent: Mutex::default(),
            timeout: plan.timeout,
            late: Mutex::default(),
        }))
    }
}

impl Client {
    pub(super) fn dice<T>(&self, throw: impl FnOnce(&mut Dice) -> T) -> T {
        throw(&mut self.dice.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn reliable_progress(&self) -> bool {
        self.cluster.store().capabilities().reliable_progress
            && !self.distrusted.load(Ordering::Relaxed)
    }

    async fn travel(&self) {
        let latency = self.dice(Dice::latency);
        if !latency.is_zero() {
            sleep(latency).await;
        }
    }

    /// The faults of a request that changes nothing, up to the moment when the store gets it.
    async fn before(&self, faults: &[Fault]) -> Result<usize, BackendError> {
        let era = self.cluster.restores();
        if self.control.borrow().disconnected {
            return Err(error_of(Fault::Unreachable));
        }
        let fault = self.dice(|dice| dice.any_of(faults));
        self.travel().await;
        match fault {
            None => Ok(era),
            Some(Fault::CompactFirst) => {
                // Nothing to discard is as good.
                let _ = self.cluster.compact().await;
                Ok(era)
            }
            Some(fault) => {
                if fault == Fault::Stall {
                    sleep(self.timeout).await;
                }
                Err(error_of(fault))
            }
        }
    }

    /// The store, if it is still the one of the era in which the request was sent: a restart breaks
    /// the connections.
    fn store_of(&self, era: usize) -> Result<Arc<dyn KvBackend>, BackendError> {
        let (present, store) = self.cluster.present();
        if present == era { Ok(store) } else { Err(error_of(Fault::LoseRequest)) }
    }

    async fn after(&self, era: usize, header: &Header) {
        self.travel().await;
        self.cluster.saw(era, *header);
    }

    fn tap(&self, line: fmt::Arguments<'_>) {
        self.cluster.tap(format_args!("client {} {line}", self.number));
    }

    async fn send_txn(&self, request: TxnRequest) -> Result<TxnResponse, BackendError> {
        let planned = self.next_commit.lock().unwrap_or_else(PoisonError::into_inner).take();
        let by_chance = self.dice(|dice| dice.any_of(&WRITE_FAULTS));
        let era = self.cluster.restores();
        if self.control.borrow().disconnected {
            return Err(error_of(Fault::Unreachable));
        }
        self.travel().await;
        if self.cluster.has_no_space() && has_puts(&request.success, &request.failure) {
            return Err(error_of(Fault::NoSpace));
        }
        match planned.or(by_chance) {
            None => {}
            Some(Fault::LoseReply) => {
                let answer = self.store_of(era)?.txn(request).await;
                self.tap(format_args!("lost the reply {:?}", answer.map(|a| a.header.revision)));
                return Err(error_of(Fault::LoseReply));
            }
            Some(Fault::ApplyLate) => {
                self.apply_late(era, request);
                sleep(self.timeout).await;
                return Err(error_of(Fault::ApplyLate));
            }
            Some(Fault::Stall) => {
                sleep(self.timeout).await;
                return Err(error_of(Fault::Stall));
            }
            Some(Fault::ExpireLease) => {
                for lease in leases(&request.success) {
                    // One that is gone already is as good.
                    let _ = self.store_of(era)?.lease_revoke(lease).await;
                }
            }
            Some(Fault::NoSpace) if !has_puts(&request.success, &request.failure) => {}
            Some(fault) => return Err(error_of(fault)),
        }
        let response = self.store_of(era)?.txn(request).await?;
        self.after(era, &response.header).await;
        Ok(response)
    }

    fn apply_late(&self, era: usize, request: TxnRequest) {
        let past = self.dice(|dice| dice.millis(0..=5_000));
        let (delay, cluster) = (self.timeout + past, self.cluster.clone());
        let mut late = self.late.lock().unwrap_or_else(PoisonError::into_inner);
        while late.try_join_next().is_some() {}
        late.spawn(async move {
            sleep(delay).await;
            let (present, store) = cluster.present();
            if present == era {
                let answer = store.txn(request).await.map(|answer| answer.header.revision);
                cluster.tap(format_args!("late: {answer:?}"));
            }
        });
    }
}

/// Applied by [`Client::send_txn`].
const WRITE_FAULTS: [Fault; 8] = [
    Fault::LoseReply,
    Fault::ApplyLate,
    Fault::LoseRequest,
    Fault::Stall,
    Fault::Unreachable,
    Fault::TooManyRequests,
    Fault::NoSpace,
    Fault::ExpireLease,
];

/// Applied by [`Client::before`].
const READ_FAULTS: [Fault; 4] =
    [Fault::LoseRequest, Fault::Stall, Fault::Unreachable, Fault::Unauthenticated];
const PAGE_FAULTS: [Fault; 5] = [
    Fault::LoseRequest,
    Fault::Stall,
    Fault::Unreachable,
    Fault::Unauthenticated,
    Fault::CompactFirst,
];

/// With etcd's words where there are any.
pub(super) fn error_of(fault: Fault) -> BackendError {
    use BackendErrorKind as Kind;
    let (kind, message) = match fault {
        Fault::LoseReply | Fault::LoseRequest => (Kind::Unavailable, "transport: lost on the way"),
        Fault::CutWatch => (Kind::Unavailable, "transport: the stream was cut"),
        Fault::ApplyLate | Fault::Stall => (Kind::Timeout, "no answer within the deadline"),
        Fault::TooManyRequests => (Kind::TooManyRequests, "etcdserver: too many requests"),
        Fault::NoSpace => (Kind::NoSpace, "etcdserver: mvcc: database space exceeded"),
        Fault::Unauthenticated => (Kind::Unauthenticated, "etcdserver: invalid auth token"),
        Fault::Oversize => (Kind::RequestTooLarge, "decoded message length too large"),
        _ => (Kind::Unreachable, "transport: connection refused"),
    };
    BackendError::new(kind, message)
}

fn has_puts(success: &[TxnOp], failure: &[TxnOp]) -> bool {
    success.iter().chain(failure).any(|op| matches!(op, TxnOp::Put(_)))
}

fn leases(operations: &[TxnOp]) -> impl Iterator<Item = LeaseId> {
    operations.iter().filter_map(|op| match op {
        TxnOp::Put(put) if !put.lease.is_none() => Some(put.lease),
        _ => None,
    })
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl KvBackend for FaultyBackend {
    fn capabilities(&self) -> Capabilities {
        let mut capabilities = self.0.cluster.store().capabilities();
        capabilities.reliable_progress = self.0.reliable_progress();
        capabilities
    }

    async fn range(&self, mut request: RangeRequest) -> Result<RangeResponse, BackendError> {
        let client = &self.0;
        let page = request.limit != 1 && !request.range.is_single_key();
        let faults: &[Fault] = if page { &PAGE_FAULTS } else { &READ_FAULTS };
        let era = client.before(faults).await?;
        if request.serializable && request.revision.is_zero() {
            request.revision = client.lagging_revision();
        }
        let mut response = client.store_of(era)?.range(request.clone()).await?;
        if request.serializable && !request.revision.is_zero() {
            response.header.revision = request.revision;
        }
        client.after(era, &response.header).await;
        if response.kvs.len() > 1 && client.dice(|dice| dice.roll(Fault::Oversize)) {
            return Err(error_of(Fault::Oversize));
        }
        let (revision, pairs) = (response.header.revision, response.kvs.len());
        client.tap(format_args!("range {:?} -> {pairs} at {revision}", request.range));
        Ok(response)
    }

    async fn txn(&self, request: TxnRequest) -> Result<TxnResponse, BackendError> {
        let answer = self.0.send_txn(request).await;
        match &answer {
            Ok(response) => self
                .0
                .tap(format_args!("txn -> {} at {}", response.succeeded, response.header.revision)),
            Err(error) => self.0.tap(format_args!("txn -> {:?}", error.kind())),
        }
        answer
    }

    async fn watch(&self, request: WatchRequest) -> Result<Box<dyn Watcher>, BackendError> {
        let client = &self.0;
        let era = client.before(&PAGE_FAULTS).await?;
        let start = request.start_revision;
        let watcher = client.store_of(era)?.watch(request).await?;
        client.tap(format_args!("watch from {start}"));
        Ok(Box::new(FaultyWatcher::new(Arc::clone(client), watcher, era)))
    }

    async fn compact(&self, revision: Revision) -> Result<Header, BackendError> {
        let era = self.0.before(&READ_FAULTS).await?;
        let header = self.0.store_of(era)?.compact(revision).await?;
        self.0.after(era, &header).await;
        Ok(header)
    }

    async fn lease_grant(&self, id: LeaseId, ttl_seconds: i64) -> Result<Lease, BackendError> {
        let era = self.0.before(&READ_FAULTS).await?;
        let lease = self.0.store_of(era)?.lease_grant(id, ttl_seconds).await?;
        self.0.cluster.granted(lease.id, lease.ttl_seconds);
        self.0.after(era, &lease.header).await;
        Ok(lease)
    }

    async fn lease_revoke(&self, id: LeaseId) -> Result<Header, BackendError> {
        let era = self.0.before(&READ_FAULTS).await?;
        let header = self.0.store_of(era)?.lease_revoke(id).await?;
        self.0.after(era, &header).await;
        Ok(header)
    }

    async fn lease_keep_alive(&self, id: LeaseId) -> Result<Option<Lease>, BackendError> {
        let era = self.0.before(&READ_FAULTS).await?;
        self.0.store_of(era)?.lease_keep_alive(id).await
    }

    async fn lease_time_to_live(
        &self,
        id: LeaseId,
        keys: bool,
    ) -> Result<Option<LeaseTimeToLive>, BackendError> {
        let era = self.0.before(&READ_FAULTS).await?;
        self.0.store_of(era)?.lease_time_to_live(id, keys).await
    }

    async fn status(&self) -> Result<Status, BackendError> {
        let era = self.0.before(&READ_FAULTS).await?;
        self.0.store_of(era)?.status().await
    }
}

impl fmt::Debug for FaultyBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FaultyBackend").field(&self.0.number).field(&self.0.cluster).finish()
    }
}
