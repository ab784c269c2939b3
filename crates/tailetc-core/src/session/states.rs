//! What a session is in, and how it tells.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use crate::{Key, LeaseId};

/// What a session does when its lease is lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnLoss {
    /// It stays lost: the program decides. The default, because whoever acts on the strength of a
    /// key (a lock, leadership) must know that somebody else may have had it meanwhile.
    #[default]
    Stop,
    /// It gets another lease as soon as the store answers, with growing pauses, and puts its keys
    /// again with the values that they had, where nobody else has put them meanwhile: for presence.
    /// Keys are put in as few transactions as the store's limits allow; it is [`Live`] again when
    /// all are.
    ///
    /// [`Live`]: SessionState::Live
    Reestablish,
}

/// The state of a [`Session`](crate::Session).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionState {
    /// The lease is alive.
    #[non_exhaustive]
    Live {
        /// The lease.
        lease: LeaseId,
        /// The keys that were the session's and could not be put again when it was established
        /// anew, because the key, or an index key of its value in a unique index, was somebody
        /// else's by then, or the store refused it for good: whole keys, in order. A key leaves
        /// this list when the session writes it again.
        taken: Arc<[Key]>,
    },
    /// The lease is gone, or may be.
    #[non_exhaustive]
    Lost {
        /// The last lease.
        lease: LeaseId,
        /// How that is known.
        reason: LeaseLoss,
    },
    /// The session or its `Db` was closed.
    Ended,
}

impl SessionState {
    /// Whether the lease is alive.
    pub fn is_live(&self) -> bool {
        matches!(self, Self::Live { .. })
    }

    pub(super) fn is_live_with(&self, of: LeaseId) -> bool {
        matches!(self, Self::Live { lease, .. } if *lease == of)
    }
}

/// How it is known that a lease is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LeaseLoss {
    /// Its time has passed without an answered renewal: the store may have ended it.
    NotRenewed,
    /// The store does not know it (any more): it ended, or was revoked.
    Gone,
    /// The cluster has lost the history in which the lease and its keys were made.
    HistoryLost,
}

/// The states of a session: see [`Session::states`](crate::Session::states).
#[derive(Debug)]
pub struct SessionStates {
    status: watch::Receiver<Status>,
    /// What was given last; none before the first.
    given: Option<SessionState>,
}

impl SessionStates {
    pub(super) fn new(status: watch::Receiver<Status>) -> Self {
        Self { status, given: None }
    }

    /// At first the state now; then each that differs from the one given last. States that come and
    /// go between two calls are passed over; that the lease is another one shows all the same. None
    /// after [`SessionState::Ended`] was given.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub async fn next(&mut self) -> Option<SessionState> {
        if self.given == Some(SessionState::Ended) {
            return None;
        }
        loop {
            let now = self.status.borrow_and_update().now();
            let is_live = now.is_live();
            if self.given.as_ref() != Some(&now) {
                return self.given.insert(now).clone().into();
            }
            if !changed(&mut self.status, is_live).await {
                // The session is gone, and its runtime has ended the task.
                return self.given.insert(SessionState::Ended).clone().into();
            }
        }
    }
}

/// Waits until there may be another state than the one that was seen, which was alive or not; by
/// the clock, too. False if there never will be.
pub(super) async fn changed(status: &mut watch::Receiver<Status>, was_live: bool) -> bool {
    if !was_live {
        return status.changed().await.is_ok();
    }
    // It is moved without a word, but never once it has passed.
    let deadline = status.borrow().deadline;
    timeout_at(deadline, status.changed()).await.unwrap_or(Ok(())).is_ok()
}

/// The state, with what the task knows.
#[derive(Debug)]
pub(super) struct Status {
    pub(super) state: SessionState,
    /// The last one.
    pub(super) lease: LeaseId,
    pub(super) ttl: Duration,
    /// When the lease is lost, if it is not renewed; or was.
    pub(super) deadline: Instant,
}

impl Status {
    /// The state by the clock.
    pub(super) fn now(&self) -> SessionState {
        match self.state {
            SessionState::Live { lease, .. } if Instant::now() >= self.deadline => {
                SessionState::Lost { lease, reason: LeaseLoss::NotRenewed }
            }
            _ => self.state.clone(),
        }
    }

    /// Replaces the keys that somebody else holds, and returns whether they changed.
    pub(super) fn set_taken(&mut self, now: Arc<[Key]>) -> bool {
        match &mut self.state {
            SessionState::Live { taken, .. } if *taken != now => {
                *taken = now;
                true
            }
            _ => false,
        }
    }
}
