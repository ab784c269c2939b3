//! Up to where the copy is known to be complete, whatever was compacted.

use std::sync::atomic::{AtomicI64, Ordering};

use crate::Revision;

/// A revision that the copy has reached, and up to which no deletion can have been lost. Used where
/// compaction takes deletions away, and set by the tail alone.
#[derive(Debug)]
pub(crate) struct Vouched(AtomicI64);

impl Vouched {
    pub(crate) fn new(revision: Revision) -> Self {
        Self(AtomicI64::new(revision.get()))
    }

    pub(crate) fn get(&self) -> Revision {
        Revision::new(self.0.load(Ordering::Acquire))
    }

    pub(crate) fn set(&self, revision: Revision) {
        self.0.store(revision.get(), Ordering::Release);
    }
}
