//! Keys that live as long as the program that put them: a lease, kept alive.
//!
//! ```text
//!            open           its time is over, the store does not know it,
//!   (grant) ------> Live    or the history it is of is gone
//!                    | ----------------------------------> Lost --- OnLoss::Stop: stays so
//!                    | ^                                     |
//!                    | '--- OnLoss::Reestablish: another ----'
//!                    |      lease, its keys put again        |
//!                    | close, drop, the Db is closed         |
//!                    '------> Ended (revoked) <--------------'
//! ```

mod builder;
mod keeper;
mod keys;
mod restore;
mod states;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot, watch};
use tokio::task::JoinHandle;

pub use self::builder::SessionBuilder;
use self::keys::{Aside, Keys};
use self::states::Status;
pub use self::states::{LeaseLoss, OnLoss, SessionState, SessionStates};
use crate::backend::BackendErrorKind;
use crate::txn::Prepared;
use crate::{Codec, Collection, Commit, Db, Error, LeaseId, Txn};

/// A lease that is kept alive for as long as this exists, and the keys that hang on it: presence,
/// locks, leadership. When the program dies, the store deletes the keys within the session's time.
///
/// Opened with [`Db::session`]. Dropping it revokes the lease, which deletes the keys.
///
/// ```
/// use std::time::Duration;
///
/// use tailetc_core::{Bytes, Db, Error, OnLoss, RAW};
///
/// # async fn example(db: Db) -> Result<(), Error> {
/// let session = db.session(Duration::from_secs(10)).on_loss(OnLoss::Reestablish).open().await?;
/// session.put(RAW, "members/a", Bytes::from("10.0.0.7:80")).await?;
/// // .. here for as long as it lives; then:
/// session.close().await?;
/// assert!(db.get(RAW, "members/a")?.is_none());
/// # Ok(())
/// # }
/// ```
///
/// # Time
///
/// The lease is renewed about every third of its time, with jitter; a renewal that fails is tried
/// again soon. It counts as lost as soon as its whole time has passed since the last renewal *that
/// was answered was sent*: the store cannot have ended it before, as far as the clocks of both run
/// equally fast. No request is under way beyond that moment.
///
/// # Loss
///
/// [`lost`](Self::lost) returns, [`states`](Self::states) tell, [`put`](Self::put) and
/// [`transact`](Self::transact) fail. What comes then is [`OnLoss`]. A lease that was lost is never
/// renewed again; if the store still has it, it ends there by itself, within its time.
///
/// A lease that the store ends *early* (an operator has revoked it) is known to be lost with the
/// next renewal, or the next put with it: up to a third of its time later. Its keys are gone from
/// the copy sooner than that: who must know at once watches them.
///
/// A request of unknown outcome that puts keys again, or for the first time, and arrives late, does
/// nothing while these keys are there: it is guarded by their revisions. If they were written and
/// deleted again meanwhile, it puts them once more, until its lease ends.
///
/// A program that acts on the strength of a key (a leader) stops when the session is lost; and
/// because it may be asleep at that moment, each of its transactions reads that key, so that none
/// is committed any more once the key is gone.
///
/// # The copy
///
/// A session is a handle on its [`Db`] and keeps it open. When the `Db` is closed, the session ends
/// and revokes its lease. When the history of the cluster is lost (it was restored from a backup),
/// so is the lease, whether the restored store knows it or not.
///
/// # Tasks
///
/// One, which ends with the session: after a drop, once the lease is revoked, or its time or
/// [`commit_timeout`](crate::Options::commit_timeout) is over, whichever is first.
#[must_use = "dropping the session revokes its lease"]
pub struct Session {
    db: Db,
    inner: Arc<Inner>,
    /// Dropped with the session, which the task takes for the end.
    end: oneshot::Sender<()>,
    task: JoinHandle<Result<(), Error>>,
}

/// What the session and its task share.
struct Inner {
    on_loss: OnLoss,
    status: watch::Sender<Status>,
    /// A `std` lock, held for memory work only.
    keys: Mutex<Keys>,
    /// Held by whoever writes keys of a session that remembers them, so that what is remembered of
    /// each is what was written last.
    writing: tokio::sync::Mutex<()>,
    /// The lease may have ended: renew it now.
    suspected: Notify,
    /// A key hangs on a lease that was lost while it was put.
    stale: Notify,
}

