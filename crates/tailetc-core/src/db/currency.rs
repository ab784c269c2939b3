//! How current the copy is known to be.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::Revision;
use crate::backend::Header;

/// What is known of the store's present, and since when the copy has shown it.
#[derive(Debug)]
pub(crate) struct Currency(Mutex<Known>);

#[derive(Clone, Copy, Debug)]
pub(crate) struct Known {
    /// When the store was last heard of.
    pub(crate) heard: Instant,
    /// The highest revision that it has named.
    pub(crate) store: Revision,
    /// Everything that was committed before this instant is shown. Only a linearizable answer
    /// proves that: a watch may be served by a member that is behind the others.
    as_of: Instant,
}

impl Known {
    pub(crate) fn age(&self) -> Duration {
        self.as_of.elapsed()
    }
}

impl Currency {
    /// Of a copy loaded at `revision`, by reads that began at `as_of`.
    pub(crate) fn new(revision: Revision, as_of: Instant) -> Self {
        Self(Mutex::new(Known { heard: Instant::now(), store: revision, as_of }))
    }

    /// Of a copy loaded anew.
    pub(crate) fn restart(&self, revision: Revision, as_of: Instant) {
        self.update(|known| *known = Known { heard: Instant::now(), store: revision, as_of });
    }

    pub(crate) fn heard(&self, header: &Header) {
        self.update(|known| {
            known.heard = Instant::now();
            known.store = known.store.max(header.revision);
        });
    }

    /// The copy shows what a linearizable request that began at `since` was answered with.
    pub(crate) fn prove(&self, since: Instant) {
        self.update(|known| known.as_of = known.as_of.max(since));
    }

    pub(crate) fn known(&self) -> Known {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn update(&self, change: impl FnOnce(&mut Known)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}
