//! Optimistic transactions.

mod commit;
mod guards;
mod hooks;
mod indexes;
mod markers;
mod prepared;
mod retry;
mod unique;
mod writes;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use self::guards::ReadSet;
use self::hooks::Hooks;
use self::writes::{Pending, WriteSet};
use crate::schema::{AnyValue, SlotId};
use crate::state::State;
pub use crate::txn::commit::Commit;
pub(crate) use crate::txn::markers::Markers;
pub(crate) use crate::txn::prepared::{Prepared, Room, is_too_large};
use crate::{
    BoxError, ClonePolicy, Codec, Collection, Db, Error, Key, KeyBounds, KeyRef, LeaseId, Snapshot,
};

/// Reads from one snapshot and writes that are applied together, or not at all.
///
/// The first error of any method sticks: every later one, [`commit`](Self::commit) included,
/// returns it again, so that a transaction that went wrong cannot be committed by mistake.
/// Dropping a transaction abandons it; it holds nothing.
///
/// # Consistency
///
/// A transaction sees the snapshot it began with, and its own writes on top. Its commit succeeds
/// only if no key that it read (present or absent), wrote or deleted, and no range that it read,
/// has changed in the store since that snapshot: committed transactions are strictly serializable.
/// A transaction without writes validates nothing unless [`validate`](Self::validate) asks for it:
/// its snapshot is consistent by itself.
///
/// ```
/// # use tailetc_core::{Db, RAW};
/// # async fn increment(db: &Db) -> Result<(), tailetc_core::Error> {
/// let mut txn = db.txn();
/// let count = txn.get(RAW, "count")?.map_or(0, |bytes| bytes.len());
/// txn.put(RAW, "count", bytes::Bytes::from(vec![b'|'; count + 1]))?;
/// let commit = txn.commit().await?;
/// assert!(db.snapshot().revision() >= commit.revision());
/// # Ok(())
/// # }
/// ```
pub struct Txn {
    db: Db,
    base: Arc<State>,
    reads: ReadSet,
    writes: WriteSet,
    hooks: Hooks,
    /// The first error.
    failed: Option<Error>,
    validate: bool,
}

impl Txn {
    pub(crate) fn new(db: Db) -> Self {
        let base = db.shared().state();
        Self {
            db,
            base,
            reads: ReadSet::default(),
            writes: WriteSet::default(),
            hooks: Hooks::default(),
            failed: None,
            validate: false,
        }
    }

