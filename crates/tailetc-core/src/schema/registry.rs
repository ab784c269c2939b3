//! The registered collections of a `Db`, with their types erased.

use std::any::{Any, TypeId, type_name};
use std::fmt;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bytes::Bytes;

use crate::schema::index::Definition;
use crate::{BoxError, Codec, Collection, DecodePolicy, Error, Key, KeyRef};

/// A decoded value of any type.
pub(crate) type AnyValue = Arc<dyn Any + Send + Sync>;

/// Names a registered collection within its schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct SlotId(pub(super) u32);

impl SlotId {
    /// The keys that belong to no collection.
    pub(crate) const RAW: Self = Self(0);
}

/// The prefix of a `Db` and its collections. Immutable once built.
pub(crate) struct Schema {
    pub(super) prefix: Key,
    /// Slot 0 is [`SlotId::RAW`]; the others are sorted by prefix, and none is a prefix of another.
    pub(super) slots: Vec<Slot>,
    /// Those of one collection stand together.
    pub(super) indexes: Vec<Definition>,
}

pub(super) struct Slot {
    /// Relative to the prefix of the `Db`.
    pub(super) relative: &'static str,
    /// The whole prefix.
    pub(super) prefix: Key,
    pub(super) codec_type: TypeId,
    pub(super) codec_name: &'static str,
    pub(super) codec: Box<dyn ErasedCodec>,
    pub(super) policy: DecodePolicy,
    /// Of the schema's indexes, those over this collection.
    pub(super) indexes: Range<usize>,
    /// The key that every transaction puts which writes to this collection, if it is guarded.
    pub(super) guard: Option<Key>,
}

impl Schema {
    /// What all keys of the `Db` begin with.
    pub(crate) fn prefix(&self) -> &Key {
        &self.prefix
    }

    /// The collection that a whole key belongs to.
    pub(crate) fn slot_of(&self, key: &[u8]) -> SlotId {
        let after = self.slots[1..].partition_point(|slot| slot.prefix.as_bytes() <= key);
        // Prefixes do not contain each other, so only the last one at or before the key can match.
        match after.checked_sub(1).map(|last| last + 1) {
            Some(slot) if key.starts_with(self.slots[slot].prefix.as_bytes()) => {
                SlotId(slot as u32)
            }
            _ => SlotId::RAW,
        }
    }

    /// The slot of a handle, if it is registered with the same codec.
    pub(crate) fn resolve<C: Codec, P>(
        &self,
        collection: Collection<C, P>,
    ) -> Result<SlotId, Error> {
        let relative = collection.prefix();
        let unknown = || Error::UnknownCollection { prefix: relative.to_owned() };
        let index =
            self.slots.iter().position(|slot| slot.relative == relative).ok_or_else(unknown)?;
        let slot = &self.slots[index];
        if slot.codec_type != TypeId::of::<C>() {
            return Err(mismatch(slot, type_name::<C>()));
        }
        Ok(SlotId(index as u32))
    }

    /// The whole prefix of a slot's keys.
    pub(crate) fn slot_prefix(&self, slot: SlotId) -> &Key {
        &self.slots[slot.0 as usize].prefix
    }

    /// The whole key of one that is relative to its collection.
    pub(crate) fn whole_key(&self, slot: SlotId, primary: &[u8]) -> Key {
        [self.slot_prefix(slot).as_bytes(), primary].concat().as_slice().into()
    }

    /// What becomes of the slot's values that do not decode.
    pub(crate) fn policy(&self, slot: SlotId) -> DecodePolicy {
        self.slots[slot.0 as usize].policy
    }

    /// The key relative to its collection.
    pub(crate) fn relative<'k>(&self, slot: SlotId, key: &'k [u8]) -> KeyRef<'k> {
        KeyRef::new(&key[self.slot_prefix(slot).as_bytes().len()..])
    }

    /// Refuses a raw access to a key that belongs to a typed collection.
    pub(crate) fn check_owner(&self, slot: SlotId, key: &[u8]) -> Result<(), Error> {
        let owner = self.slot_of(key);
        if owner == slot {
            return Ok(());
        }
        let used = self.slots[slot.0 as usize].codec_name;
        Err(mismatch(&self.slots[owner.0 as usize], used))
    }

    pub(crate) fn encode(
        &self,
        slot: SlotId,
        key: &[u8],
        value: &(dyn Any + Send + Sync),
    ) -> Result<Bytes, BoxError> {
        self.slots[slot.0 as usize].codec.encode(self.relative(slot, key), value)
    }

    pub(crate) fn decode(
        &self,
        slot: SlotId,
        key: &[u8],
        bytes: &Bytes,
    ) -> Result<AnyValue, BoxError> {
        self.slots[slot.0 as usize].codec.decode(self.relative(slot, key), bytes)
    }
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let slots = self.slots[1..].iter().map(|slot| (slot.relative, slot.codec_name));
        f.debug_struct("Schema")
            .field("prefix", &self.prefix)
            .field("collections", &slots.collect::<Vec<_>>())
            .finish()
    }
}

