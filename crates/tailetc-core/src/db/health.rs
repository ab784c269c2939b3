//! How the mirror is doing, as data.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::{CloseReason, Revision};

/// What the task that follows the store is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Phase {
    /// Following the store: changes arrive as they are made.
    Tailing,
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
    /// How long ago the store last answered or sent anything on the watch.
    pub last_contact: Duration,
    /// The error that ended the phase before, while it is not mended.
    pub last_error: Option<Arc<str>>,
}

impl Health {
    /// Whether the mirror follows the store: what a readiness probe asks.
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
