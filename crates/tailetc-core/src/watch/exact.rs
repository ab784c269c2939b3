//! A bounded queue of change sets.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::coop;

use crate::state::State;
use crate::watch::Scope;
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
    past: Option<Past>,
    receiver: Receiver<Arc<ChangeSet>>,
    lagged: Arc<AtomicBool>,
    /// The revision of what was delivered last.
    delivered: Revision,
}

/// What is due before the queue.
#[derive(Debug)]
struct Past {
    /// What the consumer knows.
    base: Arc<State>,
    later: VecDeque<Arc<State>>,
}

/// What an exact watch gives.
#[derive(Debug)]
pub(super) enum Next {
    Set(Arc<ChangeSet>),
    Lagged { after: Revision },
    Closed,
}

/// A queue of what comes after the revision `delivered`, which `base` shows: first the states that
/// have come `later` already.
pub(super) fn queue(
    buffer: usize,
    delivered: Revision,
    base: &Arc<State>,
    later: Vec<Arc<State>>,
) -> (Sink, Source) {
    let past = (!later.is_empty()).then(|| Past { base: Arc::clone(base), later: later.into() });
    let (sender, receiver) = channel(buffer);
    let lagged = Arc::new(AtomicBool::new(false));
    let sink = Sink { sender, lagged: Arc::clone(&lagged) };
    (sink, Source { past, receiver, lagged, delivered })
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
    pub(super) fn poll(&mut self, context: &mut Context<'_>, scope: &Scope) -> Poll<Next> {
        if let Some(set) = ready!(self.poll_past(context, scope)) {
            self.delivered = set.revision();
            return Poll::Ready(Next::Set(Arc::new(set)));
        }
        Poll::Ready(match ready!(self.receiver.poll_recv(context)) {
            Some(set) => {
                self.delivered = set.revision();
                Next::Set(set)
            }
            None if self.lagged.load(Ordering::Acquire) => Next::Lagged { after: self.delivered },
            None => Next::Closed,
        })
    }

    /// The next transaction of the past that touches the scope.
    fn poll_past(&mut self, context: &mut Context<'_>, scope: &Scope) -> Poll<Option<ChangeSet>> {
        while let Some(past) = &mut self.past {
            // A long past must not keep other tasks waiting.
            ready!(coop::poll_proceed(context)).made_progress();
            let Some(after) = past.later.pop_front() else {
                self.past = None;
                break;
            };
            let before = std::mem::replace(&mut past.base, after);
            if let Some(set) = scope.transaction(&before, &past.base) {
                return Poll::Ready(Some(set));
            }
        }
        Poll::Ready(None)
    }
}
