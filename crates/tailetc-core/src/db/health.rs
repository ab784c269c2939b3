//! How the mirror is doing, as data.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::db::Shared;
use crate::{CloseReason, Revision};

/// What the task that follows the store is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Phase {
    /// Following the store: changes arrive as they are made.
    Tailing,
    /// Following the store, but behind: a look at the store has found more than the copy shows, and
    /// the changes in between are still arriving, after a break or because they are made faster
    /// than they are applied. Ends when the copy shows what a look has found.
    Lagging,
    /// The connection broke. Reads are served from the last state; a new connection is tried, with
    /// growing pauses.
    Reconnecting,
    /// History was lost to compaction (or to a restore): the whole prefix is loaded again beside
    /// the last state, which is still served.
    Resyncing,
    /// Closed. Reads are served from the last state for as long as somebody holds it.
    Closed(CloseReason),
}

/// How a [`Db`](crate::Db) is doing.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Health {
    /// What the mirror is doing.
    pub phase: Phase,
    /// For how long it has been doing so.
    pub phase_for: Duration,
    /// The revision that reads see.
    pub revision: Revision,
    /// The highest revision that the store has named. It counts writes elsewhere in the store too:
    /// that it is ahead does not mean that the copy lacks something.
    pub store_revision: Revision,
    /// Everything that was committed longer ago than this is visible to reads, as proven by
    /// linearizable answers. While the store is followed it grows up to
    /// [`progress_interval`](crate::Options::progress_interval) and the time of one look.
    pub age: Duration,
    /// How long ago the store last answered this `Db` or sent anything on the watch. On an idle
    /// prefix it grows up to [`progress_interval`](crate::Options::progress_interval).
    pub last_contact: Duration,
    /// What broke, while it is not mended; when closed, why.
    pub last_error: Option<Arc<str>>,
}

impl Health {
    /// Whether the mirror follows the store and is up to date with it, as far as known: what a
    /// readiness probe asks. A store that has gone silent is noticed by the backend's pings (etcd:
    /// after 15 s), and at the latest after [`progress_interval`] and [`progress_timeout`].
    ///
    /// [`progress_interval`]: crate::Options::progress_interval
    /// [`progress_timeout`]: crate::Options::progress_timeout
    pub fn is_tailing(&self) -> bool {
        self.phase == Phase::Tailing
    }
}

/// What [`Health`] is made from; replaced whole when the phase changes.
#[derive(Clone, Debug)]
pub(crate) struct PhaseRecord {
    pub(crate) phase: Phase,
    pub(crate) since: Instant,
    pub(crate) error: Option<Arc<str>>,
}

/// The changes of a `Db`'s health: see [`Db::health_changes`](crate::Db::health_changes).
#[derive(Debug)]
pub struct HealthChanges {
    shared: Arc<Shared>,
    phases: watch::Receiver<PhaseRecord>,
    /// The phase that was given last; none before the first.
    given: Option<Phase>,
}

impl HealthChanges {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        let phases = shared.phase.subscribe();
        Self { shared, phases, given: None }
    }

    /// At first the health now; then, as soon as the phase is another than the one given last, the
    /// health at that moment. Phases that come and go between two calls are passed over. None after
    /// [`Phase::Closed`] was given.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn next(&mut self) -> Option<Health> {
        if matches!(self.given, Some(Phase::Closed(_))) {
            return None;
        }
        let given = self.given;
        // The sender lives in `shared`: the wait ends with a change.
        let changed = self.phases.wait_for(|record| Some(record.phase) != given).await;
        let record = changed.ok()?.clone();
        self.given = Some(record.phase);
        Some(self.shared.health_in(record))
    }
}
