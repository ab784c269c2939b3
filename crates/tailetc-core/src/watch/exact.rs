//! A bounded queue of change sets.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::{ChangeSet, Revision};

/// The applier's end.
#[derive(Debug)]
pub(crate) struct Sink {
    sender: Sender<Arc<ChangeSet>>,
    /// Set, before the channel ends, when the consumer was too slow.
    lagged: Arc<AtomicBool>,
}

/// The consumer's end.
#[derive(Debug)]
pub(super) struct Source {
    receiver: Receiver<Arc<ChangeSet>>,
    lagged: Arc<AtomicBool>,
    /// The revision of what was delivered last.
    delivered: Revision,
}

/// What an exact watch gives.
#[derive(Debug)]
pub(super) enum Next {
    Set(Arc<ChangeSet>),
    Lagged { after: Revision },
    Closed,
}

/// A queue of what comes after `delivered`.
pub(super) fn queue(buffer: usize, delivered: Revision) -> (Sink, Source) {
    let (sender, receiver) = channel(buffer);
    let lagged = Arc::new(AtomicBool::new(false));
    let sink = Sink { sender, lagged: Arc::clone(&lagged) };
    (sink, Source { receiver, lagged, delivered })
}

impl Sink {
    pub(super) fn offer(&self, set: &Arc<ChangeSet>) {
        if let Err(TrySendError::Full(_)) = self.sender.try_send(Arc::clone(set)) {
            self.lagged.store(true, Ordering::Release);
        }
    }

    pub(super) fn is_spent(&self) -> bool {
        self.sender.is_closed() || self.lagged.load(Ordering::Acquire)
    }
}

impl Source {
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Next> {
        Poll::Ready(match ready!(self.receiver.poll_recv(context)) {
            Some(set) => {
                self.delivered = set.revision();
                Next::Set(set)
            }
            None if self.lagged.load(Ordering::Acquire) => Next::Lagged { after: self.delivered },
            None => Next::Closed,
        })
    }
}
