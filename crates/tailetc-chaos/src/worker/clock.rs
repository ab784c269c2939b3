//! What a process knows of the cluster at a moment.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tailetc::Revision;
use tailetc_testkit::simulation::Stamp;
use tokio::time::Instant;

/// Shared by all ways to the store and by the line from the parent.
#[derive(Debug)]
pub(crate) struct Clock {
    began: Instant,
    known: Mutex<Known>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Known {
    era: usize,
    seen: Revision,
}

impl Clock {
    pub(crate) fn new() -> Self {
        Self { began: Instant::now(), known: Mutex::default() }
    }

    pub(crate) fn stamp(&self) -> Stamp {
        let Known { era, seen } = *self.lock();
        Stamp { at: self.began.elapsed(), era, seen }
    }

    pub(crate) fn era(&self) -> usize {
        self.lock().era
    }

    /// Takes note of a revision of a history. Answers of a history that is gone say nothing.
    pub(crate) fn saw(&self, era: usize, revision: Revision) {
        let mut known = self.lock();
        if era == known.era {
            known.seen = known.seen.max(revision);
        }
    }

    /// From now on, the store answers from another history.
    pub(crate) fn begin_era(&self, era: usize) {
        *self.lock() = Known { era, seen: Revision::ZERO };
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
