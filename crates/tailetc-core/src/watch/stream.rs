//! The watch of a range of keys, with its types.

use std::fmt;
use std::future::poll_fn;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_core::Stream;

use crate::backend::KeyRange;
use crate::db::Shared;
use crate::schema::SlotId;
use crate::watch::feed::Feed;
use crate::watch::{Scope, Update, WatchMode};
use crate::{ClonePolicy, Codec, Collection, Error, KeyBounds};

/// A stream of [`Update`]s of a range: first the present state, then what changes.
///
/// By the time an update can be read, so can its state: a snapshot taken then is at least as new.
///
/// Read it with [`next`](Self::next) or as a [`Stream`]. After [`Error::Lagged`] it goes on, with
/// the whole state; after [`Error::Closed`] it has ended. Dropping it ends the watch.
pub struct Watch<C, P = crate::Shared> {
    feed: Feed,
    slot: SlotId,
    range: KeyRange,
    marker: PhantomData<fn() -> (C, P)>,
}

impl<C: Codec, P: ClonePolicy<C::Value>> Watch<C, P> {
    pub(crate) fn open(
        shared: &Arc<Shared>,
        collection: Collection<C, P>,
        bounds: impl KeyBounds,
        mode: WatchMode,
    ) -> Result<Self, Error> {
        let (slot, range) = shared.with_state(|state| {
            let slot = state.schema.resolve(collection)?;
            Ok((slot, bounds.key_range(state.schema.slot_prefix(slot).as_bytes())))
        })?;
        let feed = Feed::open(shared, Scope::Keys { slot, range: range.clone() }, mode)?;
        Ok(Self { feed, slot, range, marker: PhantomData })
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
        let next = ready!(self.feed.poll_next(context));
        let update = |set| Update::new(set, self.slot, self.range.clone());
        Poll::Ready(next.map(|next| next.map(update)))
    }
}

impl<C, P> Stream for Watch<C, P> {
    type Item = Result<Update<C, P>, Error>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_update(context)
    }
}

impl<C, P> fmt::Debug for Watch<C, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("feed", &self.feed).finish_non_exhaustive()
    }
}
