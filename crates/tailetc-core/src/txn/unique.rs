//! Reservations: what a transaction writes so that index keys stay unique.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::backend::KeyRange;
use crate::schema::{AnyValue, IndexId, Schema};
use crate::state::{State, primary_of, without_number};
use crate::txn::Txn;
use crate::txn::guards::ReadSet;
use crate::txn::writes::{Pending, Put, WriteSet};
use crate::{BoxError, Codec, Error, Index, IndexKey, Key, LeaseId};

/// Why a transaction cannot reserve what it must.
#[derive(Debug)]
pub(super) enum Refusal {
    Taken(Violation),
    /// It cannot be said what must be reserved.
    Unknown(Error),
}

/// An index key that a transaction would give to a second entry.
#[derive(Debug)]
pub(super) struct Violation {
    index: Arc<str>,
    index_key: Key,
    key: Key,
    holder: Key,
    reservation: Key,
}

impl Violation {
    /// What the violation was found by.
    pub(super) fn add_to(&self, reads: &mut ReadSet) {
        reads.add_key(self.holder.clone());
        reads.add_key(self.reservation.clone());
    }

    pub(super) fn into_error(self) -> Error {
        let Self { index, index_key, key, holder, .. } = self;
        Error::NotUnique { index, index_key: Box::new(index_key), key, holder }
    }
}

/// Adds to the writes of a transaction what reserves the index keys that it gives to entries, and
/// frees those that it takes from them.
///
/// A reservation is a key named after the index key; its value is the key of the holder, relative
/// to the collection, and its lease the holder's. It is written under a guard like any key, so that
/// of two transactions that reserve the same index key one conflicts. One whose holder is not there,
/// or has the index key no more, was left by a program that writes without reservations; it is
/// taken over.
pub(super) fn reserve(base: &State, writes: &mut WriteSet) -> Result<(), Refusal> {
    let schema = &base.schema;
    if !schema.has_unique_indexes() {
        return Ok(());
    }
    let mut claims: BTreeMap<(IndexId, Vec<u8>), (Key, LeaseId)> = BTreeMap::new();
    let mut released: BTreeMap<(IndexId, Vec<u8>), Key> = BTreeMap::new();
    for (key, pending) in writes.iter() {
        for (id, _) in schema.indexes_of(schema.slot_of(key.as_bytes())).filter(|(_, d)| d.unique) {
            // A value that is kept in the place of the store's says nothing about reservations.
            let before = base.map.get(key.as_bytes()).and_then(|entry| entry.any());
            let before = before.map(|value| index_keys(schema, id, key, &value));
            for index_key in before.and_then(Result::ok).unwrap_or_default() {
                released.insert((id, index_key), key.clone());
            }
            let Pending::Put(put) = pending else { continue };
            let wanted = index_keys(schema, id, key, &put.value).map_err(|error| {
                let index = schema.definition(id).full_name().into();
                Refusal::Unknown(Error::NotIndexed {
                    index,
                    key: key.clone(),
                    source: error.into(),
                })
            })?;
            for index_key in wanted {
                let claim = (key.clone(), put.lease);
                let earlier = claims.insert((id, index_key.clone()), claim);
                if let Some((holder, _)) = earlier {
                    return Err(taken(schema, id, &index_key, key, holder));
                }
            }
        }
    }
    let mut reservations = Vec::new();
    for ((id, index_key), (key, lease)) in claims {
        let kept = released.remove(&(id, index_key.clone())).is_some_and(|holder| holder == key);
        if let Some(holder) = other_holder(base, writes, id, &index_key, &key) {
            return Err(taken(schema, id, &index_key, &key, holder));
        }
        let reservation = schema.reservation(id, &index_key);
        let primary = relative(schema, id, &key);
        let is_ours = base.map.get(reservation.as_bytes()).is_some_and(|entry| {
            entry.meta.lease == lease && entry.raw().is_some_and(|bytes| *bytes == primary)
        });
        // Who has read that nobody has the index key must conflict, also when a reservation has been
        // left behind.
        if !kept || !is_ours {
            let put = put_of(schema, &reservation, &primary, lease);
            reservations.push((reservation, Pending::Put(put)));
        }
    }
    for ((id, index_key), key) in released {
        let reservation = schema.reservation(id, &index_key);
        let holds = |bytes: &Bytes| *bytes == relative(schema, id, &key);
        if base.map.get(reservation.as_bytes()).is_some_and(|e| e.raw().is_some_and(holds)) {
            reservations.push((reservation, Pending::Delete));
        }
    }
    for (reservation, pending) in reservations {
        writes.insert(reservation, pending);
    }
    Ok(())
}

