//! What others tell the tail: that its watch cannot be right, and that the store answers again.

use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Notify;

use crate::backend::Header;
use crate::db::Shared;

#[derive(Debug, Default)]
pub(crate) struct Suspicion {
    /// How many watches were opened.
    watches: AtomicU64,
    raised: Notify,
    answered: Notify,
}

/// The watch that was open when a wait began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OpenWatch(u64);

impl Suspicion {
    /// The watch that is open now, or that is being opened.
    pub(crate) fn watch(&self) -> OpenWatch {
        OpenWatch(self.watches.load(Ordering::Acquire))
    }

    /// Another watch is opened: what was held against those before is void.
    pub(crate) fn begin_watch(&self) {
        self.watches.fetch_add(1, Ordering::AcqRel);
        pin!(self.raised.notified()).enable();
    }

    /// Makes the tail connect anew and look, unless it has done so since.
    pub(crate) fn suspect(&self, watch: OpenWatch) {
        if watch == self.watch() {
            self.raise();
        }
    }

    /// Makes the tail connect anew and look.
    pub(crate) fn raise(&self) {
        self.raised.notify_one();
    }

    /// Resolves when the open watch is suspected.
    pub(crate) async fn raised(&self) {
        self.raised.notified().await;
    }

    /// Resolves when the store has answered anybody from now on.
    pub(crate) async fn answered(&self) {
        self.answered.notified().await;
    }
}

impl Shared {
    /// Takes note of an answer of the store.
    pub(crate) fn heard(&self, header: &Header) {
        self.currency.heard(header);
        // Leaves nothing behind for a tail that does not wait for it.
        self.suspicion.answered.notify_waiters();
    }
}
