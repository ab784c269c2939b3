//! Reading.

use std::fmt;
use std::sync::Arc;

use crate::backend::KeyRange;
use crate::schema::SlotId;
use crate::state::{EntryPtr, KeyBounds, Metadata, Quarantined, Range, Scan, State, Token};
use crate::{
    ChangeSet, ClonePolicy, Codec, Collection, Error, Index, IndexKey, IndexView, Key, Revision,
};

/// The database at exactly one revision.
///
/// Never changes, never goes stale, blocks nobody. Cloning costs a reference count. It keeps the
/// values of its revision in memory for as long as it lives.
///
/// # Blocking
///
/// No method waits, and none takes a lock.
#[derive(Clone)]
pub struct Snapshot(Arc<State>);

impl Snapshot {
    pub(crate) fn new(state: Arc<State>) -> Self {
        Self(state)
    }

    pub(crate) fn state(&self) -> &State {
        &self.0
    }

    /// The revision: every change at or below it is visible, none above it.
    pub fn revision(&self) -> Revision {
        self.0.revision
    }

    /// The place in history that this snapshot shows, for another process.
    pub fn token(&self) -> Token {
        self.0.token()
    }

    /// The number of keys below the prefix of the `Db`, of all collections together, those of
    /// `.tailetc/` included (guard keys, and the reservations of unique indexes).
    pub fn len(&self) -> usize {
        self.0.map.len()
    }

    /// Whether there is no key below the prefix of the `Db`.
    pub fn is_empty(&self) -> bool {
        self.0.map.is_empty()
    }

    /// What is different in `newer`, another snapshot of the same `Db`, as one change set: of kind
    /// [`Coalesced`](crate::ChangeKind::Coalesced), or [`Resync`](crate::ChangeKind::Resync) if the cluster has
    /// lost its history between the two. (An older one may be given; then it is the way back.)
    ///
    /// A key is in it if it was written between the two, even with an equal value. Takes time in
    /// proportion to what the two do not share: about what was changed between them.
    ///
    /// # Errors
    ///
    /// [`Error::ForeignSnapshot`].
    pub fn diff(&self, newer: &Self) -> Result<ChangeSet, Error> {
        if !Arc::ptr_eq(&self.0.schema, &newer.0.schema) {
            return Err(Error::ForeignSnapshot);
        }
        Ok(ChangeSet::between(&self.0, &newer.0, &KeyRange::all()))
    }

    /// The value of a key, as the collection's clone policy gives it.
    ///
    /// # Errors
    ///
    /// [`Error::Undecodable`] if the stored bytes are no value; [`Error::UnknownCollection`] and
    /// [`Error::TypeMismatch`] if the collection is not registered so.
    pub fn get<C: Codec, P: ClonePolicy<C::Value>>(
        &self,
        collection: Collection<C, P>,
        key: impl AsRef<[u8]>,
    ) -> Result<Option<P::Out>, Error> {
        self.0.get(collection, key.as_ref())
    }

    /// The cached value itself, borrowed: nothing is copied, no reference counted.
    ///
    /// # Errors
    ///
    /// As for [`get`](Self::get).
    pub fn peek<C: Codec, P>(
        &self,
        collection: Collection<C, P>,
        key: impl AsRef<[u8]>,
    ) -> Result<Option<&C::Value>, Error> {
        self.0.peek(collection, key.as_ref())
    }

    /// Whether the key exists; true for one whose value does not decode.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownCollection`] and [`Error::TypeMismatch`].
    pub fn contains<C: Codec, P>(
        &self,
        collection: Collection<C, P>,
        key: impl AsRef<[u8]>,
    ) -> Result<bool, Error> {
        Ok(self.metadata(collection, key)?.is_some())
    }

    /// The revisions, version and lease of a key; also of one whose value does not decode.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownCollection`] and [`Error::TypeMismatch`].
    pub fn metadata<C: Codec, P>(
        &self,
        collection: Collection<C, P>,
        key: impl AsRef<[u8]>,
    ) -> Result<Option<Metadata>, Error> {
        self.0.entry(collection, key.as_ref(), |_, entry| entry.meta)
    }

    /// The metadata of a whole etcd key.
    ///
    /// # Errors
    ///
    /// [`Error::OutsidePrefix`] if the key is not below the prefix of the `Db`.
    pub fn metadata_of(&self, key: impl AsRef<[u8]>) -> Result<Option<Metadata>, Error> {
        let (key, prefix) = (key.as_ref(), self.0.schema.prefix());
        if !key.starts_with(prefix.as_bytes()) {
            return Err(Error::OutsidePrefix { key: key.into(), prefix: prefix.clone() });
        }
        Ok(self.0.map.get(key).map(|entry| entry.meta))
    }

