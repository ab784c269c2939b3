//! The task of a session: renews the lease, notices its loss, establishes it anew, revokes it.

use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use super::{Inner, LeaseLoss, OnLoss, SessionState};
use crate::backend::{BackendError, BackendErrorKind};
use crate::db::Shared;
use crate::tail::{Backoff, in_time};
use crate::{Db, Error, LeaseId};

/// A lease, as it was granted or renewed last.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    pub(super) lease: LeaseId,
    pub(super) ttl: Duration,
    /// When the last request that was answered was sent.
    sent: Instant,
}

impl Held {
    /// When the store may have ended it.
    pub(super) fn deadline(&self) -> Instant {
        self.sent + self.ttl
    }
}

pub(super) async fn grant(shared: &Shared, ttl: Duration) -> Result<Held, BackendError> {
    let seconds = ttl.as_secs().saturating_add(u64::from(ttl.subsec_nanos() > 0));
    let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
    let sent = Instant::now();
    let granted = shared.backend.lease_grant(LeaseId::NONE, seconds);
    let granted = in_time(shared.options.commit_timeout, granted).await?;
    Ok(Held { lease: granted.id, ttl: seconds_of(granted.ttl_seconds), sent })
}

/// What the store says, up to what any clock can say.
fn seconds_of(ttl_seconds: i64) -> Duration {
    Duration::from_secs(ttl_seconds.clamp(0, 1 << 30).unsigned_abs())
}

pub(super) struct Keeper {
    db: Db,
    inner: Arc<Inner>,
    /// What was asked for.
    ttl: Duration,
}

impl Keeper {
    pub(super) fn new(db: Db, inner: Arc<Inner>, ttl: Duration) -> Self {
        Self { db, inner, ttl }
    }

    /// Lives until the session ends, then revokes the lease that is alive.
    pub(super) async fn run(
        self,
        held: Held,
        epoch: u64,
        ended: oneshot::Receiver<()>,
    ) -> Result<(), Error> {
        let mut positions = self.db.shared().position.subscribe();
        tokio::select! {
            biased;
            // Never sent to: the session is gone.
            _ = ended => {}
            () = async { drop(positions.wait_for(|now| now.closed.is_some()).await) } => {}
            never = self.live(held, epoch) => match never {},
        }
        self.set_state(SessionState::Ended);
        let (lease, deadline) = {
            let status = self.inner.status.borrow();
            (status.lease, status.deadline)
        };
        let shared = Arc::clone(self.db.shared());
        // What is left to do needs no copy.
        drop((self, positions));
        if Instant::now() >= deadline {
            return Ok(());
        }
        revoke(&shared, lease, deadline).await
    }

    async fn live(&self, mut held: Held, mut epoch: u64) -> Infallible {
        loop {
            let reason = self.hold(held, epoch).await;
            let lease = held.lease;
            tracing::info!(%lease, ?reason, "the lease of a session is lost");
            self.inner.status.send_modify(|status| {
                status.state = SessionState::Lost { lease, reason };
                status.deadline = Instant::now();
            });
            if self.inner.on_loss == OnLoss::Stop {
                return pending().await;
            }
            (held, epoch) = self.regain().await;
        }
    }

    /// Keeps the lease alive, and its keys on it, until it is lost.
    async fn hold(&self, held: Held, epoch: u64) -> LeaseLoss {
        let mut positions = self.db.shared().position.subscribe();
        tokio::select! {
            biased;
            reason = self.renew(held) => reason,
            () = async { drop(positions.wait_for(|now| now.epoch != epoch).await) } => {
                LeaseLoss::HistoryLost
            }
            never = self.tend(held.lease) => match never {},
        }
    }

