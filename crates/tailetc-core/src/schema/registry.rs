//! The registered collections of a `Db`, with their types erased.

use std::any::{Any, TypeId, type_name};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bytes::Bytes;

use crate::schema::index::{Definition, IndexId};
use crate::{BoxError, Codec, Collection, DecodePolicy, Error, Index, IndexKey, Key, KeyRef, Raw};

/// A decoded value of any type.
pub(crate) type AnyValue = Arc<dyn Any + Send + Sync>;

/// Names a registered collection within its schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct SlotId(u32);

impl SlotId {
    /// The keys that belong to no collection.
    pub(crate) const RAW: Self = Self(0);
}

/// The prefix of a `Db` and its collections. Immutable once built.
pub(crate) struct Schema {
    prefix: Key,
    /// Slot 0 is [`SlotId::RAW`]; the others are sorted by prefix, and none is a prefix of another.
    slots: Vec<Slot>,
    /// Those of one collection stand together.
    indexes: Vec<Definition>,
}

struct Slot {
    /// Relative to the prefix of the `Db`.
    relative: &'static str,
    /// The whole prefix.
    prefix: Key,
    codec_type: TypeId,
    codec_name: &'static str,
    codec: Box<dyn ErasedCodec>,
    policy: DecodePolicy,
    /// Of the schema's indexes, those over this collection.
    indexes: Range<usize>,
    /// The key that every transaction puts which writes to this collection, if it is guarded.
    guard: Option<Key>,
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

/// Where the keys are that are the library's own, relative to the prefix of the `Db`.
const OWN: &str = ".tailetc/";

/// Collects collections and checks them against each other.
#[derive(Default)]
pub(crate) struct SchemaBuilder {
    declared: Vec<Declared>,
    indexes: Vec<Definition>,
    guarded: BTreeSet<&'static str>,
    policies: BTreeMap<&'static str, DecodePolicy>,
}

struct Declared {
    relative: &'static str,
    separated: bool,
    codec_type: TypeId,
    codec_name: &'static str,
    codec: Box<dyn ErasedCodec>,
}

impl SchemaBuilder {
    pub(crate) fn add<C: Codec, P>(&mut self, collection: Collection<C, P>, codec: C) {
        self.declared.push(Declared {
            relative: collection.prefix(),
            separated: collection.must_be_separated(),
            codec_type: TypeId::of::<C>(),
            codec_name: type_name::<C>(),
            codec: Box::new(codec),
        });
    }

    pub(crate) fn add_index<C: Codec, K: IndexKey, P>(&mut self, index: Index<C, K, P>) {
        self.indexes.push(Definition::of(index));
    }

    pub(crate) fn guard<C, P>(&mut self, collection: Collection<C, P>) {
        self.guarded.insert(collection.prefix());
    }

    pub(crate) fn set_policy<C, P>(&mut self, of: Collection<C, P>, policy: DecodePolicy) {
        self.policies.insert(of.prefix(), policy);
    }

    pub(crate) fn build(mut self, prefix: &[u8]) -> Result<Schema, Error> {
        let invalid = |reason| Error::InvalidOption { option: "collection", reason };
        if !self.guarded.is_empty() || self.indexes.iter().any(|index| index.unique) {
            self.add(Collection::<Raw>::new(OWN), Raw);
        }
        self.declared.sort_by_key(|declared| declared.relative);
        for declared in &self.declared {
            if declared.relative.is_empty() {
                return Err(invalid("the prefix is empty; every key would belong to it".into()));
            }
            if declared.separated && !declared.relative.ends_with('/') {
                return Err(invalid(format!(
                    "the prefix {:?} must end with '/' (Collection::bare takes any)",
                    declared.relative
                )));
            }
        }
        for pair in self.declared.windows(2) {
            if pair[1].relative == pair[0].relative {
                let twice = pair[0].relative;
                return Err(invalid(format!("the prefix {twice:?} is registered twice")));
            }
            if pair[1].relative.starts_with(pair[0].relative) {
                return Err(invalid(format!(
                    "the prefixes {:?} and {:?} overlap",
                    pair[0].relative, pair[1].relative
                )));
            }
        }
        let declared = |relative| self.declared.iter().any(|d| d.relative == relative);
        if let Some(relative) = self.policies.keys().find(|relative| !declared(**relative)) {
            let reason = format!("the collection {relative:?} is not registered");
            return Err(Error::InvalidOption { option: "decode_policy", reason });
        }
        if let Some(relative) = self.guarded.iter().find(|relative| !declared(**relative)) {
            let reason = format!("the collection {relative:?} is not registered");
            return Err(Error::InvalidOption { option: "guarded", reason });
        }
        self.indexes.sort_by_key(|index| (index.collection, index.name));
        self.check_indexes()?;
        let raw = Declared {
            relative: "",
            separated: false,
            codec_type: TypeId::of::<Raw>(),
            codec_name: type_name::<Raw>(),
            codec: Box::new(Raw),
        };
        let indexes = self.indexes;
        let of = |collection| {
            let from = indexes.partition_point(|index| index.collection < collection);
            from..indexes.partition_point(|index| index.collection <= collection)
        };
        let slots = std::iter::once(raw).chain(self.declared).map(|declared| Slot {
            prefix: [prefix, declared.relative.as_bytes()].concat().as_slice().into(),
            guard: self.guarded.contains(declared.relative).then(|| {
                let own = format!("{OWN}guard/{}", declared.relative);
                [prefix, own.as_bytes()].concat().as_slice().into()
            }),
            relative: declared.relative,
            codec_type: declared.codec_type,
            codec_name: declared.codec_name,
            codec: declared.codec,
            policy: self.policies.get(declared.relative).copied().unwrap_or_default(),
            indexes: of(declared.relative),
        });
        Ok(Schema { prefix: prefix.into(), slots: slots.collect(), indexes })
    }

    /// They are sorted by collection and name.
    fn check_indexes(&self) -> Result<(), Error> {
        let invalid = |reason| Error::InvalidOption { option: "index", reason };
        for index in &self.indexes {
            let Definition { collection, name, .. } = index;
            let declared = self.declared.iter().find(|of| of.relative == *collection);
            let Some(declared) = declared else {
                return Err(invalid(format!("the collection {collection:?} is not registered")));
            };
            if !index.is_over(declared.codec_type) {
                let codec = declared.codec_name;
                return Err(invalid(format!(
                    "{collection:?} holds {codec}, and {name:?} does not"
                )));
            }
            // The name is a segment of the keys of reservations.
            if name.is_empty() || name.contains('/') {
                return Err(invalid(format!("{name:?} is no name: give a text without '/'")));
            }
        }
        for pair in self.indexes.windows(2) {
            if (pair[0].collection, pair[0].name) == (pair[1].collection, pair[1].name) {
                let Definition { collection, name, .. } = &pair[0];
                return Err(invalid(format!("{collection:?} has two indexes {name:?}")));
            }
        }
        if self.indexes.len() > IndexId::MOST {
            return Err(invalid(format!("there are more than {}", IndexId::MOST)));
        }
        Ok(())
    }
}

impl fmt::Debug for SchemaBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.declared.iter().map(|declared| declared.relative)).finish()
    }
}

/// [`Codec`] without its types. Contains the panics of user code.
trait ErasedCodec: Send + Sync {
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
    use crate::RAW;

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
