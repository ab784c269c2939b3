//! Iterators over the keys of a collection.

use std::fmt;
use std::marker::PhantomData;

use crate::schema::SlotId;
use crate::state::map::KeyMapRange;
use crate::state::{EntryPtr, Metadata, State};
use crate::{ClonePolicy, Codec, Error, Key, KeyRef, Revision, Shared};

/// The keys and values of a range, in key order. Can be read from both ends.
///
/// Borrows the snapshot and copies nothing but what the clone policy copies.
pub struct Range<'s, C, P = Shared> {
    scan: Scan<'s, C, P>,
}

impl<'s, C, P> Range<'s, C, P> {
    pub(crate) fn new(scan: Scan<'s, C, P>) -> Self {
        Self { scan }
    }
}

// The snapshot has checked that nothing in the range is quarantined, so every item has its value
// and `Result::ok` drops none.
impl<'s, C: Codec, P: ClonePolicy<C::Value>> Iterator for Range<'s, C, P> {
    type Item = (KeyRef<'s>, P::Out);

    fn next(&mut self) -> Option<Self::Item> {
        let item = self.scan.next()?;
        Some((item.relative, item.value().ok()?))
    }
}

impl<C: Codec, P: ClonePolicy<C::Value>> DoubleEndedIterator for Range<'_, C, P> {
    fn next_back(&mut self) -> Option<Self::Item> {
        let item = self.scan.next_back()?;
        Some((item.relative, item.value().ok()?))
    }
}

impl<C, P> fmt::Debug for Range<'_, C, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Range").finish_non_exhaustive()
    }
}

/// The keys of a range, in key order, whether their values decode or not. Can be read from both
/// ends.
pub struct Scan<'s, C, P = Shared> {
    state: &'s State,
    slot: SlotId,
    entries: KeyMapRange<'s>,
    marker: PhantomData<fn() -> (C, P)>,
}

impl<'s, C, P> Scan<'s, C, P> {
    pub(crate) fn new(state: &'s State, slot: SlotId, entries: KeyMapRange<'s>) -> Self {
        Self { state, slot, entries, marker: PhantomData }
    }

    fn item(&self, (key, entry): (&'s Key, &'s EntryPtr)) -> Item<'s, C, P> {
        let relative = self.state.schema.relative(self.slot, key.as_bytes());
        Item { key, relative, entry, marker: PhantomData }
    }
}

impl<'s, C, P> Iterator for Scan<'s, C, P> {
    type Item = Item<'s, C, P>;

    fn next(&mut self) -> Option<Self::Item> {
        let slot = self.slot;
        // Only the raw slot shares its range with other collections' keys.
        let found = self.entries.find(|(_, entry)| entry.slot == slot)?;
        Some(self.item(found))
    }
}

impl<C, P> DoubleEndedIterator for Scan<'_, C, P> {
    fn next_back(&mut self) -> Option<Self::Item> {
        let slot = self.slot;
        let found = self.entries.rfind(|(_, entry)| entry.slot == slot)?;
        Some(self.item(found))
    }
}

impl<C, P> fmt::Debug for Scan<'_, C, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scan").finish_non_exhaustive()
    }
}

/// One key that a [`Scan`] found.
pub struct Item<'s, C, P = Shared> {
    key: &'s Key,
    relative: KeyRef<'s>,
    entry: &'s EntryPtr,
    marker: PhantomData<fn() -> (C, P)>,
}

impl<'s, C, P> Item<'s, C, P> {
    /// The key, relative to the collection.
    pub fn key(&self) -> KeyRef<'s> {
        self.relative
    }

    /// Its revisions, version and lease.
    pub fn metadata(&self) -> Metadata {
        self.entry.meta
    }

    /// The revision of the value that is given in the place of the store's, which does not decode:
    /// [`DecodePolicy::KeepPrevious`](crate::DecodePolicy::KeepPrevious).
    pub fn kept_from(&self) -> Option<Revision> {
        self.entry.kept_from()
    }
}

impl<C: Codec, P: ClonePolicy<C::Value>> Item<'_, C, P> {
    /// Its value, as the collection's clone policy gives it.
    ///
    /// # Errors
    ///
    /// [`Error::Undecodable`] if the stored bytes are no value.
    pub fn value(&self) -> Result<P::Out, Error> {
        Ok(P::out(&self.entry.typed_arc::<C>(self.key.as_bytes())?))
    }
}

impl<C, P> fmt::Debug for Item<'_, C, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Item")
            .field("key", &self.relative)
            .field("metadata", &self.entry.meta)
            .finish_non_exhaustive()
    }
}
