//! Declaring an index.

use std::fmt;
use std::marker::PhantomData;

use crate::schema::index::{AsIndexKey, IndexKey, IndexWriter};
use crate::{BoxError, Codec, Collection, KeyRef, Shared};

/// An ordered index over a collection: declared once, as a constant, registered with
/// [`Builder::index`](crate::Builder::index), kept by the `Db` in the same step as the collection.
///
/// ```
/// use tailetc_core::{Bytes, Collection, Index, Raw};
///
/// const FILES: Collection<Raw> = Collection::new("files/");
/// const BY_SIZE: Index<Raw, u64> = FILES.index("size", |_key, bytes, keys| {
///     keys.add(bytes.len() as u64);
/// });
/// ```
///
/// `K` is what it is sorted by, an [`IndexKey`]. `P` is the collection's clone policy, which the
/// values found through the index go through, too.
pub struct Index<C: Codec, K, P = Shared> {
    pub(super) collection: Collection<C, P>,
    pub(super) name: &'static str,
    pub(super) unique: bool,
    pub(super) keys: KeysOf<C, K>,
}

/// The function that gives an entry its index keys.
pub(super) type KeysOf<C, K> = fn(KeyRef<'_>, &<C as Codec>::Value, &mut IndexKeys<K>);

impl<C: Codec, P> Collection<C, P> {
    /// An index over this collection. `keys` adds the index keys of an entry, none, one or many,
    /// from its key (relative to the collection) and its value.
    ///
    /// It must be a pure function of these: the index is taken apart with the keys that it gives
    /// for the old value. A panic in it, or [`IndexKeys::fail`], leaves the entry out of this index;
    /// see [`IndexView::unplaced`](crate::IndexView::unplaced).
    pub const fn index<K: IndexKey>(
        self,
        name: &'static str,
        keys: fn(KeyRef<'_>, &C::Value, &mut IndexKeys<K>),
    ) -> Index<C, K, P> {
        Index { collection: self, name, unique: false, keys }
    }

    /// An index in which each index key belongs to one entry at most, across all processes:
    /// a transaction that would give it a second one fails with
    /// [`Error::NotUnique`](crate::Error::NotUnique).
    ///
    /// That is enforced by a *reservation* in the same transaction, a key below `.tailetc/unique/`
    /// under the prefix of the `Db`, which names the holder. Every writer must declare the index:
    /// what other programs write without reservations is found by
    /// [`Snapshot::check_unique`](crate::Snapshot::check_unique). Each key that is added or given up takes one
    /// operation and one guard of the transaction. A value for which `keys` fails or panics is
    /// refused ([`Error::NotIndexed`](crate::Error::NotIndexed)) where this program puts it.
    pub const fn unique_index<K: IndexKey>(
        self,
        name: &'static str,
        keys: fn(KeyRef<'_>, &C::Value, &mut IndexKeys<K>),
    ) -> Index<C, K, P> {
        Index { collection: self, name, unique: true, keys }
    }
}

impl<C: Codec, K, P> Index<C, K, P> {
    /// The name, which is the index's own within its collection.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// The collection.
    pub const fn collection(&self) -> Collection<C, P> {
        self.collection
    }

    /// Whether it is a [`unique_index`](Collection::unique_index).
    pub const fn is_unique(&self) -> bool {
        self.unique
    }

    /// The prefix of the collection and the name, as errors give it.
    pub(crate) fn full_name(&self) -> String {
        format!("{}#{}", self.collection.prefix(), self.name)
    }

    /// The same index, read with another clone policy. Needs no registration of its own.
    pub const fn with_policy<Q>(self) -> Index<C, K, Q> {
        let Self { collection, name, unique, keys } = self;
        Index { collection: collection.with_policy(), name, unique, keys }
    }
}

impl<C: Codec, K, P> Clone for Index<C, K, P> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<C: Codec, K, P> Copy for Index<C, K, P> {}

impl<C: Codec, K, P> fmt::Debug for Index<C, K, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Index")
            .field("collection", &self.collection)
            .field("name", &self.name)
            .field("unique", &self.unique)
            .finish_non_exhaustive()
    }
}

/// The index keys of one entry, as they are added. One that is added twice counts once.
#[derive(Debug)]
pub struct IndexKeys<K> {
    pub(super) written: IndexWriter,
    /// Where each key ends in `written`.
    pub(super) ends: Vec<usize>,
    pub(super) failed: Option<BoxError>,
    marker: PhantomData<fn(K)>,
}

/// The longest encoding of an index key, in bytes.
const LONGEST: usize = 4096;

impl<K: IndexKey> IndexKeys<K> {
    pub(super) fn new() -> Self {
        Self {
            written: IndexWriter::default(),
            ends: Vec::new(),
            failed: None,
            marker: PhantomData,
        }
    }

    /// Adds a key: a `K`, a reference to one, or what it borrows as. Its encoding takes at most
    /// 4,096 bytes; a longer one counts as a failure.
    pub fn add(&mut self, key: impl AsIndexKey<K>) {
        let start = self.written.len();
        key.encode_as(&mut self.written);
        let len = self.written.len() - start;
        if len > LONGEST {
            self.written.truncate(start);
            self.fail(format!("an index key has {len} bytes, at most {LONGEST} are allowed"));
            return;
        }
        self.ends.push(self.written.len());
    }

    /// Adds several keys.
    pub fn extend(&mut self, keys: impl IntoIterator<Item = impl AsIndexKey<K>>) {
        for key in keys {
            self.add(key);
        }
    }

    /// The entry cannot be indexed. It is left out of the index, with all keys that were added.
    pub fn fail(&mut self, reason: impl Into<BoxError>) {
        self.failed.get_or_insert_with(|| reason.into());
    }
}
