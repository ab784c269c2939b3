//! What is left to do of requests that were answered before they were done with.
//!
//! It is done in slices, by whoever asks the store for anything.

use tailetc_core::Revision;

use super::Store;

/// How many keys or versions a slice is about: some hundred microseconds. A deletion of no more is
/// done with at once.
pub(crate) const SLICE: usize = 256;

impl Store {
    /// Does a slice of what is left to do.
    pub(crate) fn work(&mut self) {
        self.do_some(self.options.slice.max(1));
    }

    /// Does all that is left to do.
    pub(crate) fn finish(&mut self) {
        while !self.is_done(self.revision) {
            self.do_some(usize::MAX);
        }
    }

    /// What is forgotten must have been written.
    fn do_some(&mut self, most: usize) {
        let left = self.write_down(most);
        let left = self.clean(left);
        self.free(left);
    }

    /// Whether all is done that requests up to `revision` have left to do.
    pub(crate) fn is_done(&self, revision: Revision) -> bool {
        self.is_written(revision) && self.is_clean(revision) && self.waste.is_empty()
    }
}
