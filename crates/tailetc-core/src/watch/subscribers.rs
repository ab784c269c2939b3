//! The applier's end of the watches.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::mpsc::Sender;
use tokio::sync::mpsc::error::TrySendError;

use crate::ChangeSet;
use crate::backend::KeyRange;
use crate::schema::SlotId;

/// The registered watches. Lives under the apply lock.
#[derive(Debug, Default)]
pub(crate) struct Subscribers {
    registered: Vec<Subscriber>,
    /// Applied, but not yet published: whoever gets a change set must be able to read the state
    /// that it leads to.
    outbox: Vec<Arc<ChangeSet>>,
}

/// One registered watch.
#[derive(Debug)]
pub(crate) enum Subscriber {
    /// Gets every change set that touches the range.
    Exact {
        slot: SlotId,
        range: KeyRange,
        sender: Sender<Arc<ChangeSet>>,
        /// Set, before the channel ends, when the consumer was too slow.
        lagged: Arc<AtomicBool>,
    },
    /// Gets woken when a change that touches the range has been published.
    Coalesced { slot: SlotId, range: KeyRange, sender: Sender<()> },
}

impl Subscribers {
    pub(crate) fn is_empty(&self) -> bool {
        self.registered.is_empty()
    }

    pub(crate) fn add(&mut self, subscriber: Subscriber) {
        // A watch that was dropped is noticed when something is sent to it; on a quiet range that
        // may be never, so each newcomer clears the departed.
        self.registered.retain(|subscriber| !subscriber.is_gone());
        self.registered.push(subscriber);
    }

    pub(crate) fn clear(&mut self) {
        self.registered.clear();
    }

    /// Takes a change set, to be sent once it is published.
    pub(crate) fn enqueue(&mut self, set: ChangeSet) {
        if !self.registered.is_empty() {
            self.outbox.push(Arc::new(set));
        }
    }

    /// Hands out what has been published. Never waits: whoever has no room has lagged.
    pub(crate) fn send(&mut self) {
        for set in self.outbox.drain(..) {
            self.registered.retain(|subscriber| subscriber.offer(&set));
        }
    }
}

impl Subscriber {
    /// Whether the watch stays registered.
    fn offer(&self, set: &Arc<ChangeSet>) -> bool {
        match self {
            Self::Exact { slot, range, sender, lagged } => {
                if !set.touches(*slot, range) {
                    return true;
                }
                match sender.try_send(Arc::clone(set)) {
                    Ok(()) => true,
                    Err(TrySendError::Full(_)) => {
                        lagged.store(true, Ordering::Release);
                        false
                    }
                    Err(TrySendError::Closed(_)) => false,
                }
            }
            Self::Coalesced { slot, range, sender } => {
                if set.touches(*slot, range) {
                    // Full: it has been woken already, and has not looked yet.
                    let _ = sender.try_send(());
                }
                !sender.is_closed()
            }
        }
    }

    fn is_gone(&self) -> bool {
        match self {
            Self::Exact { sender, .. } => sender.is_closed(),
            Self::Coalesced { sender, .. } => sender.is_closed(),
        }
    }
}
