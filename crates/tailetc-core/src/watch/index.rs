//! The watch of a range of an index, with its types.

use std::fmt;
use std::future::poll_fn;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_core::Stream;

use crate::backend::KeyRange;
use crate::db::Shared;
use crate::schema::IndexReader;
use crate::state::{EntryPtr, RawChange, primary_of, without_number};
use crate::watch::feed::Feed;
use crate::watch::{Scope, WatchMode};
use crate::{
    ChangeKind, ChangeSet, ClonePolicy, Codec, Error, Index, IndexBounds, IndexKey, KeyRef,
    Metadata, Revision, Token,
};

type Types<C, K, P> = PhantomData<fn() -> (C, K, P)>;

type Filter<K, V> = Box<dyn FnMut(&IndexChange<'_, K, V>) -> bool + Send>;

/// A stream of [`IndexUpdate`]s of a range of an index: first the present state, then what changes.
/// Modes, lagging and the end are those of a [`Watch`](crate::Watch).
pub struct IndexWatch<C: Codec, K, P: ClonePolicy<C::Value> = crate::Shared> {
    feed: Feed,
    range: KeyRange,
    filters: Vec<Filter<K, P::Out>>,
    marker: Types<C, K, P>,
}

impl<C: Codec, K: IndexKey, P: ClonePolicy<C::Value>> IndexWatch<C, K, P> {
    pub(crate) fn open(
        shared: &Arc<Shared>,
        index: &Index<C, K, P>,
        bounds: impl IndexBounds<K>,
        mode: WatchMode,
        after: Option<Revision>,
    ) -> Result<Self, Error> {
        let (_, id) = shared.with_state(|state| state.schema.resolve_index(index))?;
        let range = bounds.row_range(id.row_prefix());
        let feed = Feed::open(shared, Scope::Rows { range: range.clone() }, mode, after)?;
        Ok(Self { feed, range, filters: Vec::new(), marker: PhantomData })
    }

    /// Leaves out the changes for which `keeps` is false, and passes over updates in which nothing
    /// is left: as [`Watch::filter`](crate::Watch::filter).
    #[must_use]
    pub fn filter(
        mut self,
        keeps: impl FnMut(&IndexChange<'_, K, P::Out>) -> bool + Send + 'static,
    ) -> Self {
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
    /// As for [`Watch::next`](crate::Watch::next).
    pub async fn next(&mut self) -> Option<Result<IndexUpdate<C, K, P>, Error>> {
        poll_fn(|context| self.poll_update(context)).await
    }

    fn poll_update(&mut self, context: &mut Context<'_>) -> Poll<Option<<Self as Stream>::Item>> {
        loop {
            let set = match ready!(self.feed.poll_next(context)) {
                Some(Ok(set)) => set,
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            };
            let range = self.range.clone();
            let mut update = IndexUpdate { set, range, picked: None, marker: PhantomData };
            if !self.filters.is_empty() {
                let filters = &mut self.filters;
                update.filter(|change| filters.iter_mut().all(|keeps| keeps(change)));
                let is_mark = matches!(update.kind(), ChangeKind::Initial | ChangeKind::Resync);
                if !is_mark && update.raw().is_empty() {
                    continue;
                }
            }
            return Poll::Ready(Some(Ok(update)));
        }
    }
}

impl<C: Codec, K: IndexKey, P: ClonePolicy<C::Value>> Stream for IndexWatch<C, K, P> {
    type Item = Result<IndexUpdate<C, K, P>, Error>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_update(context)
    }
}

impl<C: Codec, K, P: ClonePolicy<C::Value>> fmt::Debug for IndexWatch<C, K, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IndexWatch").field("feed", &self.feed).finish_non_exhaustive()
    }
}

/// One item of an [`IndexWatch`]: what changed in its range between two revisions.
pub struct IndexUpdate<C, K, P = crate::Shared> {
    set: Arc<ChangeSet>,
    range: KeyRange,
    /// Those that the filters let through, if there are filters.
    picked: Option<Vec<RawChange>>,
    marker: Types<C, K, P>,
}

impl<C, K, P> IndexUpdate<C, K, P> {
    fn raw(&self) -> &[RawChange] {
        match &self.picked {
            Some(picked) => picked,
            None => self.set.rows_within(&self.range),
        }
    }

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
}

impl<C: Codec, K: IndexKey, P: ClonePolicy<C::Value>> IndexUpdate<C, K, P> {
    /// The changes, in the order of index keys and keys. An entry whose index key has changed is
    /// gone from the one, and new at the other, if both are in the range.
    pub fn changes(&self) -> impl Iterator<Item = IndexChange<'_, K, P::Out>> {
        self.raw().iter().map(|change| IndexChange::of::<C, P>(change))
    }

    fn filter(&mut self, mut keeps: impl FnMut(&IndexChange<'_, K, P::Out>) -> bool) {
        let kept = self.raw().iter().filter(|change| keeps(&IndexChange::of::<C, P>(change)));
        self.picked = Some(kept.cloned().collect());
    }
}

impl<C, K, P> fmt::Debug for IndexUpdate<C, K, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IndexUpdate")
            .field("kind", &self.kind())
            .field("revision", &self.revision())
            .field("changes", &self.raw().len())
            .finish()
    }
}

/// What happened to one entry at one index key.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct IndexChange<'u, K, V> {
    /// The entry's key, relative to the collection.
    pub key: KeyRef<'u>,
    /// Its value before, if it had the index key.
    pub before: Option<V>,
    /// Its value after, if it has the index key.
    pub after: Option<V>,
    /// Its revisions, version and lease after.
    pub metadata: Option<Metadata>,
    row: &'u [u8],
    marker: PhantomData<fn() -> K>,
}

impl<'u, K: IndexKey, V> IndexChange<'u, K, V> {
    fn of<C: Codec, P: ClonePolicy<C::Value, Out = V>>(change: &'u RawChange) -> Self {
        let row = without_number(&change.key);
        let key = primary_of::<K>(row);
        // What is in an index has a value, of the collection's type.
        let value = |entry: &Option<EntryPtr>| {
            let value = entry.as_ref()?.typed_arc::<C>(key.as_bytes()).ok()?;
            Some(P::out(&value))
        };
        Self {
            key,
            before: value(&change.before),
            after: value(&change.after),
            metadata: change.after.as_ref().map(|entry| entry.meta),
            row,
            marker: PhantomData,
        }
    }

    /// The index key. `None` only if `K` cannot decode what it has encoded.
    pub fn index_key(&self) -> Option<K> {
        K::decode(&mut IndexReader::new(self.row))
    }
}