    /// The keys and values of a range, in key order.
    ///
    /// # Errors
    ///
    /// [`Error::Undecodable`] if the range holds a value that does not decode: nothing is left out
    /// silently. [`scan`](Self::scan) gives such values one by one.
    /// [`Error::UnknownCollection`] and [`Error::TypeMismatch`] as for [`get`](Self::get).
    pub fn range<C: Codec, P: ClonePolicy<C::Value>>(
        &self,
        collection: Collection<C, P>,
        bounds: impl KeyBounds,
    ) -> Result<Range<'_, C, P>, Error> {
        let slot = self.0.schema.resolve(collection)?;
        let range = bounds.key_range(self.0.schema.slot_prefix(slot).as_bytes());
        let refused = self.0.quarantined.range(&range);
        for (key, entry) in refused.filter(|(_, entry)| entry.slot == slot) {
            entry.typed::<C>(key.as_bytes())?;
        }
        Ok(Range::new(Scan::new(&self.0, slot, self.0.map.range(&range))))
    }

    /// The keys of a range, in key order, with their metadata, and with their values or what is
    /// wrong with them.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownCollection`] and [`Error::TypeMismatch`] as for [`get`](Self::get).
    pub fn scan<C: Codec, P: ClonePolicy<C::Value>>(
        &self,
        collection: Collection<C, P>,
        bounds: impl KeyBounds,
    ) -> Result<Scan<'_, C, P>, Error> {
        let slot = self.0.schema.resolve(collection)?;
        let range = bounds.key_range(self.0.schema.slot_prefix(slot).as_bytes());
        Ok(Scan::new(&self.0, slot, self.0.map.range(&range)))
    }

    /// An index, at this revision.
    ///
    /// ```
    /// # use tailetc_core::{Bytes, Collection, Db, Error, Index, Raw};
    /// # const FILES: Collection<Raw> = Collection::new("files/");
    /// const BY_SIZE: Index<Raw, u64> =
    ///     FILES.index("size", |_, bytes, keys| keys.add(bytes.len() as u64));
    ///
    /// # fn largest(db: &Db) -> Result<(), Error> {
    /// let snapshot = db.snapshot();
    /// for file in snapshot.index(BY_SIZE)?.range(1024..).rev().take(10) {
    ///     println!("{} has {:?} bytes", file.key, file.index_key());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::UnknownIndex`], [`Error::UnknownCollection`] and [`Error::TypeMismatch`].
    pub fn index<C: Codec, K: IndexKey, P: ClonePolicy<C::Value>>(
        &self,
        index: Index<C, K, P>,
    ) -> Result<IndexView<'_, C, K, P>, Error> {
        let (slot, id) = self.0.schema.resolve_index(&index)?;
        Ok(IndexView::new(&self.0, slot, id))
    }

    /// All keys whose values do not decode, in key order, whatever is shown in their place.
    pub fn quarantined(&self) -> impl Iterator<Item = Quarantined> + '_ {
        self.0.quarantined.iter().filter_map(|(key, entry)| Quarantined::of(key, entry))
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot")
            .field("revision", &self.0.revision)
            .field("len", &self.0.map.len())
            .finish_non_exhaustive()
    }
}

impl State {
    pub(crate) fn get<C: Codec, P: ClonePolicy<C::Value>>(
        &self,
        collection: Collection<C, P>,
        key: &[u8],
    ) -> Result<Option<P::Out>, Error> {
        self.entry(collection, key, |key, entry| entry.typed_arc::<C>(key))?
            .map(|value| Ok(P::out(&value?)))
            .transpose()
    }

    pub(crate) fn peek<C: Codec, P>(
        &self,
        collection: Collection<C, P>,
        key: &[u8],
    ) -> Result<Option<&C::Value>, Error> {
        self.entry(collection, key, |key, entry| entry.typed::<C>(key))?.transpose()
    }

    fn entry<'s, C: Codec, P, R>(
        &'s self,
        collection: Collection<C, P>,
        key: &[u8],
        use_entry: impl FnOnce(&[u8], &'s EntryPtr) -> R,
    ) -> Result<Option<R>, Error> {
        let slot = self.schema.resolve(collection)?;
        let prefix = self.schema.slot_prefix(slot).as_bytes();
        with_joined(prefix, key, |key| {
            // Prefixes of collections do not overlap: only a raw key can belong to another.
            if slot == SlotId::RAW {
                self.schema.check_owner(slot, key)?;
            }
            Ok(self.map.get(key).map(|entry| use_entry(key, entry)))
        })
    }

    /// The whole key of a collection's key, checked to be writable through that collection.
    pub(crate) fn writable_key(&self, slot: SlotId, key: &[u8]) -> Result<Key, Error> {
        let prefix = self.schema.slot_prefix(slot).as_bytes();
        let key = with_joined(prefix, key, |key| Key::from(key));
        if key.as_bytes().is_empty() {
            return Err(Error::InvalidKey { key, reason: "etcd has no empty key" });
        }
        self.schema.check_owner(slot, key.as_bytes())?;
        Ok(key)
    }
}

/// Calls `run` with `prefix` and `key` joined, without an allocation for keys of usual length.
fn with_joined<R>(prefix: &[u8], key: &[u8], run: impl FnOnce(&[u8]) -> R) -> R {
    const INLINE: usize = 128;
    let len = prefix.len() + key.len();
    if len > INLINE {
        return run(&[prefix, key].concat());
    }
    let mut buffer = [0; INLINE];
    buffer[..prefix.len()].copy_from_slice(prefix);
    buffer[prefix.len()..len].copy_from_slice(key);
    run(&buffer[..len])
}
