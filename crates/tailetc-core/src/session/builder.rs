//! Opening a session.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{Notify, oneshot, watch};

use super::keeper::{Keeper, grant};
use super::keys::Keys;
use super::states::Status;
use super::{Inner, OnLoss, Session, SessionState};
use crate::{Db, Error};

impl Db {
    /// A [`Session`] whose keys the store deletes when it has not been heard of for `ttl`: whole
    /// seconds, rounded up. The store may raise it (etcd: to 1.5 election timeouts, 2 s by
    /// default). Each session has a lease and a task of its own.
    pub fn session(&self, ttl: Duration) -> SessionBuilder {
        SessionBuilder { db: self.clone(), ttl, on_loss: OnLoss::default() }
    }
}

/// Opens a [`Session`]: see [`Db::session`].
#[derive(Debug)]
pub struct SessionBuilder {
    db: Db,
    ttl: Duration,
    on_loss: OnLoss,
}

impl SessionBuilder {
    /// What becomes of the session when its lease is lost. Default [`OnLoss::Stop`].
    #[must_use]
    pub fn on_loss(mut self, on_loss: OnLoss) -> Self {
        self.on_loss = on_loss;
        self
    }

    /// Grants the lease and keeps it alive from now on, with a task on the present tokio runtime.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future may leave a lease without keys, which ends by itself.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidOption`] for a time of zero, or a store without leases; [`Error::Backend`]
    /// if the store cannot be reached within [`commit_timeout`](crate::Options::commit_timeout) or
    /// refuses; [`Error::Closed`].
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub async fn open(self) -> Result<Session, Error> {
        let Self { db, ttl, on_loss } = self;
        let shared = db.shared();
        shared.check_open()?;
        let invalid = |reason: &str| Error::InvalidOption { option: "ttl", reason: reason.into() };
        if ttl.is_zero() {
            return Err(invalid("must not be zero"));
        }
        if !shared.backend.capabilities().leases {
            return Err(invalid("the store has no leases"));
        }
        let epoch = shared.with_state(|state| state.epoch);
        let held = grant(shared, ttl).await.map_err(|error| Error::backend("session", error))?;
        let inner = Arc::new(Inner {
            on_loss,
            status: watch::Sender::new(Status {
                state: SessionState::Live { lease: held.lease, taken: Arc::default() },
                lease: held.lease,
                ttl: held.ttl,
                deadline: held.deadline(),
            }),
            keys: Mutex::new(Keys::new(held.lease)),
            writing: tokio::sync::Mutex::default(),
            suspected: Notify::new(),
            stale: Notify::new(),
        });
        let (end, ended) = oneshot::channel();
        let keeper = Keeper::new(db.clone(), Arc::clone(&inner), ttl);
        let task = tokio::spawn(keeper.run(held, epoch, ended));
        Ok(Session { db, inner, end, task })
    }
}
