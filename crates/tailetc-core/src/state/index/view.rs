//! Reading an index of a snapshot.

use std::fmt;
use std::marker::PhantomData;

use crate::backend::KeyRange;
use crate::schema::{IndexId, IndexReader, SlotId};
use crate::state::index::rows::place_of_unplaced;
use crate::state::map::KeyMapRange;
use crate::state::{EntryPtr, IndexCursor, IndexPage, Metadata, Quarantined, State};
use crate::{
    AsIndexKey, ClonePolicy, Codec, IndexBounds, IndexKey, Key, KeyRef, Only, Shared, SharedError,
};

type Types<C, K, P> = PhantomData<fn() -> (C, K, P)>;

/// An index at the revision of its [`Snapshot`](crate::Snapshot): sorted by index key, and by key
/// where index keys are equal. Reads cost O(log n) and what they give; values are not copied but by
/// the clone policy.
///
/// Entries whose values do not decode are not in it (but for those whose collection
/// [keeps the previous value](crate::DecodePolicy::KeepPrevious), which are where that value
/// belongs), nor are entries that the function of the index has failed for:
/// [`unplaced`](Self::unplaced) gives both.
pub struct IndexView<'s, C, K, P = Shared> {
    state: &'s State,
    slot: SlotId,
    id: IndexId,
    marker: Types<C, K, P>,
}

impl<'s, C: Codec, K: IndexKey, P: ClonePolicy<C::Value>> IndexView<'s, C, K, P> {
    pub(crate) fn new(state: &'s State, slot: SlotId, id: IndexId) -> Self {
        Self { state, slot, id, marker: PhantomData }
    }

    /// The entries that have this index key, in the order of their keys.
    pub fn get(&self, key: impl AsIndexKey<K>) -> IndexRange<'s, C, K, P> {
        self.range(Only(key))
    }

    /// The entries whose index keys are in a range, in the order of index keys and keys. An entry
    /// comes once for each of its index keys in it.
    pub fn range(&self, bounds: impl IndexBounds<K>) -> IndexRange<'s, C, K, P> {
        self.rows(&bounds.row_range(self.id.row_prefix()))
    }

    /// The first entry of all.
    pub fn first(&self) -> Option<IndexItem<'s, K, P::Out>> {
        self.range(..).next()
    }

    /// The last entry of all.
    pub fn last(&self) -> Option<IndexItem<'s, K, P::Out>> {
        self.range(..).next_back()
    }

    /// The first `limit` entries of a range, or those after a cursor: the end of the page before.
    pub fn page(
        &self,
        bounds: impl IndexBounds<K>,
        after: Option<&IndexCursor>,
        limit: usize,
    ) -> IndexPage<'s, K, P::Out> {
        let mut range = bounds.row_range(self.id.row_prefix());
        if let Some(cursor) = after {
            let behind = [&self.id.row_prefix(), cursor.row(), b"\0"].concat();
            if behind > *range.start() {
                range = KeyRange::span(behind, range.range_end().clone());
            }
        }
        let mut rows = self.rows(&range);
        let items: Vec<_> = rows.by_ref().take(limit).collect();
        let last = items.last().filter(|_| rows.next().is_some());
        let next = last.map(|item| IndexCursor::new(item.row));
        IndexPage::new(items, next)
    }

    /// The entries of the collection that are not in the index although they might belong into it,
    /// and why not, in no order.
    pub fn unplaced(&self) -> impl Iterator<Item = Unplaced> + 's {
        let Self { state, slot, id, .. } = *self;
        let prefix = state.schema.slot_prefix(slot).as_bytes();
        let refused = state.quarantined.range(&KeyRange::prefix(prefix.to_vec()));
        let refused = refused.filter(move |(_, entry)| entry.slot == slot);
        let refused = refused.filter(|(_, entry)| entry.shown_any().is_none());
        let refused = refused.filter_map(|(key, entry)| Quarantined::of(key, entry));
        let refused = refused.map(|refused| Unplaced { key: refused.key, error: refused.error });
        let places = place_of_unplaced(id, KeyRef::new(&[]));
        let failed = state.unplaced.range(&KeyRange::prefix(places.clone()));
        let failed = failed.filter_map(move |(place, entry)| {
            let primary = KeyRef::new(&place.as_bytes()[places.len()..]);
            // Pure functions fail again as they have failed before.
            let error = state.schema.definition(id).keys_of(primary, entry.shown_any()?).err()?;
            let key = [prefix, primary.as_bytes()].concat();
            Some(Unplaced { key: key.as_slice().into(), error: error.into() })
        });
        refused.chain(failed)
    }

    fn rows(&self, range: &KeyRange) -> IndexRange<'s, C, K, P> {
        IndexRange { rows: self.state.rows.range(range), marker: PhantomData }
    }
}

