//! Iterators over the keys of a collection.

use std::fmt;
use std::marker::PhantomData;

use crate::schema::SlotId;
use crate::state::map::KeyMapRange;
use crate::state::{EntryPtr, State};
use crate::{ClonePolicy, Codec, Error, Key, KeyRef};

/// The keys and values of a range, in key order. Can be read from both ends.
///
/// Borrows the snapshot and copies nothing but what the clone policy copies.
pub struct Range<'s, C, P> {
    scan: Scan<'s, C, P>,
}

impl<'s, C, P> Range<'s, C, P> {
    pub(crate) fn new(scan: Scan<'s, C, P>) -> Self {
        Self { scan }
    }
}

// The snapshot has checked that nothing in the range is quarantined, so no item is an error and
// `Result::ok` drops none.
impl<'s, C: Codec, P: ClonePolicy<C::Value>> Iterator for Range<'s, C, P> {
    type Item = (KeyRef<'s>, P::Out);

    fn next(&mut self) -> Option<Self::Item> {
        self.scan.next()?.ok()
    }
}

impl<C: Codec, P: ClonePolicy<C::Value>> DoubleEndedIterator for Range<'_, C, P> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.scan.next_back()?.ok()
    }
}

impl<C, P> fmt::Debug for Range<'_, C, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Range").finish_non_exhaustive()
    }
}

/// Like [`Range`], with an error in the place of each value that does not decode.
pub struct Scan<'s, C, P> {
    state: &'s State,
    slot: SlotId,
    entries: KeyMapRange<'s>,
    marker: PhantomData<fn() -> (C, P)>,
}

impl<'s, C, P> Scan<'s, C, P> {
    pub(crate) fn new(state: &'s State, slot: SlotId, entries: KeyMapRange<'s>) -> Self {
        Self { state, slot, entries, marker: PhantomData }
    }
}

impl<'s, C: Codec, P: ClonePolicy<C::Value>> Scan<'s, C, P> {
    fn item(&self, (key, entry): (&'s Key, &'s EntryPtr)) -> Result<(KeyRef<'s>, P::Out), Error> {
        let value = entry.typed_arc::<C>(key.as_bytes())?;
        Ok((self.state.schema.relative(self.slot, key.as_bytes()), P::out(&value)))
    }
}

impl<'s, C: Codec, P: ClonePolicy<C::Value>> Iterator for Scan<'s, C, P> {
    type Item = Result<(KeyRef<'s>, P::Out), Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let slot = self.slot;
        // Only the raw slot shares its range with other collections' keys.
        let found = self.entries.find(|(_, entry)| entry.slot == slot)?;
        Some(self.item(found))
    }
}

impl<C: Codec, P: ClonePolicy<C::Value>> DoubleEndedIterator for Scan<'_, C, P> {
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
