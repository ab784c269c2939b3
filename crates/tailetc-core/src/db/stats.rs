//! Counters.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// What a [`Db`](crate::Db) has counted since it was opened.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct Stats {
            $($(#[$doc])* pub $name: u64,)*
        }

        /// The counters behind [`Stats`].
        #[derive(Debug, Default)]
        pub(crate) struct Counters {
            $($name: AtomicU64,)*
        }

        impl Counters {
            $(pub(crate) fn $name(&self, by: u64) {
                // Counters order nothing.
                self.$name.fetch_add(by, Ordering::Relaxed);
            })*

            pub(crate) fn read(&self) -> Stats {
                Stats { $($name: self.$name.load(Ordering::Relaxed),)* }
            }
        }
    };
}

counters! {
    /// Transactions that were committed through this `Db` and changed something.
    commits,
    /// Commits refused because something had changed, found by the store.
    conflicts,
    /// Conflicts found in one's own copy, without asking the store.
    local_conflicts,
    /// Commits whose outcome is unknown.
    unknown_outcomes,
    /// Commits whose outcome was unknown until their marker was looked at.
    resolved_outcomes,
    /// Commits applied at once because they followed directly on the last revision known.
    applied_from_answer,
    /// Own values that were published as they were put, without decoding, when their event came.
    applied_without_decoding,
    /// Revisions applied.
    revisions,
    /// Keys changed.
    changes,
    /// Values that did not decode, on load, watch and resync.
    undecodable,
    /// Transactions of others that wrote to a guarded collection without its guard key.
    unguarded_writes,
    /// Published states.
    publications,
    /// Times the connection broke and was made anew.
    reconnects,
    /// Watches that were opened anew because they said nothing although they should have.
    silent_watches,
    /// Times the whole prefix was loaded again.
    resyncs,
    /// Progress that was asked of the store.
    progress_requests,
    /// Range reads made to prove that an idle prefix is up to date.
    proofs,
    /// Comparisons of the copy with the store.
    self_checks,
    /// Keys that differed in such a comparison, and were repaired.
    self_check_mismatches,
    /// Panics of observers, contained.
    observer_panics,
    /// Times a watch's buffer overflowed.
    lagged_watches,
}