    /// The snapshot that this transaction began with, without its own writes. Reads of it are not
    /// guarded.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::new(Arc::clone(&self.base))
    }

    /// The value of a key, as this transaction sees it. Guarded, also when the key is absent.
    ///
    /// # Errors
    ///
    /// [`Error::Conflict`] if the transaction has written something and cannot be committed any
    /// more; those of [`Snapshot::get`].
    pub fn get<C: Codec, P: ClonePolicy<C::Value>>(
        &mut self,
        collection: Collection<C, P>,
        key: impl AsRef<[u8]>,
    ) -> Result<Option<P::Out>, Error> {
        self.sticky(|txn| {
            let key = txn.read_key(collection, key.as_ref())?;
            match txn.writes.get(&key) {
                Some(Pending::Put(put)) => Ok(Some(P::out(&downcast::<C>(&key, &put.value)?))),
                Some(Pending::Delete) => Ok(None),
                None => {
                    let Some(entry) = txn.base.map.get(key.as_bytes()) else {
                        return Ok(None);
                    };
                    entry.check_decoded(key.as_bytes())?;
                    Ok(Some(P::out(&entry.typed_arc::<C>(key.as_bytes())?)))
                }
            }
        })
    }

    /// Whether a key exists, as this transaction sees it. Guarded.
    ///
    /// # Errors
    ///
    /// As for [`get`](Self::get), but a value that does not decode exists.
    pub fn contains<C: Codec, P>(
        &mut self,
        collection: Collection<C, P>,
        key: impl AsRef<[u8]>,
    ) -> Result<bool, Error> {
        self.sticky(|txn| {
            let key = txn.read_key(collection, key.as_ref())?;
            Ok(match txn.writes.get(&key) {
                Some(pending) => matches!(pending, Pending::Put(_)),
                None => txn.base.map.get(key.as_bytes()).is_some(),
            })
        })
    }

    /// Looks at the value of a key without copying it, as this transaction sees it. Guarded.
    ///
    /// # Errors
    ///
    /// As for [`get`](Self::get).
    pub fn peek<C: Codec, P, R>(
        &mut self,
        collection: Collection<C, P>,
        key: impl AsRef<[u8]>,
        look: impl FnOnce(&C::Value) -> R,
    ) -> Result<Option<R>, Error> {
        self.sticky(|txn| {
            let key = txn.read_key(collection, key.as_ref())?;
            match txn.writes.get(&key) {
                Some(Pending::Put(put)) => Ok(Some(look(&*downcast::<C>(&key, &put.value)?))),
                Some(Pending::Delete) => Ok(None),
                None => {
                    let Some(entry) = txn.base.map.get(key.as_bytes()) else {
                        return Ok(None);
                    };
                    entry.check_decoded(key.as_bytes())?;
                    Ok(Some(look(entry.typed::<C>(key.as_bytes())?)))
                }
            }
        })
    }

    /// The keys (relative to the collection) and values of a range, in key order, as this
    /// transaction sees them.
    ///
    /// The range is guarded as a whole: keys that others add to it, change or delete make the
    /// commit fail. That takes one guard for each key of the range in the snapshot and one more;
    /// the store takes a limited number (etcd: 128). In a [guarded](crate::Builder::guarded)
    /// collection it takes one guard for all. A range of [`RAW`](crate::RAW) is guarded with the
    /// keys of collections in it.
    ///
    /// # Errors
    ///
    /// As for [`Snapshot::range`]; [`Error::Conflict`] as for [`get`](Self::get).
    pub fn range<C: Codec, P: ClonePolicy<C::Value>>(
        &mut self,
        collection: Collection<C, P>,
        bounds: impl KeyBounds,
    ) -> Result<Vec<(Key, P::Out)>, Error> {
        self.sticky(|txn| {
            let slot = txn.base.schema.resolve(collection)?;
            let range = bounds.key_range(txn.base.schema.slot_prefix(slot).as_bytes());
            match txn.base.schema.guard_of(slot) {
                Some(guard) => txn.reads.add_key(guard.clone()),
                None => txn.reads.add_range(range.clone()),
            }
            txn.check_fresh()?;
            let pending = txn.writes.range(&range);
            let stored = txn.base.map.range(&range);
            let merged = writes::overlay(stored, pending);
            let mut found = Vec::new();
            for (key, item) in merged {
                let relative =
                    || Key::from(txn.base.schema.relative(slot, key.as_bytes()).as_bytes());
                match item {
                    writes::Overlaid::Stored(entry) if entry.slot == slot => {
                        entry.check_decoded(key.as_bytes())?;
                        let value = entry.typed_arc::<C>(key.as_bytes())?;
                        found.push((relative(), P::out(&value)));
                    }
                    writes::Overlaid::Put(put) if put.slot == slot => {
                        found.push((relative(), P::out(&downcast::<C>(key, &put.value)?)));
                    }
                    // Keys of other collections, below a raw range.
                    _ => {}
                }
            }
            Ok(found)
        })
    }

    /// Writes a key, without a lease: one that the key has is detached. `value` is the value or an
    /// `Arc` of it. It is encoded now; after the commit it is the very value that readers get.
    ///
    /// # Errors
    ///
    /// [`Error::Encode`], [`Error::InvalidKey`], [`Error::WritesDenied`],
    /// [`Error::UnknownCollection`] and [`Error::TypeMismatch`].
    pub fn put<C: Codec, P>(
        &mut self,
        collection: Collection<C, P>,
        key: impl AsRef<[u8]>,
        value: impl Into<Arc<C::Value>>,
    ) -> Result<(), Error> {
        self.put_with_lease(collection, key, value, LeaseId::NONE)
    }

    /// Writes a key that the store deletes when the lease ends. To keep the lease that a key has,
    /// give the one in its [`metadata`](Snapshot::metadata). A [`Session`](crate::Session) keeps a
    /// lease alive; granting and renewing others is the caller's:
    ///
    /// ```
    /// # use tailetc_core::{Bytes, Db, Error, LeaseId, RAW};
    /// use tailetc_core::backend::KvBackend;
    ///
    /// # async fn appear(db: &Db) -> Result<(), Error> {
    /// let lease = db.backend().lease_grant(LeaseId::NONE, 10).await;
    /// let lease = lease.map_err(|error| Error::backend("lease grant", error))?;
    /// db.transact(|txn| txn.put_with_lease(RAW, "here", Bytes::new(), lease.id)).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`put`](Self::put), and [`Error::GuardedLease`]. That the lease does not exist is found
    /// at the commit.
    pub fn put_with_lease<C: Codec, P>(
        &mut self,
        collection: Collection<C, P>,
        key: impl AsRef<[u8]>,
        value: impl Into<Arc<C::Value>>,
        lease: LeaseId,
    ) -> Result<(), Error> {
        self.sticky(|txn| {
            let (slot, key) = txn.write_key(collection, key.as_ref())?;
            if lease != LeaseId::NONE && txn.base.schema.guard_of(slot).is_some() {
                return Err(Error::GuardedLease { key });
            }
            let value: Arc<C::Value> = value.into();
            let encoded = txn.base.schema.encode(slot, key.as_bytes(), &*value);
            let bytes =
                encoded.map_err(|e| Error::Encode { key: key.clone(), source: e.into() })?;
            let put = writes::Put { slot, bytes, value, lease };
            txn.write(slot, key, Pending::Put(put));
            Ok(())
        })
    }

    /// Deletes a key. Deleting an absent one changes nothing, but it must still be absent when the
    /// transaction is committed.
    ///
    /// # Errors
    ///
    /// As for [`put`](Self::put).
    pub fn delete<C: Codec, P>(
        &mut self,
        collection: Collection<C, P>,
        key: impl AsRef<[u8]>,
    ) -> Result<(), Error> {
        self.sticky(|txn| {
            let (slot, key) = txn.write_key(collection, key.as_ref())?;
            txn.write(slot, key, Pending::Delete);
            Ok(())
        })
    }

    /// Calls `hook` at each later put and delete in this collection with the key, the value that
    /// the transaction saw before, and the value after: for indexes over the transaction's own view
    /// that users keep themselves. A value that does not decode is shown as absent.
    ///
    /// The hook begins with nothing: what the index is at the transaction's
    /// [`snapshot`](Self::snapshot) is the caller's to bring along (see `docs/observers.md`). What
    /// is read from such an index is not guarded; the keys that it gives are once they are read
    /// with [`get`](Self::get).
    ///
    /// ```
    /// # use std::sync::atomic::{AtomicI64, Ordering};
    /// # use std::sync::Arc;
    /// # use tailetc_core::{Db, Error, RAW, Bytes};
    /// # fn count(db: &Db) -> Result<(), Error> {
    /// let mut txn = db.txn();
    /// let bytes: usize = txn.snapshot().range(RAW, ..)?.map(|(_, value)| value.len()).sum();
    /// let total = Arc::new(AtomicI64::new(bytes as i64));
    /// let counted = Arc::clone(&total);
    /// txn.on_change(RAW, move |_key, before, after| {
    ///     let len = |value: Option<&Bytes>| value.map_or(0, Bytes::len) as i64;
    ///     counted.fetch_add(len(after) - len(before), Ordering::Relaxed);
    /// })?;
    /// txn.put(RAW, "a", Bytes::from("four"))?;
    /// if total.load(Ordering::Relaxed) > 1_000 {
    ///     txn.fail("no room");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::UnknownCollection`] and [`Error::TypeMismatch`].
    pub fn on_change<C: Codec, P>(
        &mut self,
        collection: Collection<C, P>,
        hook: impl FnMut(KeyRef<'_>, Option<&C::Value>, Option<&C::Value>) + Send + 'static,
    ) -> Result<(), Error> {
        self.sticky(|txn| {
            let slot = txn.base.schema.resolve(collection)?;
            txn.hooks.add::<C>(slot, hook);
            Ok(())
        })
    }

    /// Abandons the transaction with the caller's own error: every later method returns
    /// [`Error::Abandoned`] with it.
    pub fn fail(&mut self, error: impl Into<BoxError>) {
        if self.failed.is_none() {
            self.failed = Some(Error::Abandoned { source: error.into().into() });
        }
    }

    /// Makes the commit validate the reads also when nothing is written: it then succeeds only if
    /// nothing that was read had changed at some point between the calls of
    /// [`commit`](Self::commit) and its return.
    pub fn validate(&mut self) {
        self.validate = true;
    }

    /// Runs one step, unless an earlier one failed, and keeps its error.
    fn sticky<R>(&mut self, step: impl FnOnce(&mut Self) -> Result<R, Error>) -> Result<R, Error> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let outcome = step(self);
        if let Err(error) = &outcome {
            self.failed = Some(error.clone());
        }
        outcome
    }

    /// Records the read of a key and returns its whole name.
    fn read_key<C: Codec, P>(
        &mut self,
        collection: Collection<C, P>,
        key: &[u8],
    ) -> Result<Key, Error> {
        let slot = self.base.schema.resolve(collection)?;
        let key = self.base.writable_key(slot, key)?;
        self.reads.add_key(key.clone());
        self.check_fresh()?;
        Ok(key)
    }

    fn write_key<C: Codec, P>(
        &self,
        collection: Collection<C, P>,
        key: &[u8],
    ) -> Result<(SlotId, Key), Error> {
        if self.db.shared().write_denials.load(Ordering::Acquire) > 0 {
            return Err(Error::WritesDenied);
        }
        let slot = self.base.schema.resolve(collection)?;
        Ok((slot, self.base.writable_key(slot, key)?))
    }

    fn write(&mut self, slot: SlotId, key: Key, pending: Pending) {
        if self.hooks.concern(slot) {
            let before = match self.writes.get(&key) {
                Some(Pending::Put(put)) => Some(AnyValue::clone(&put.value)),
                Some(Pending::Delete) => None,
                None => self.base.map.get(key.as_bytes()).and_then(|entry| entry.any()),
            };
            let relative = self.base.schema.relative(slot, key.as_bytes());
            let after = pending.value();
            self.hooks.call(slot, relative, before.as_ref(), after);
        }
        self.writes.insert(key, pending);
    }

    /// Fails as soon as it is known that a transaction with writes cannot be committed. Costs a look
    /// at each guard, and for a search through an unguarded index what has changed since the
    /// snapshot.
    fn check_fresh(&self) -> Result<(), Error> {
        if self.writes.is_empty() {
            return Ok(());
        }
        let now = self.db.shared().state();
        if now.revision == self.base.revision && now.epoch == self.base.epoch {
            return Ok(());
        }
        match self.reads.conflicts(&self.base, &now, self.writes.keys()) {
            Some(keys) => Err(Error::Conflict { keys: keys.into(), revision: now.revision }),
            None => Ok(()),
        }
    }
}

fn downcast<C: Codec>(key: &Key, value: &AnyValue) -> Result<Arc<C::Value>, Error> {
    AnyValue::clone(value).downcast().map_err(|_| Error::TypeMismatch {
        prefix: key.to_string(),
        expected: "another codec",
        found: std::any::type_name::<C>(),
    })
}

impl fmt::Debug for Txn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Txn")
            .field("revision", &self.base.revision)
            .field("reads", &self.reads)
            .field("writes", &self.writes)
            .field("failed", &self.failed)
            .finish_non_exhaustive()
    }
}