/// An entry besides `key` that has the index key in the snapshot, and is not written by the
/// transaction (which has been found not to give the index key to another one).
fn other_holder(
    base: &State,
    writes: &WriteSet,
    id: IndexId,
    index_key: &[u8],
    key: &Key,
) -> Option<Key> {
    let stays = |holder: &Key| holder != key && writes.get(holder).is_none();
    let row = [&id.row_prefix(), index_key].concat();
    let slot = base.schema.slot_of_index(id);
    let whole = |primary: &[u8]| base.schema.whole_key(slot, primary);
    // What is kept of a value that does not decode is not what the store holds: there, the
    // reservation alone tells.
    let rows = base.rows.range(&KeyRange::prefix(row)).filter(|(_, e)| !e.is_quarantined());
    let mut holders =
        rows.map(|(row, _)| whole(without_number(row).get(index_key.len()..).unwrap_or_default()));
    if let Some(holder) = holders.find(stays) {
        return Some(holder);
    }
    // An entry that the index could not place may have it all the same: its reservation says so.
    let holder = base.reserved_for(id, &base.schema.reservation(id, index_key))?;
    (stays(&holder) && base.may_hold(id, &holder)).then_some(holder)
}

impl State {
    /// Whether nobody can tell which index keys an entry has: it does not decode, or the function
    /// of the index fails for it.
    pub(crate) fn may_hold(&self, id: IndexId, key: &Key) -> bool {
        let Some(entry) = self.map.get(key.as_bytes()) else { return false };
        let primary = self.schema.relative(entry.slot, key.as_bytes());
        let definition = self.schema.definition(id);
        entry.any().is_none_or(|value| definition.keys_of(primary, &value).is_err())
    }

    /// The whole key of the entry that a reservation names.
    pub(crate) fn reserved_for(&self, id: IndexId, reservation: &Key) -> Option<Key> {
        let named = self.map.get(reservation.as_bytes())?.raw()?;
        Some(self.schema.whole_key(self.schema.slot_of_index(id), named))
    }
}

impl Txn {
    /// Makes a reservation name the one entry that has its index key, or removes it if none has.
    pub(crate) fn settle_reservation<C: Codec, K: IndexKey, P>(
        &mut self,
        index: &Index<C, K, P>,
        reservation: &Key,
    ) -> Result<(), Error> {
        self.sticky(|txn| {
            let base = Arc::clone(&txn.base);
            let (slot, id) = base.schema.resolve_index(index)?;
            let start = base.schema.reservations(id).len();
            let index_key = reservation.as_bytes().get(start..).unwrap_or_default();
            let rows = KeyRange::prefix([&id.row_prefix(), index_key].concat());
            let mut holders = Vec::new();
            for (row, entry) in base.rows.range(&rows) {
                let primary = primary_of::<K>(without_number(row)).as_bytes();
                // Else the index key is the beginning of another one: of keys of another type.
                let is_holder = index_key.len() + primary.len() == without_number(row).len();
                if !is_holder || entry.is_quarantined() {
                    continue;
                }
                let key = base.schema.whole_key(slot, primary);
                txn.reads.add_key(key);
                holders.push((Bytes::copy_from_slice(primary), entry.meta.lease));
            }
            let now = base.map.get(reservation.as_bytes());
            let named = now.and_then(|entry| entry.raw());
            if let Some(named) = named {
                let named = base.schema.whole_key(slot, named);
                txn.reads.add_key(named.clone());
                if holders.is_empty() && base.may_hold(id, &named) {
                    return Ok(());
                }
            }
            let pending = match holders.as_slice() {
                [] => Pending::Delete,
                [(holder, _)] if named == Some(holder) => return Ok(()),
                [(holder, lease)] => {
                    Pending::Put(put_of(&base.schema, reservation, holder, *lease))
                }
                _ => return Ok(()),
            };
            let own = base.schema.slot_of(reservation.as_bytes());
            txn.write(own, reservation.clone(), pending);
            Ok(())
        })
    }
}

/// The write of a reservation.
fn put_of(schema: &Schema, reservation: &Key, holder: &Bytes, lease: LeaseId) -> Put {
    let slot = schema.slot_of(reservation.as_bytes());
    Put { slot, bytes: holder.clone(), value: Arc::new(holder.clone()), lease }
}

/// The encoded index keys of a value.
fn index_keys(
    schema: &Schema,
    id: IndexId,
    key: &Key,
    value: &AnyValue,
) -> Result<Vec<Vec<u8>>, BoxError> {
    let primary = schema.relative(schema.slot_of_index(id), key.as_bytes());
    let keys = schema.definition(id).keys_of(primary, value)?;
    let mut keys: Vec<_> = keys.iter().map(<[u8]>::to_vec).collect();
    keys.sort_unstable();
    keys.dedup();
    Ok(keys)
}

fn relative(schema: &Schema, id: IndexId, key: &Key) -> Bytes {
    let primary = schema.relative(schema.slot_of_index(id), key.as_bytes());
    Bytes::copy_from_slice(primary.as_bytes())
}

fn taken(schema: &Schema, id: IndexId, index_key: &[u8], key: &Key, holder: Key) -> Refusal {
    Refusal::Taken(Violation {
        index: schema.definition(id).full_name().into(),
        // Of a text, as it is.
        index_key: index_key.strip_suffix(b"\0\x01").unwrap_or(index_key).into(),
        key: key.clone(),
        holder,
        reservation: schema.reservation(id, index_key),
    })
}
