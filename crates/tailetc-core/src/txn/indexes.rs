//! Reading indexes in a transaction.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::backend::KeyRange;
use crate::schema::{IndexId, SlotId};
use crate::state::{RowBounds as _, primary_of, rows_of, without_number};
use crate::txn::writes::{Pending, Put};
use crate::txn::{Txn, downcast};
use crate::{AsIndexKey, ClonePolicy, Codec, Error, Index, IndexBounds, IndexKey, Key, Only};

impl Txn {
    /// The entries that have an index key, as this transaction sees them, in the order of their
    /// keys (relative to the collection).
    ///
    /// Guarded: whatever others do that would add to them, change one or take one away makes the
    /// commit fail. Of a [unique index](crate::Collection::unique_index), that takes two guards,
    /// and only who touches this index key conflicts. Of another index it is as for
    /// [`index_range`](Self::index_range).
    ///
    /// # Errors
    ///
    /// As for [`Snapshot::index`](crate::Snapshot::index); [`Error::Undecodable`] if the index shows
    /// a value that is [kept](crate::DecodePolicy::KeepPrevious) in the place of the store's, or if
    /// the index is unique and the holder of the index key does not decode; [`Error::Conflict`] as
    /// for [`get`](Self::get). Other entries that do not decode, or that the function of the index
    /// failed for, are not found, and no error:
    /// [`IndexView::unplaced`](crate::IndexView::unplaced) of the
    /// [`snapshot`](Self::snapshot) has them.
    pub fn index_get<C: Codec, K: IndexKey, P: ClonePolicy<C::Value>>(
        &mut self,
        index: Index<C, K, P>,
        key: impl AsIndexKey<K>,
    ) -> Result<Vec<(Key, P::Out)>, Error> {
        self.sticky(|txn| {
            let (slot, id) = txn.base.schema.resolve_index(&index)?;
            let rows = Only(key).row_range(id.row_prefix());
            let reservation = index.is_unique().then(|| {
                let index_key = rows.start().get(2..).unwrap_or_default();
                txn.base.schema.reservation(id, index_key)
            });
            txn.index_rows::<C, K, P>(slot, id, &rows, reservation, usize::MAX)
        })
    }

    /// The entries whose index keys are in a range, as this transaction sees them, in the order of
    /// index keys and keys. An entry comes once for each of its index keys in the range.
    ///
    /// Guarded: others must neither put any key of the collection until the commit, nor delete one
    /// that was found. That takes one guard for each key that was found and one more, which makes
    /// the server walk over the collection. In a [guarded](crate::Builder::guarded) collection it
    /// takes one guard for all, and no walk.
    ///
    /// # Errors
    ///
    /// As for [`index_get`](Self::index_get).
    pub fn index_range<C: Codec, K: IndexKey, P: ClonePolicy<C::Value>>(
        &mut self,
        index: Index<C, K, P>,
        bounds: impl IndexBounds<K>,
    ) -> Result<Vec<(Key, P::Out)>, Error> {
        self.sticky(|txn| {
            let (slot, id) = txn.base.schema.resolve_index(&index)?;
            let rows = bounds.row_range(id.row_prefix());
            txn.index_rows::<C, K, P>(slot, id, &rows, None, usize::MAX)
        })
    }

    /// The first entries of [`index_range`](Self::index_range), at most `limit`: who waits longest,
    /// what is least used. Takes as many guards as it finds entries, and one more.
    ///
    /// # Errors
    ///
    /// As for [`index_get`](Self::index_get).
    pub fn index_first<C: Codec, K: IndexKey, P: ClonePolicy<C::Value>>(
        &mut self,
        index: Index<C, K, P>,
        bounds: impl IndexBounds<K>,
        limit: usize,
    ) -> Result<Vec<(Key, P::Out)>, Error> {
        self.sticky(|txn| {
            let (slot, id) = txn.base.schema.resolve_index(&index)?;
            let rows = bounds.row_range(id.row_prefix());
            txn.index_rows::<C, K, P>(slot, id, &rows, None, limit)
        })
    }

    /// Reads rows, and guards the read: by the key that reserves them all, if there is one.
    fn index_rows<C: Codec, K: IndexKey, P: ClonePolicy<C::Value>>(
        &mut self,
        slot: SlotId,
        id: IndexId,
        rows: &KeyRange,
        reservation: Option<Key>,
        limit: usize,
    ) -> Result<Vec<(Key, P::Out)>, Error> {
        let base = Arc::clone(&self.base);
        let prefix = base.schema.slot_prefix(slot).as_bytes();
        let guard = base.schema.guard_of(slot);
        let guards_each = guard.is_none() || reservation.is_some();
        match (reservation, guard) {
            (Some(key), _) => {
                if let Some(holder) = base.reserved_for(id, &key) {
                    // If it does not decode, it may have the index key although no row says so.
                    if let Some(entry) = base.map.get(holder.as_bytes()) {
                        entry.check_decoded(holder.as_bytes())?;
                    }
                    self.reads.add_key(holder);
                }
                self.reads.add_key(key);
            }
            (None, Some(guard)) => self.reads.add_key(guard.clone()),
            (None, None) => self.reads.add_unwritten(KeyRange::prefix(prefix.to_vec())),
        }
        let mut found = BTreeMap::new();
        for (row, entry) in base.rows.range(rows) {
            if found.len() == limit {
                break;
            }
            let primary = primary_of::<K>(without_number(row));
            let key = base.schema.whole_key(slot, primary.as_bytes());
            if guards_each {
                self.reads.add_key(key.clone());
            }
            if self.writes.get(&key).is_some() {
                continue;
            }
            entry.check_decoded(key.as_bytes())?;
            let value = entry.typed_arc::<C>(key.as_bytes())?;
            found.insert(Bytes::copy_from_slice(row.as_bytes()), (Key::from(primary), value));
        }
        self.check_fresh()?;
        for (key, put) in self.puts_of(slot) {
            for row in self.pending_rows(id, key, put) {
                if rows.contains(&row) {
                    let primary = base.schema.relative(slot, key.as_bytes());
                    let value = downcast::<C>(key, &put.value)?;
                    found.insert(row.into(), (Key::from(primary), value));
                }
            }
        }
        let found = found.into_values().take(limit);
        Ok(found.map(|(key, value)| (key, P::out(&value))).collect())
    }

    fn puts_of(&self, slot: SlotId) -> impl Iterator<Item = (&Key, &Put)> {
        self.writes.iter().filter_map(move |(key, pending)| match pending {
            Pending::Put(put) if put.slot == slot => Some((key, put)),
            _ => None,
        })
    }

    /// What the index will have of a pending write. It will leave out what its function fails for.
    fn pending_rows(&self, id: IndexId, key: &Key, put: &Put) -> Vec<Vec<u8>> {
        let schema = &self.base.schema;
        let primary = schema.relative(put.slot, key.as_bytes());
        rows_of(id, schema.definition(id), primary, Some(&put.value)).unwrap_or_default()
    }
}