impl Session {
    /// The state now. By the clock, too: a lease whose time is over is shown as lost, even if the
    /// session's task has not had its turn yet.
    pub fn state(&self) -> SessionState {
        self.inner.status.borrow().now()
    }

    /// The state now, and then whenever it changes.
    pub fn states(&self) -> SessionStates {
        SessionStates::new(self.inner.status.subscribe())
    }

    /// The lease, while it is alive.
    pub fn lease(&self) -> Option<LeaseId> {
        match self.state() {
            SessionState::Live { lease, .. } => Some(lease),
            SessionState::Lost { .. } | SessionState::Ended => None,
        }
    }

    /// How long the lease lives without renewal, as the store has granted it: it may raise what was
    /// asked for.
    pub fn ttl(&self) -> Duration {
        self.inner.status.borrow().ttl
    }

    /// Returns when the lease that is alive now is lost or ended, also if another one has taken its
    /// place meanwhile; at once if none is alive. By the clock, as [`state`](Self::state) is: also
    /// when the session's task has no turn, or was ended with its runtime.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub async fn lost(&self) {
        let Some(lease) = self.lease() else { return };
        let mut status = self.inner.status.subscribe();
        while self.inner.status.borrow().now().is_live_with(lease) {
            states::changed(&mut status, true).await;
        }
    }

    /// Puts a key that hangs on the session's lease: see [`transact`](Self::transact).
    ///
    /// # Cancel safety
    ///
    /// As for [`transact`](Self::transact).
    ///
    /// # Errors
    ///
    /// [`Error::LeaseLost`]; those of [`Txn::put`] and [`Db::transact`].
    pub async fn put<C: Codec, P>(
        &self,
        collection: Collection<C, P>,
        key: impl AsRef<[u8]>,
        value: impl Into<Arc<C::Value>>,
    ) -> Result<Commit, Error> {
        let (key, value) = (key.as_ref(), value.into());
        let put = self
            .transact(|txn, lease| txn.put_with_lease(collection, key, Arc::clone(&value), lease));
        Ok(put.await?.1)
    }

    /// Deletes a key, and forgets it: the session does not put it again.
    ///
    /// # Cancel safety
    ///
    /// As for [`transact`](Self::transact).
    ///
    /// # Errors
    ///
    /// As for [`put`](Self::put).
    pub async fn delete<C: Codec, P>(
        &self,
        collection: Collection<C, P>,
        key: impl AsRef<[u8]>,
    ) -> Result<Commit, Error> {
        let key = key.as_ref();
        Ok(self.transact(|txn, _| txn.delete(collection, key)).await?.1)
    }

    /// Runs `body` in a transaction, as [`Db::transact`] does, with the session's lease for
    /// [`Txn::put_with_lease`]. The next attempt may have another lease.
    ///
    /// With [`OnLoss::Reestablish`] the session remembers what the transaction puts with the lease,
    /// to put it again, and forgets the other keys that it writes. Transactions of such a session
    /// run one after another, and not while its keys are put again: a future that is neither polled
    /// nor dropped holds up both.
    ///
    /// ```
    /// # use tailetc_core::{Bytes, Error, RAW, Session};
    /// /// Becomes the leader, if there is none.
    /// async fn elect(session: &Session) -> Result<bool, Error> {
    ///     let election = session.transact(|txn, lease| {
    ///         let free = !txn.contains(RAW, "leader")?;
    ///         if free {
    ///             txn.put_with_lease(RAW, "leader", Bytes::from("me"), lease)?;
    ///         }
    ///         Ok::<_, Error>(free)
    ///     });
    ///     Ok(election.await?.0)
    /// }
    /// ```
    ///
    /// # Cancel safety
    ///
    /// As for [`Txn::commit`]. Once the future was dropped, or if the outcome is unknown, nothing is
    /// remembered of the keys that it was to write, neither what it put nor what was there before:
    /// to put that again might undo what was applied. They end with the lease and are not put again,
    /// until the session writes them anew.
    ///
    /// # Errors
    ///
    /// [`Error::LeaseLost`] if the lease is not alive, as far as is known here, or the store does
    /// not know it any more; those of [`Db::transact`].
    pub async fn transact<T, E: From<Error>>(
        &self,
        mut body: impl FnMut(&mut Txn, LeaseId) -> Result<T, E>,
    ) -> Result<(T, Commit), E> {
        self.inner.live_lease()?;
        let _writing = match self.inner.on_loss {
            OnLoss::Reestablish => Some(self.inner.writing.lock().await),
            OnLoss::Stop => None,
        };
        let (mut under, mut written, mut aside) = (LeaseId::NONE, Vec::new(), Aside::default());
        let run = self.db.transact(|txn| {
            // An attempt before this one was not applied.
            self.inner.keys().put_back(&mut aside);
            under = self.inner.live_lease()?;
            let value = body(txn, under).map_err(Failure::Body)?;
            written = txn.prepared();
            aside = self.inner.keys().set_aside(&written);
            Ok::<_, Failure<E>>(value)
        });
        match run.await {
            Ok(done) => {
                self.inner.remember(under, written);
                Ok(done)
            }
            Err(Failure::Body(error)) => Err(error),
            Err(Failure::Db(error)) => {
                let has_ended = error.backend_kind() == Some(BackendErrorKind::LeaseNotFound);
                let is_sole = has_ended && names_only(&written, under);
                if error.committed().is_some() {
                    self.inner.remember(under, written);
                } else if !error.is_outcome_unknown() {
                    self.inner.keys().put_back(&mut aside);
                }
                if has_ended {
                    self.inner.suspected.notify_one();
                }
                Err(if is_sole { self.inner.lost_lease(under) } else { error }.into())
            }
        }
    }

    /// Ends the session: revokes the lease, so that the store deletes its keys, and waits for that.
    /// A lease that is lost is left to end by itself.
    ///
    /// # Cancel safety
    ///
    /// The session ends all the same.
    ///
    /// # Errors
    ///
    /// [`Error::Backend`] if the lease could not be revoked before its time or
    /// [`commit_timeout`](crate::Options::commit_timeout) was over; then it ends by itself.
    pub async fn close(self) -> Result<(), Error> {
        let Self { end, task, db, .. } = self;
        drop((end, db));
        // The task is not aborted by anybody but its runtime's shutdown, which ends this one, too.
        task.await.unwrap_or(Ok(()))
    }
}