    /// Renews the lease until it is lost.
    async fn renew(&self, mut held: Held) -> LeaseLoss {
        let shared = self.db.shared();
        let mut due = held.sent + self.interval(held.ttl);
        loop {
            let deadline = held.deadline();
            tokio::select! {
                () = sleep_until(due.min(deadline)) => {}
                () = self.inner.suspected.notified() => {}
            }
            let sent = Instant::now();
            if sent >= deadline {
                return LeaseLoss::NotRenewed;
            }
            // A request that hangs leaves time for another one.
            let limit = deadline.min(sent + held.ttl / 3);
            match timeout_at(limit, shared.backend.lease_keep_alive(held.lease)).await {
                Ok(Ok(Some(renewed))) => {
                    held = Held { sent, ttl: seconds_of(renewed.ttl_seconds), ..held };
                    due = sent + self.interval(held.ttl);
                    if !self.set_deadline(held) {
                        return LeaseLoss::NotRenewed;
                    }
                }
                Ok(Ok(None)) => return LeaseLoss::Gone,
                failed => {
                    tracing::debug!(?failed, lease = %held.lease, "a lease was not renewed");
                    due = Instant::now() + (held.ttl / 12).mul_f64(0.5 + shared.random() / 2.0);
                }
            }
        }
    }

    /// The time between two renewals: between a quarter and a third of the whole, so that sessions
    /// that were opened together do not stay together.
    fn interval(&self, ttl: Duration) -> Duration {
        (ttl / 3).mul_f64(0.75 + self.db.shared().random() / 4.0)
    }

    /// Puts the session's keys again with this lease, and says that it is alive once all are; then
    /// those that turn out to have been put with an earlier one.
    async fn tend(&self, lease: LeaseId) -> Infallible {
        let mut backoff = Backoff::new(&self.db.shared().options);
        loop {
            while let Err(error) = self.inner.restore(&self.db, lease).await {
                tracing::debug!(%error, "the keys of a session could not be put again");
                if error.backend_kind() == Some(BackendErrorKind::LeaseNotFound) {
                    self.inner.suspected.notify_one();
                }
                sleep(backoff.pause(self.db.shared().random())).await;
            }
            backoff.reset();
            let taken = self.inner.keys().taken();
            let state = SessionState::Live { lease, taken };
            self.inner.status.send_if_modified(|status| {
                let changes = status.state != state;
                status.state = state;
                changes
            });
            self.inner.stale.notified().await;
        }
    }

    /// Gets another lease, on a copy that shows the store as it is.
    async fn regain(&self) -> (Held, u64) {
        let shared = self.db.shared();
        let mut backoff = Backoff::new(&shared.options);
        loop {
            match self.try_regain().await {
                Ok((held, epoch)) => {
                    self.inner.keys().add_lease(held.lease);
                    self.inner.status.send_if_modified(|status| {
                        (status.lease, status.ttl) = (held.lease, held.ttl);
                        status.deadline = held.deadline();
                        false
                    });
                    return (held, epoch);
                }
                Err(error) => tracing::debug!(%error, "a session could not be established anew"),
            }
            sleep(backoff.pause(shared.random())).await;
        }
    }

    async fn try_regain(&self) -> Result<(Held, u64), Error> {
        self.db.fresh().await?;
        let shared = self.db.shared();
        let epoch = shared.with_state(|state| state.epoch);
        let held =
            grant(shared, self.ttl).await.map_err(|error| Error::backend("session", error))?;
        Ok((held, epoch))
    }

    fn set_state(&self, state: SessionState) {
        self.inner.status.send_modify(|status| status.state = state);
    }

    /// False if the deadline has passed: by then somebody may have been told that the lease is lost.
    fn set_deadline(&self, held: Held) -> bool {
        let mut is_in_time = false;
        self.inner.status.send_if_modified(|status| {
            is_in_time = Instant::now() < status.deadline;
            if is_in_time {
                (status.ttl, status.deadline) = (held.ttl, held.deadline());
            }
            false
        });
        is_in_time
    }
}

/// Revokes a lease, unless it has ended by itself meanwhile, or the store does not answer in time.
async fn revoke(shared: &Shared, lease: LeaseId, deadline: Instant) -> Result<(), Error> {
    let deadline = deadline.min(Instant::now() + shared.options.commit_timeout);
    let mut backoff = Backoff::new(&shared.options);
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let error = match in_time(left, shared.backend.lease_revoke(lease)).await {
            Ok(_) => return Ok(()),
            // By an earlier try, whose answer was lost, or by itself.
            Err(error) if error.kind() == BackendErrorKind::LeaseNotFound => return Ok(()),
            Err(error) => error,
        };
        let pause = backoff.pause(shared.random());
        if !error.kind().is_transient() || Instant::now() + pause >= deadline {
            return Err(Error::backend("session", error));
        }
        sleep(pause).await;
    }
}
