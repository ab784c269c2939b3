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
use crate::watch::{Reflect, Scope, Update, WatchMode};
use crate::{Change, ClonePolicy, Codec, Collection, Error, KeyBounds, Revision};

/// A stream of [`Update`]s of a range: first the present state, then what changes.
///
/// By the time an update can be read, so can its state: a snapshot taken then is at least as new.
///
/// What of the range is of interest can be narrowed down with [`filter`](Self::filter), and a map or
/// another mirror of one's own be driven with [`reflect_into`](Self::reflect_into).
///
/// Read it with [`next`](Self::next) or as a [`Stream`]. After [`Error::Lagged`] it goes on, with
/// the whole state; after [`Error::Closed`] it has ended. Dropping it ends the watch.
pub struct Watch<C, P = crate::Shared> {
    feed: Feed,
    slot: SlotId,
    range: KeyRange,
    filters: Vec<Filter<C, P>>,
    marker: PhantomData<fn() -> (C, P)>,
}

type Filter<C, P> = Box<dyn FnMut(&Change<'_, C, P>) -> bool + Send>;

impl<C: Codec, P: ClonePolicy<C::Value>> Watch<C, P> {
    pub(crate) fn open(
        shared: &Arc<Shared>,
        collection: Collection<C, P>,
        bounds: impl KeyBounds,
        mode: WatchMode,
        after: Option<Revision>,
    ) -> Result<Self, Error> {
        let (slot, range) = shared.with_state(|state| {
            let slot = state.schema.resolve(collection)?;
            Ok((slot, bounds.key_range(state.schema.slot_prefix(slot).as_bytes())))
        })?;
        let feed = Feed::open(shared, Scope::Keys { slot, range: range.clone() }, mode, after)?;
        Ok(Self { feed, slot, range, filters: Vec::new(), marker: PhantomData })
    }
}

impl<C, P> Watch<C, P> {
    /// Leaves out the changes for which `keeps` is false, and passes over updates in which nothing
    /// is left; those of kind [`Initial`](crate::ChangeKind::Initial) and
    /// [`Resync`](crate::ChangeKind::Resync) are always given, so that the consumer knows where it
    /// stands. Several filters must all agree.
    ///
    /// A filter sees values before and after. One that selects by value should look at both, or its
    /// consumer is not told of values that it has seen and that match no longer:
    ///
    /// ```
    /// # use tailetc_core::{Db, Error, RAW, WatchMode};
    /// # fn watch(db: &Db) -> Result<(), Error> {
    /// let is_open = |value: Option<std::sync::Arc<bytes::Bytes>>| {
    ///     value.is_some_and(|value| value.starts_with(b"open"))
    /// };
    /// let watch = db.watch(RAW, .., WatchMode::Coalesced)?.filter(move |change| {
    ///     let (before, after) = (change.before(), change.after());
    ///     before.is_ok_and(is_open) || after.is_ok_and(is_open)
    /// });
    /// # drop(watch);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// It runs in the consumer's own task, when the watch is read, and delays nobody else. A panic
    /// in it is the consumer's: the update is lost, and the watch can be read on.
    #[must_use]
    pub fn filter(mut self, keeps: impl FnMut(&Change<'_, C, P>) -> bool + Send + 'static) -> Self {
        self.filters.push(Box::new(keeps));
        self
    }

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

    /// Keeps `target` what the range is, until the `Db` is closed; returns why it ended. Lagging is
    /// dealt with: the target is reset and gets the whole state.
    ///
    /// ```
    /// # use std::collections::BTreeMap;
    /// # use std::sync::{Arc, Mutex};
    /// # use tailetc_core::{Db, Error, Prefix, RAW, WatchMode};
    /// # async fn start(db: &Db) -> Result<(), Error> {
    /// let routes = Arc::new(Mutex::new(BTreeMap::new()));
    /// let watch = db.watch(RAW, Prefix("routes/"), WatchMode::Coalesced)?;
    /// tokio::spawn(watch.reflect_into(Arc::clone(&routes)));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends the watch, and leaves the target as some whole update has left it:
    /// none is applied in part.
    pub async fn reflect_into(mut self, mut target: impl Reflect<C, P>) -> Error
    where
        C: Codec,
        P: ClonePolicy<C::Value>,
    {
        loop {
            match self.next().await {
                Some(Ok(update)) => target.apply(&update),
                Some(Err(Error::Lagged { .. })) => {}
                Some(Err(error)) => return error,
                None => return self.feed.closed(),
            }
        }
    }

    fn poll_update(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Update<C, P>, Error>>> {
        loop {
            let set = match ready!(self.feed.poll_next(context)) {
                Some(Ok(set)) => set,
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            };
            let mut update = Update::new(set, self.slot, self.range.clone());
            if !self.filters.is_empty() {
                let filters = &mut self.filters;
                update.filter(|change| filters.iter_mut().all(|keeps| keeps(change)));
                if !update.is_mark() && update.changes().next().is_none() {
                    continue;
                }
            }
            return Poll::Ready(Some(Ok(update)));
        }
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
        f.debug_struct("Watch")
            .field("feed", &self.feed)
            .field("filters", &self.filters.len())
            .finish_non_exhaustive()
    }
}
