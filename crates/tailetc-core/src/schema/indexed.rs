//! What a schema knows of indexes, and of the keys that are the library's own.

use std::any::type_name;

use crate::schema::index::{Definition, IndexId};
use crate::schema::{OWN, Schema, SlotId};
use crate::{Codec, Error, Index, IndexKey, Key};

impl Schema {
    pub(crate) fn has_indexes(&self) -> bool {
        !self.indexes.is_empty()
    }

    pub(crate) fn has_unique_indexes(&self) -> bool {
        self.indexes.iter().any(|index| index.unique)
    }

    /// The indexes over a collection, with their numbers.
    pub(crate) fn indexes_of(&self, slot: SlotId) -> impl Iterator<Item = (IndexId, &Definition)> {
        let indexes = self.slots[slot.0 as usize].indexes.clone();
        indexes.map(|index| (IndexId::new(index), &self.indexes[index]))
    }

    pub(crate) fn definition(&self, index: IndexId) -> &Definition {
        &self.indexes[index.at()]
    }

    /// All indexes, with their collections.
    pub(crate) fn indexes(&self) -> impl Iterator<Item = (SlotId, IndexId, &Definition)> {
        let slots = (0..self.slots.len()).map(|slot| SlotId(slot as u32));
        slots.flat_map(|slot| {
            self.indexes_of(slot).map(move |(id, definition)| (slot, id, definition))
        })
    }

    /// The collection of an index.
    pub(crate) fn slot_of_index(&self, index: IndexId) -> SlotId {
        let slots = self.slots.iter().position(|slot| slot.indexes.contains(&index.at()));
        // Each index has been checked to have a collection.
        SlotId(slots.unwrap_or_default() as u32)
    }

    /// The guard key of a guarded collection.
    pub(crate) fn guard_of(&self, slot: SlotId) -> Option<&Key> {
        self.slots[slot.0 as usize].guard.as_ref()
    }

    /// The guard keys of all guarded collections.
    pub(crate) fn guards(&self) -> impl Iterator<Item = (SlotId, &Key)> {
        let slots = self.slots.iter().enumerate();
        slots.filter_map(|(slot, of)| Some((SlotId(slot as u32), of.guard.as_ref()?)))
    }

    /// What the reservations of a unique index begin with.
    pub(crate) fn reservations(&self, index: IndexId) -> Vec<u8> {
        let Definition { collection, name, .. } = self.definition(index);
        let own = format!("{OWN}unique/{collection}#{name}/");
        [self.prefix.as_bytes(), own.as_bytes()].concat()
    }

    /// The key that reserves an index key.
    pub(crate) fn reservation(&self, index: IndexId, index_key: &[u8]) -> Key {
        let mut key = self.reservations(index);
        key.extend_from_slice(index_key);
        key.as_slice().into()
    }

    /// The collection and the number of an index, if both are registered with the same types.
    pub(crate) fn resolve_index<C: Codec, K: IndexKey, P>(
        &self,
        index: &Index<C, K, P>,
    ) -> Result<(SlotId, IndexId), Error> {
        let slot = self.resolve(index.collection())?;
        let named = |(_, definition): &(_, &Definition)| definition.name == index.name();
        let Some((id, definition)) = self.indexes_of(slot).find(named) else {
            return Err(Error::UnknownIndex { index: index.full_name() });
        };
        if let Some(expected) = definition.other_type_than::<K>() {
            let found = type_name::<K>();
            return Err(Error::TypeMismatch { prefix: index.full_name(), expected, found });
        }
        if definition.unique != index.is_unique() {
            let kind = |unique| if unique { "a unique index" } else { "an index" };
            let (expected, found) = (kind(definition.unique), kind(index.is_unique()));
            return Err(Error::TypeMismatch { prefix: index.full_name(), expected, found });
        }
        Ok((slot, id))
    }
}
