//! An index without its types.

use std::any::{TypeId, type_name};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::schema::AnyValue;
use crate::schema::index::handle::{IndexKeys, KeysOf};
use crate::schema::index::{Index, IndexKey};
use crate::{BoxError, Codec, KeyRef};

/// What the schema knows of an index.
pub(crate) struct Definition {
    /// The prefix of its collection, relative to that of the `Db`.
    pub(crate) collection: &'static str,
    pub(crate) name: &'static str,
    pub(crate) unique: bool,
    codec: TypeId,
    key_type: TypeId,
    key_name: &'static str,
    extract: Box<dyn Extract>,
}

impl Definition {
    pub(crate) fn of<C: Codec, K: IndexKey, P>(index: Index<C, K, P>) -> Self {
        Self {
            collection: index.collection.prefix(),
            name: index.name,
            unique: index.unique,
            codec: TypeId::of::<C>(),
            key_type: TypeId::of::<K>(),
            key_name: type_name::<K>(),
            extract: Box::new(Typed::<C, K>(index.keys)),
        }
    }

    /// The prefix of its collection and its name, as errors give it.
    pub(crate) fn full_name(&self) -> String {
        format!("{}#{}", self.collection, self.name)
    }

    /// The type of its keys, if it is not `K`.
    pub(crate) fn other_type_than<K: 'static>(&self) -> Option<&'static str> {
        (self.key_type != TypeId::of::<K>()).then_some(self.key_name)
    }

    /// Whether its function takes the values of this codec.
    pub(crate) fn is_over(&self, codec: TypeId) -> bool {
        self.codec == codec
    }

    /// The encoded index keys of an entry.
    pub(crate) fn keys_of(&self, key: KeyRef<'_>, value: &AnyValue) -> Result<Extracted, BoxError> {
        self.extract.extract(key, value)
    }
}

impl fmt::Debug for Definition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Definition")
            .field("collection", &self.collection)
            .field("name", &self.name)
            .field("unique", &self.unique)
            .field("key", &self.key_name)
            .finish_non_exhaustive()
    }
}

/// The encoded index keys of one entry, one after the other.
#[derive(Debug, Default)]
pub(crate) struct Extracted {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Extracted {
    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| &self.bytes[start..*end])
    }
}

trait Extract: Send + Sync {
    fn extract(&self, key: KeyRef<'_>, value: &AnyValue) -> Result<Extracted, BoxError>;
}

struct Typed<C: Codec, K>(KeysOf<C, K>);

impl<C: Codec, K: IndexKey> Extract for Typed<C, K> {
    fn extract(&self, key: KeyRef<'_>, value: &AnyValue) -> Result<Extracted, BoxError> {
        let value = value.downcast_ref().ok_or("the value is of another type")?;
        let keys = catch_unwind(AssertUnwindSafe(|| {
            let mut keys = IndexKeys::new();
            (self.0)(key, value, &mut keys);
            keys
        }));
        let keys = keys.map_err(|_| "the function of the index panicked")?;
        match keys.failed {
            Some(error) => Err(error),
            None => Ok(Extracted { bytes: keys.written.into_bytes(), ends: keys.ends }),
        }
    }
}
