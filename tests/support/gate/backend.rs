//! What a [`Gate`] does to requests and watches.

use std::fmt;
use std::pin::Pin;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use tailetc::backend::{
    BackendError, BackendErrorKind, Capabilities, Header, KvBackend, Lease, LeaseTimeToLive,
    RangeRequest, RangeResponse, Status, TxnRequest, TxnResponse, WatchRequest, WatchResponse,
    Watcher,
};
use tailetc::{LeaseId, Revision};
use tokio::sync::watch;

use super::Gate;

#[async_trait]
impl KvBackend for Gate {
    fn capabilities(&self) -> Capabilities {
        let mut capabilities = self.store().capabilities();
        capabilities.reliable_progress &= !self.0.unreliable_progress.load(Ordering::SeqCst);
        capabilities
    }

    async fn range(&self, request: RangeRequest) -> Result<RangeResponse, BackendError> {
        self.answering().await?;
        self.dawdle().await;
        let is_header = request.range.is_single_key();
        let is_page = !is_header && request.min_mod_revision.is_zero();
        self.0.ranges.fetch_add(1, Ordering::SeqCst);
        if request.limit > self.0.most_keys.load(Ordering::SeqCst) {
            return Err(BackendError::new(BackendErrorKind::Timeout, "too slow"));
        }
        if is_page {
            self.0.before_page.run().await;
            self.check()?;
        }
        let mut response = self.store().range(request).await?;
        response.header = self.header(response.header);
        if is_page {
            self.0.after_page.run().await;
        }
        if is_header {
            self.0.after_header.run().await;
        }
        Ok(response)
    }

    async fn txn(&self, request: TxnRequest) -> Result<TxnResponse, BackendError> {
        *self.0.last_txn.lock().unwrap() = Some(request.clone());
        self.0.txns.fetch_add(1, Ordering::SeqCst);
        self.answering().await?;
        if self.0.lose_requests.load(Ordering::SeqCst) {
            return Err(BackendError::new(BackendErrorKind::Unavailable, "the request was lost"));
        }
        if self.0.swallow_txn.swap(false, Ordering::SeqCst) {
            *self.0.late.lock().unwrap() = Some(request);
            return std::future::pending().await;
        }
        self.dawdle().await;
        let mut response = self.store().txn(request).await?;
        self.dawdle().await;
        self.0.answered.fetch_add(1, Ordering::SeqCst);
        response.header = self.header(response.header);
        let mut held = self.0.answers_held.subscribe();
        let _ = held.wait_for(|held| !held).await;
        let lost = |left: u64| left.checked_sub(1);
        if self.0.lose_replies.fetch_update(Ordering::SeqCst, Ordering::SeqCst, lost).is_ok() {
            return Err(BackendError::new(BackendErrorKind::Unavailable, "the reply was lost"));
        }
        Ok(response)
    }

    async fn watch(&self, mut request: WatchRequest) -> Result<Box<dyn Watcher>, BackendError> {
        self.answering().await?;
        let rewind = self.0.rewind.swap(0, Ordering::SeqCst);
        request.start_revision = Revision::new(request.start_revision.get() - rewind);
        self.0.watches.fetch_add(1, Ordering::SeqCst);
        // Before the store is asked: a watch that it has opened can be cut.
        let (held, cuts) = (self.0.held.subscribe(), self.0.cuts.subscribe());
        let opened_at = *self.0.frozen.borrow();
        let (frozen, failing) = (self.0.frozen.subscribe(), self.0.failing.subscribe());
        let watcher = self.store().watch(request).await?;
        Ok(Box::new(GatedWatcher {
            gate: self.clone(),
            watcher,
            held,
            cuts,
            opened_at,
            frozen,
            failing,
            kept: None,
            acting: None,
        }))
    }

    async fn compact(&self, revision: Revision) -> Result<Header, BackendError> {
        self.store().compact(revision).await
    }

    async fn lease_grant(&self, id: LeaseId, ttl_seconds: i64) -> Result<Lease, BackendError> {
        self.answering().await?;
        let lease = self.store().lease_grant(id, ttl_seconds).await?;
        self.0.last_lease.store(lease.id.get(), Ordering::SeqCst);
        Ok(lease)
    }