impl Inner {
    /// The lease to write with.
    fn live_lease(&self) -> Result<LeaseId, Error> {
        let status = self.status.borrow();
        match status.now() {
            SessionState::Live { lease, .. } => Ok(lease),
            SessionState::Lost { lease, .. } => Err(self.lost_lease(lease)),
            SessionState::Ended => Err(Error::LeaseLost { lease: status.lease, returns: false }),
        }
    }

    fn lost_lease(&self, lease: LeaseId) -> Error {
        Error::LeaseLost { lease, returns: self.on_loss == OnLoss::Reestablish }
    }

    /// Takes note of a committed transaction.
    fn remember(&self, lease: LeaseId, written: Vec<(Prepared, LeaseId)>) {
        if self.on_loss != OnLoss::Reestablish {
            return;
        }
        let taken = self.keys().remember(lease, written);
        let mut is_stale = false;
        self.status.send_if_modified(|status| {
            is_stale = status.lease != lease;
            status.set_taken(taken)
        });
        if is_stale {
            self.stale.notify_one();
        }
    }

    fn keys(&self) -> MutexGuard<'_, Keys> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the lease is the only one that the writes put keys with.
fn names_only(written: &[(Prepared, LeaseId)], lease: LeaseId) -> bool {
    let mut leases = written.iter().map(|(_, of)| *of).filter(|of| *of != LeaseId::NONE).peekable();
    leases.peek().is_some() && leases.all(|of| of == lease)
}

/// Whose error ended a transaction.
enum Failure<E> {
    Body(E),
    Db(Error),
}

impl<E> From<Error> for Failure<E> {
    fn from(error: Error) -> Self {
        Self::Db(error)
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("state", &self.state())
            .field("ttl", &self.ttl())
            .field("on_loss", &self.inner.on_loss)
            .finish_non_exhaustive()
    }
}
