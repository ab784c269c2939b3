//! The applier's end of the watches.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::mpsc::Sender;
use tokio::sync::mpsc::error::TrySendError;

use crate::ChangeSet;
use crate::backend::KeyRange;

/// The registered watches. Lives under the apply lock.
#[derive(Debug, Default)]
pub(crate) struct Subscribers(Vec<Subscriber>);

/// One registered watch.
#[derive(Debug)]
pub(crate) enum Subscriber {
    /// Gets every change set that touches the range.
    Exact {
        range: KeyRange,
        sender: Sender<Arc<ChangeSet>>,
        /// Set, before the channel ends, when the consumer was too slow.
        lagged: Arc<AtomicBool>,
    },
    /// Gets woken when a change that touches the range has been published.
    Coalesced { range: KeyRange, sender: Sender<()>, pending: bool },
}

impl Subscribers {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn add(&mut self, subscriber: Subscriber) {
        // A watch that was dropped is noticed when something is sent to it; on a quiet range that
        // may be never, so each newcomer clears the departed.
        self.0.retain(|subscriber| !subscriber.is_gone());
        self.0.push(subscriber);
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// Hands a change set to whom it concerns. Never waits: whoever has no room has lagged.
    pub(crate) fn send(&mut self, set: ChangeSet) {
        if self.0.is_empty() {
            return;
        }
        let set = Arc::new(set);
        self.0.retain_mut(|subscriber| subscriber.offer(&set));
    }

    /// Wakes the coalesced watches, once the state that they were sent for is readable.
    pub(crate) fn wake(&mut self) {
        for subscriber in &mut self.0 {
            if let Subscriber::Coalesced { sender, pending, .. } = subscriber
                && std::mem::take(pending)
            {
                // Full: it has been woken already. Closed: it leaves at the next send.
                let _ = sender.try_send(());
            }
        }
    }
}

impl Subscriber {
    /// Whether the watch stays registered.
    fn offer(&mut self, set: &Arc<ChangeSet>) -> bool {
        match self {
            Self::Exact { range, sender, lagged } => {
                if !set.touches(range) {
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
            Self::Coalesced { range, sender, pending } => {
                *pending |= set.touches(range);
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