fn mismatch(slot: &Slot, found: &'static str) -> Error {
    Error::TypeMismatch { prefix: slot.relative.to_owned(), expected: slot.codec_name, found }
}

/// [`Codec`] without its types. Contains the panics of user code.
pub(super) trait ErasedCodec: Send + Sync {
    fn encode(&self, key: KeyRef<'_>, value: &(dyn Any + Send + Sync)) -> Result<Bytes, BoxError>;
    fn decode(&self, key: KeyRef<'_>, bytes: &Bytes) -> Result<AnyValue, BoxError>;
}

impl<C: Codec> ErasedCodec for C {
    fn encode(&self, key: KeyRef<'_>, value: &(dyn Any + Send + Sync)) -> Result<Bytes, BoxError> {
        let value = value.downcast_ref().ok_or("the value is of another type")?;
        contain(|| Codec::encode(self, key, value))
    }

    fn decode(&self, key: KeyRef<'_>, bytes: &Bytes) -> Result<AnyValue, BoxError> {
        contain(|| Ok(Arc::new(Codec::decode(self, key, bytes)?) as AnyValue))
    }
}

fn contain<T>(run: impl FnOnce() -> Result<T, BoxError>) -> Result<T, BoxError> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| Err("the codec panicked".into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::SchemaBuilder;
    use crate::{RAW, Raw};

    const A: Collection<Raw> = Collection::new("a/");
    const AB: Collection<Raw> = Collection::new("ab/");

    fn schema(collections: &[Collection<Raw>]) -> Result<Schema, Error> {
        let mut builder = SchemaBuilder::default();
        for collection in collections {
            builder.add(*collection, Raw);
        }
        builder.build(b"/app/")
    }

    #[test]
    fn key_belongs_to_the_collection_whose_prefix_it_has() {
        let schema = schema(&[AB, A]).unwrap();
        for (key, owner) in [
            ("/app/a/1", Some(A)),
            ("/app/a/", Some(A)),
            ("/app/ab/1", Some(AB)),
            ("/app/a", None),
            ("/app/a0", None),
            ("/app/z", None),
        ] {
            let slot = owner.map_or(SlotId::RAW, |owner| schema.resolve(owner).unwrap());
            assert_eq!(schema.slot_of(key.as_bytes()), slot, "{key}");
        }
    }

    #[test]
    fn overlapping_prefixes_are_refused() {
        const NESTED: Collection<Raw> = Collection::new("a/b/");
        for collections in [[A, NESTED], [A, A]] {
            let error = schema(&collections).unwrap_err();
            assert!(matches!(error, Error::InvalidOption { .. }), "{error}");
        }
    }

    // D30
    #[test]
    fn prefix_without_separator_is_refused_unless_bare() {
        const OPEN: Collection<Raw> = Collection::new("a");
        const BARE: Collection<Raw> = Collection::bare("a");
        assert!(schema(&[OPEN]).is_err());
        assert!(schema(&[BARE]).is_ok());
    }

    #[test]
    fn handle_with_another_codec_is_a_type_mismatch() {
        struct Other;
        impl Codec for Other {
            type Value = u8;
            fn encode(&self, _: KeyRef<'_>, value: &u8) -> Result<Bytes, BoxError> {
                Ok(vec![*value].into())
            }
            fn decode(&self, _: KeyRef<'_>, _: &Bytes) -> Result<u8, BoxError> {
                Ok(0)
            }
        }
        const OTHER: Collection<Other> = Collection::new("a/");
        let schema = schema(&[A]).unwrap();
        assert!(matches!(schema.resolve(OTHER), Err(Error::TypeMismatch { .. })));
        assert!(matches!(schema.resolve(AB), Err(Error::UnknownCollection { .. })));
        assert!(schema.check_owner(schema.resolve(RAW).unwrap(), b"/app/a/1").is_err());
    }

    // D26
    #[test]
    fn panic_in_a_codec_is_an_error() {
        struct Panics;
        impl Codec for Panics {
            type Value = u8;
            fn encode(&self, _: KeyRef<'_>, _: &u8) -> Result<Bytes, BoxError> {
                panic!("encode")
            }
            fn decode(&self, _: KeyRef<'_>, _: &Bytes) -> Result<u8, BoxError> {
                panic!("decode")
            }
        }
        const PANICS: Collection<Panics> = Collection::new("p/");
        let mut builder = SchemaBuilder::default();
        builder.add(PANICS, Panics);
        let schema = builder.build(b"").unwrap();
        let slot = schema.resolve(PANICS).unwrap();
        assert!(schema.decode(slot, b"p/x", &Bytes::new()).is_err());
        assert!(schema.encode(slot, b"p/x", &1_u8).is_err());
    }
}
