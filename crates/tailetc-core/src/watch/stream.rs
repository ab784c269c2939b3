//! The consumer's end of a watch.

use std::fmt;
use std::future::poll_fn;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use tokio::sync::mpsc::{Receiver, channel};

use crate::backend::KeyRange;
use crate::db::Shared;
use crate::schema::SlotId;
use crate::state::{Changes, State};
use crate::watch::{Subscriber, WatchMode};
use crate::{
    ChangeKind, ChangeSet, ClonePolicy, CloseReason, Codec, Collection, Error, KeyBounds, Revision,
    Token,
};

/// A stream of [`Update`]s of a range: first the present state, then what changes.
///
/// By the time an update can be read, so can its state: a snapshot taken then is at least as new.
///
/// Read it with [`next`](Self::next) or as a [`Stream`]. After [`Error::Lagged`] it goes on, with
/// the whole state; after [`Error::Closed`] it has ended. Dropping it ends the watch.
pub struct Watch<C, P = crate::Shared> {
    shared: Arc<Shared>,
    slot: SlotId,
    range: KeyRange,
    mode: WatchMode,
    feed: Feed,
    marker: PhantomData<fn() -> (C, P)>,
}

enum Feed {
    /// The whole state is due, and changes on it follow.
    Initial(Arc<State>, Source),
    /// Changes after `delivered` are due.
    Following {
        delivered: Delivered,
        source: Source,
    },
    /// The buffer overflowed, and the consumer has been told.
    Lagged,
    Ended,
}

enum Source {
    Exact { receiver: Receiver<Arc<ChangeSet>>, lagged: Arc<AtomicBool> },
    Coalesced { receiver: Receiver<()> },
}

/// What the consumer has seen.
enum Delivered {
    Revision(Revision),
    State(Arc<State>),
}

impl<C: Codec, P: ClonePolicy<C::Value>> Watch<C, P> {
    pub(crate) fn open(
        shared: &Arc<Shared>,
        collection: Collection<C, P>,
        bounds: impl KeyBounds,
        mode: WatchMode,
    ) -> Result<Self, Error> {
        if mode == (WatchMode::Exact { buffer: 0 }) {
            let reason = "a watch must have room for one transaction".into();
            return Err(Error::InvalidOption { option: "buffer", reason });
        }
        let (slot, range) = shared.with_state(|state| {
            let slot = state.schema.resolve(collection)?;
            Ok((slot, bounds.key_range(state.schema.slot_prefix(slot).as_bytes())))
        })?;
        let feed = begin(shared, slot, &range, mode)?;
        Ok(Self { shared: Arc::clone(shared), slot, range, mode, feed, marker: PhantomData })
    }
}

impl<C, P> Watch<C, P> {
    /// The next update; none after the watch has ended.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a dropped future loses no update.
    ///
    /// # Errors
    ///
    /// [`Error::Lagged`] once when an exact watch has lost changes, after which the whole state
    /// follows; [`Error::Closed`] once when the `Db` is closed.
    pub async fn next(&mut self) -> Option<Result<Update<C, P>, Error>> {
        poll_fn(|context| self.poll_update(context)).await
    }