    async fn lease_revoke(&self, id: LeaseId) -> Result<Header, BackendError> {
        self.answering().await?;
        self.store().lease_revoke(id).await
    }

    async fn lease_keep_alive(&self, id: LeaseId) -> Result<Option<Lease>, BackendError> {
        self.answering().await?;
        self.store().lease_keep_alive(id).await
    }

    async fn lease_time_to_live(
        &self,
        id: LeaseId,
        keys: bool,
    ) -> Result<Option<LeaseTimeToLive>, BackendError> {
        self.store().lease_time_to_live(id, keys).await
    }

    async fn status(&self) -> Result<Status, BackendError> {
        self.store().status().await
    }
}

impl Gate {
    async fn dawdle(&self) {
        for _ in 0..4 * u8::from(self.0.yields.load(Ordering::SeqCst)) {
            tokio::task::yield_now().await;
        }
    }

    /// Waits for as long as nothing is answered.
    async fn answering(&self) -> Result<(), BackendError> {
        let _ = self.0.hanging.subscribe().wait_for(|hanging| !hanging).await;
        self.check()
    }

    /// Fails while everything does.
    fn check(&self) -> Result<(), BackendError> {
        let failing = *self.0.failing.borrow();
        failing.map_or(Ok(()), |kind| Err(self.failure(kind)))
    }

    fn failure(&self, kind: BackendErrorKind) -> BackendError {
        self.0.failures.fetch_add(1, Ordering::SeqCst);
        BackendError::new(kind, format!("broken: {kind:?}"))
    }
}

#[derive(Debug)]
struct GatedWatcher {
    gate: Gate,
    watcher: Box<dyn Watcher>,
    held: watch::Receiver<bool>,
    cuts: watch::Receiver<u64>,
    opened_at: u64,
    frozen: watch::Receiver<u64>,
    failing: watch::Receiver<Option<BackendErrorKind>>,
    /// Received from the store, not yet delivered.
    kept: Option<Result<WatchResponse, BackendError>>,
    /// What happens before it is.
    acting: Option<Acting>,
}

/// What a hook does.
struct Acting(Pin<Box<dyn Future<Output = ()> + Send>>);

impl fmt::Debug for Acting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Acting")
    }
}

#[async_trait]
impl Watcher for GatedWatcher {
    async fn next(&mut self) -> Result<WatchResponse, BackendError> {
        let Self { gate, watcher, held, cuts, kept, acting, opened_at, frozen, failing } = self;
        let response = tokio::select! {
            biased;
            () = async { drop(frozen.wait_for(|frozen| frozen != opened_at).await) } => {
                std::future::pending().await
            }
            kind = async {
                let failing = failing.wait_for(Option::is_some).await;
                failing.map_or(None, |kind| *kind)
            } => Err(gate.failure(kind.expect("the gate outlives its watches"))),
            _ = cuts.changed() => {
                Err(BackendError::new(BackendErrorKind::Unavailable, "the watch was cut"))
            }
            response = async {
                loop {
                    let _ = held.wait_for(|held| !held).await;
                    if let Some(action) = acting {
                        action.0.as_mut().await;
                        *acting = None;
                    }
                    if let Some(response) = kept.take() {
                        return response;
                    }
                    tokio::select! {
                        biased;
                        _ = held.wait_for(|held| *held) => {}
                        // The hold may have begun after it was looked at.
                        response = watcher.next() => {
                            *kept = Some(response);
                            *acting = gate.0.after_response.take().map(Acting);
                        }
                    }
                }
            } => response,
        };
        Ok(match response? {
            WatchResponse::Events { header, mut events } => {
                let lost = gate.0.lost_key.lock().unwrap().clone();
                events.retain(|event| lost.as_ref().is_none_or(|lost| event.kv.key != **lost));
                WatchResponse::Events { header: gate.header(header), events }
            }
            WatchResponse::Progress { mut header } => {
                if gate.0.zero_progress.load(Ordering::SeqCst) {
                    header.revision = Revision::ZERO;
                }
                WatchResponse::Progress { header: gate.header(header) }
            }
            other => other,
        })
    }

    async fn request_progress(&mut self) -> Result<(), BackendError> {
        if self.gate.0.swallow_progress.load(Ordering::SeqCst) {
            return Ok(());
        }
        self.watcher.request_progress().await
    }
}