impl<C, K, P> fmt::Debug for IndexView<'_, C, K, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IndexView")
            .field("revision", &self.state.revision)
            .field("index", self.state.schema.definition(self.id))
            .finish()
    }
}

/// Entries of an index, in order. Can be read from both ends.
pub struct IndexRange<'s, C, K, P = Shared> {
    rows: KeyMapRange<'s>,
    marker: Types<C, K, P>,
}

// What is in an index has a value, of the collection's type: `Result::ok` drops none.
impl<'s, C: Codec, K: IndexKey, P: ClonePolicy<C::Value>> Iterator for IndexRange<'s, C, K, P> {
    type Item = IndexItem<'s, K, P::Out>;

    fn next(&mut self) -> Option<Self::Item> {
        IndexItem::of::<C, P>(self.rows.next()?)
    }

    /// Makes no values.
    fn count(self) -> usize {
        self.rows.count()
    }
}

impl<C: Codec, K: IndexKey, P: ClonePolicy<C::Value>> DoubleEndedIterator
    for IndexRange<'_, C, K, P>
{
    fn next_back(&mut self) -> Option<Self::Item> {
        IndexItem::of::<C, P>(self.rows.next_back()?)
    }
}

impl<C, K, P> fmt::Debug for IndexRange<'_, C, K, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IndexRange").finish_non_exhaustive()
    }
}

/// One entry that an index led to.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct IndexItem<'s, K, V> {
    /// Its key, relative to the collection.
    pub key: KeyRef<'s>,
    /// Its value, as the clone policy gives it.
    pub value: V,
    /// Its revisions, version and lease.
    pub metadata: Metadata,
    /// The encoded index key and the key.
    row: &'s [u8],
    marker: PhantomData<fn() -> K>,
}

impl<'s, K: IndexKey, V> IndexItem<'s, K, V> {
    fn of<C: Codec, P: ClonePolicy<C::Value, Out = V>>(
        (row, entry): (&'s Key, &'s EntryPtr),
    ) -> Option<Self> {
        let row = without_number(row);
        let key = primary_of::<K>(row);
        let value = P::out(&entry.typed_arc::<C>(key.as_bytes()).ok()?);
        Some(Self { key, value, metadata: entry.meta, row, marker: PhantomData })
    }

    /// The index key that led to it. `None` only if `K` cannot decode what it has encoded.
    pub fn index_key(&self) -> Option<K> {
        K::decode(&mut IndexReader::new(self.row))
    }
}

/// A row without the number of its index.
pub(crate) fn without_number(row: &Key) -> &[u8] {
    row.as_bytes().get(2..).unwrap_or_default()
}

/// The entry's key in such a row.
pub(crate) fn primary_of<K: IndexKey>(row: &[u8]) -> KeyRef<'_> {
    let mut reader = IndexReader::new(row);
    // It was written by `K`; if that breaks its contract, the whole row is as good as any answer.
    let _ = K::skip(&mut reader);
    KeyRef::new(reader.rest())
}

/// An entry that an index could not place.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Unplaced {
    /// The whole key.
    pub key: Key,
    /// Why: what the codec said, or the function of the index.
    pub error: SharedError,
}
