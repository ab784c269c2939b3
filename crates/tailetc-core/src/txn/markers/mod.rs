//! Commit markers: how an unknown outcome becomes a known one.
//!
//! Each commit also puts a small key, its marker, and demands that the marker is as the commit
//! before has left it. If no answer comes, a *fence* puts the same marker under the same demand:
//! either the fence succeeds, and the commit, should it still arrive, must fail; or the marker
//! shows that the commit was there first, and at which revision.
//!
//! A marker serves one commit at a time, so that commits do not wait for each other: there are as
//! many as commits were ever under way at once. Their names hold the lease that they hang on, which
//! the store made unique; what a process leaves behind goes away with it.

mod flight;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::sleep;

pub(super) use self::flight::{Flight, Resolution};
use crate::backend::{BackendError, BackendErrorKind, KvBackend};
use crate::db::Options;
use crate::tail::in_time;
use crate::{Error, LeaseId, Revision};

/// The shortest life of the lease: long enough to resolve what was under way when the connection
/// broke.
const LEASE_SECONDS: u64 = 60;

/// The markers of one `Db`.
#[derive(Debug)]
pub(crate) struct Markers {
    place: Bytes,
    ttl_seconds: u64,
    limit: Duration,
    /// Of the last commit.
    sequence: AtomicU64,
    slots: Mutex<Slots>,
}

#[derive(Debug, Default)]
struct Slots {
    /// None once it has ended: the next commit needs another.
    lease: Option<LeaseId>,
    /// How many names have been given out under this lease.
    named: u64,
    free: Vec<Slot>,
}

/// A marker that no commit is using.
#[derive(Debug)]
struct Slot {
    key: Bytes,
    lease: LeaseId,
    /// Its `mod_revision`; none if a commit may still be on its way to it.
    last: Option<Revision>,
}

impl Markers {
    /// Markers below `place`, for a `Db` with this prefix.
    pub(crate) async fn open(
        backend: &dyn KvBackend,
        place: Bytes,
        prefix: &[u8],
        options: &Options,
    ) -> Result<Self, Error> {
        let invalid = |reason: &str| Error::InvalidOption {
            option: "commit_markers",
            reason: reason.to_owned(),
        };
        if !place.ends_with(b"/") {
            return Err(invalid("must end with '/'"));
        }
        if place.starts_with(prefix) || prefix.starts_with(&place) {
            return Err(invalid("must be outside of the prefix of the Db"));
        }
        if !backend.capabilities().leases {
            return Err(invalid("the store has no leases"));
        }
        let ttl_seconds = LEASE_SECONDS.max(options.commit_timeout.as_secs().saturating_mul(4));
        let markers = Self {
            place,
            ttl_seconds,
            limit: options.commit_timeout,
            sequence: AtomicU64::new(0),
            slots: Mutex::default(),
        };
        markers.lease(backend).await.map_err(|error| Error::backend("commit markers", error))?;
        Ok(markers)
    }

    /// The length in bytes of what the names of all markers begin with.
    pub(crate) fn place_len(&self) -> usize {
        self.place.len()
    }

    /// Renews the lease, for as long as it is polled.
    pub(crate) async fn keep_alive(&self, backend: &dyn KvBackend) -> std::convert::Infallible {
        loop {
            sleep(Duration::from_secs(self.ttl_seconds / 3)).await;
            let lease = self.slots().lease;
            if let Some(lease) = lease {
                self.check_lease(backend, lease).await;
            }
        }
    }

    /// Readies a marker for one commit.
    pub(super) async fn take(&self, backend: &dyn KvBackend) -> Result<Flight<'_>, BackendError> {
        let mut lease_may_have_ended = true;
        loop {
            let lease = self.lease(backend).await?;
            let slot = self.pop(lease);
            let sequence = self.sequence.fetch_add(1, Ordering::Relaxed) + 1;
            let mut flight = Flight::new(self, slot, sequence);
            match flight.settle(backend).await {
                Ok(()) => return Ok(flight),
                Err(error) => {
                    let ended = error.kind() == BackendErrorKind::LeaseNotFound;
                    if !ended || !std::mem::take(&mut lease_may_have_ended) {
                        return Err(error);
                    }
                    self.forget(lease);
                }
            }
        }
    }

    /// Renews a lease, and forgets it with all its markers if it has ended. Returns whether it has.
    async fn check_lease(&self, backend: &dyn KvBackend, lease: LeaseId) -> bool {
        let renewed = in_time(self.limit, backend.lease_keep_alive(lease)).await;
        let ended = matches!(renewed, Ok(None));
        if ended {
            self.forget(lease);
        }
        ended
    }

    fn forget(&self, lease: LeaseId) {
        let mut slots = self.slots();
        if slots.lease == Some(lease) {
            *slots = Slots::default();
        }
    }

    /// The lease, granted if there is none.
    async fn lease(&self, backend: &dyn KvBackend) -> Result<LeaseId, BackendError> {
        let present = self.slots().lease;
        if let Some(lease) = present {
            return Ok(lease);
        }
        let ttl = i64::try_from(self.ttl_seconds).unwrap_or(i64::MAX);
        let granted = in_time(self.limit, backend.lease_grant(LeaseId::NONE, ttl)).await?;
        // Another commit may have been faster; then this lease ends by itself.
        Ok(*self.slots().lease.get_or_insert(granted.id))
    }

    fn pop(&self, lease: LeaseId) -> Slot {
        let mut slots = self.slots();
        let clean = slots.free.iter().rposition(|slot| slot.last.is_some());
        let index = clean.or_else(|| slots.free.len().checked_sub(1));
        if let Some(index) = index {
            return slots.free.swap_remove(index);
        }
        slots.named += 1;
        let name = format!("{lease}/{}", slots.named);
        let key = [&self.place, name.as_bytes()].concat().into();
        // Nobody else uses this name, and nobody has.
        Slot { key, lease, last: Some(Revision::ZERO) }
    }

    fn put_back(&self, slot: Slot) {
        let mut slots = self.slots();
        if slots.lease == Some(slot.lease) {
            slots.free.push(slot);
        }
    }

    fn slots(&self) -> MutexGuard<'_, Slots> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