    fn poll_update(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Update<C, P>, Error>>> {
        loop {
            match std::mem::replace(&mut self.feed, Feed::Ended) {
                Feed::Initial(state, source) => {
                    let set = ChangeSet::initial(&state, &self.range);
                    let delivered = match source {
                        Source::Exact { .. } => Delivered::Revision(state.revision),
                        Source::Coalesced { .. } => Delivered::State(state),
                    };
                    self.feed = Feed::Following { delivered, source };
                    return Poll::Ready(Some(Ok(self.update(Arc::new(set)))));
                }
                Feed::Following { delivered, source } => {
                    let (polled, feed) = self.follow(context, delivered, source);
                    self.feed = feed;
                    match ready!(polled) {
                        Some(Err(error @ Error::Closed { .. })) => {
                            self.feed = Feed::Ended;
                            return Poll::Ready(Some(Err(error)));
                        }
                        Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                        Some(Ok(set)) => return Poll::Ready(Some(Ok(self.update(set)))),
                        // Woken for a change that undid itself: wait for the next.
                        None => {}
                    }
                }
                Feed::Lagged => match begin(&self.shared, self.slot, &self.range, self.mode) {
                    Ok(feed) => self.feed = feed,
                    Err(error) => return Poll::Ready(Some(Err(error))),
                },
                Feed::Ended => return Poll::Ready(None),
            }
        }
    }

    /// Polls the source for what comes after `delivered`, and says how to go on.
    #[expect(clippy::type_complexity, reason = "one caller, right above")]
    fn follow(
        &self,
        context: &mut Context<'_>,
        delivered: Delivered,
        mut source: Source,
    ) -> (Poll<Option<Result<Arc<ChangeSet>, Error>>>, Feed) {
        match (&mut source, delivered) {
            (Source::Exact { receiver, lagged }, Delivered::Revision(after)) => {
                match receiver.poll_recv(context) {
                    Poll::Pending => {
                        let delivered = Delivered::Revision(after);
                        (Poll::Pending, Feed::Following { delivered, source })
                    }
                    Poll::Ready(Some(set)) => {
                        let delivered = Delivered::Revision(set.revision());
                        (Poll::Ready(Some(Ok(set))), Feed::Following { delivered, source })
                    }
                    Poll::Ready(None) if lagged.load(Ordering::Acquire) => {
                        self.shared.counters.lagged_watches(1);
                        (Poll::Ready(Some(Err(Error::Lagged { after }))), Feed::Lagged)
                    }
                    Poll::Ready(None) => (Poll::Ready(Some(Err(self.closed()))), Feed::Ended),
                }
            }
            (Source::Coalesced { receiver }, Delivered::State(seen)) => {
                match receiver.poll_recv(context) {
                    Poll::Pending => {
                        let delivered = Delivered::State(seen);
                        (Poll::Pending, Feed::Following { delivered, source })
                    }
                    Poll::Ready(Some(())) => {
                        let now = self.shared.state();
                        let kind = if now.epoch == seen.epoch {
                            ChangeKind::Coalesced
                        } else {
                            ChangeKind::Resync
                        };
                        let set = ChangeSet::diff(kind, &seen, &now, &self.range);
                        let delivered = Delivered::State(now);
                        let touched = set.touches(self.slot, &self.range);
                        let set = touched.then(|| Ok(Arc::new(set)));
                        (Poll::Ready(set), Feed::Following { delivered, source })
                    }
                    Poll::Ready(None) => (Poll::Ready(Some(Err(self.closed()))), Feed::Ended),
                }
            }
            // A source is paired with its own kind of memory when it begins, and never again.
            (_, delivered) => (Poll::Pending, Feed::Following { delivered, source }),
        }
    }

    fn update(&self, set: Arc<ChangeSet>) -> Update<C, P> {
        Update { set, slot: self.slot, range: self.range.clone(), marker: PhantomData }
    }

    fn closed(&self) -> Error {
        match self.shared.check_open() {
            Err(error) => error,
            Ok(()) => Error::Closed { reason: CloseReason::Dropped },
        }
    }
}

fn begin(shared: &Shared, slot: SlotId, range: &KeyRange, mode: WatchMode) -> Result<Feed, Error> {
    let range = range.clone();
    let (subscriber, source) = match mode {
        WatchMode::Exact { buffer } => {
            let (sender, receiver) = channel(buffer);
            let lagged = Arc::new(AtomicBool::new(false));
            let theirs = Arc::clone(&lagged);
            let subscriber = Subscriber::Exact { slot, range, sender, lagged: theirs };
            (subscriber, Source::Exact { receiver, lagged })
        }
        WatchMode::Coalesced => {
            let (sender, receiver) = channel(1);
            let subscriber = Subscriber::Coalesced { slot, range, sender };
            (subscriber, Source::Coalesced { receiver })
        }
    };
    Ok(Feed::Initial(shared.subscribe(subscriber)?, source))
}

impl<C, P> Stream for Watch<C, P> {
    type Item = Result<Update<C, P>, Error>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_update(context)
    }
}

impl<C, P> fmt::Debug for Watch<C, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch")
            .field("range", &self.range)
            .field("mode", &self.mode)
            .finish_non_exhaustive()
    }
}

/// One item of a [`Watch`]: a change set, seen through the watch's range.
pub struct Update<C, P = crate::Shared> {
    set: Arc<ChangeSet>,
    slot: SlotId,
    range: KeyRange,
    marker: PhantomData<fn() -> (C, P)>,
}

impl<C, P> Update<C, P> {
    /// Why this update exists.
    pub fn kind(&self) -> ChangeKind {
        self.set.kind()
    }

    /// The revision of the state after it.
    pub fn revision(&self) -> Revision {
        self.set.revision()
    }

    /// The place in history after it, for another process.
    pub fn token(&self) -> Token {
        self.set.token()
    }

    /// The changes within the watch's range, in key order.
    pub fn changes(&self) -> Changes<'_, C, P> {
        self.set.within(self.slot, &self.range)
    }

    /// The whole change set, with the changes of the same transaction outside of the range.
    pub fn change_set(&self) -> &ChangeSet {
        &self.set
    }
}

impl<C, P> fmt::Debug for Update<C, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Update")
            .field("kind", &self.kind())
            .field("revision", &self.revision())
            .field("changes", &self.changes())
            .finish()
    }
}
