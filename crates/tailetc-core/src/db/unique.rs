//! Looking after the reservations of unique indexes.

use std::collections::BTreeMap;

use crate::backend::KeyRange;
use crate::state::{State, primary_of, without_number};
use crate::{Codec, Db, Error, Index, IndexKey, Key, Snapshot};

/// How the reservations of a unique index agree with its collection, at one revision.
///
/// Programs that write to the collection without declaring the index leave differences; so does
/// declaring an index over a collection that has entries already.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct UniqueCheck {
    /// Reservations whose holder is not there, or has the index key no more. They do not keep
    /// others from it: who wants the index key takes the reservation over.
    pub orphaned: Vec<Reservation>,
    /// Index keys without the reservation of an entry that has them. A second entry is refused all
    /// the same by every `Db` that sees the first.
    pub missing: Vec<Reservation>,
    /// Index keys that more than one entry has. Nobody but the user can tell which should.
    pub duplicates: Vec<Duplicate>,
}

impl UniqueCheck {
    /// Whether there is nothing to report.
    pub fn is_clean(&self) -> bool {
        self.orphaned.is_empty() && self.missing.is_empty() && self.duplicates.is_empty()
    }
}

/// A reservation, as it is or as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reservation {
    /// The whole key of the reservation.
    pub key: Key,
    /// The whole key of the entry that it names.
    pub holder: Key,
}

/// An index key that is not unique.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Duplicate {
    /// The whole key of its reservation, which ends with the encoded index key.
    pub key: Key,
    /// The whole keys of the entries that have it, in order.
    pub holders: Vec<Key>,
}

impl Snapshot {
    /// Compares the reservations of a unique index with its collection. Reads memory alone.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownIndex`], [`Error::UnknownCollection`] and [`Error::TypeMismatch`];
    /// [`Error::InvalidOption`] for an index that is not unique.
    pub fn check_unique<C: Codec, K: IndexKey, P>(
        &self,
        index: Index<C, K, P>,
    ) -> Result<UniqueCheck, Error> {
        check::<C, K, P>(self.state(), &index)
    }
}

impl Db {
    /// Removes the orphaned reservations of a unique index and makes those that are missing, each
    /// in a transaction of its own, one after the other, and returns what it found. Duplicates are
    /// only reported, and so are reservations of index keys that have duplicates.
    ///
    /// # Cancel safety
    ///
    /// Each reservation is mended or not.
    ///
    /// # Errors
    ///
    /// Those of [`Snapshot::check_unique`] and [`transact`](Self::transact).
    pub async fn repair_unique<C: Codec, K: IndexKey, P>(
        &self,
        index: Index<C, K, P>,
    ) -> Result<UniqueCheck, Error> {
        let found = self.snapshot().check_unique(index)?;
        for Reservation { key, .. } in found.orphaned.iter().chain(&found.missing) {
            self.transact(|txn| txn.settle_reservation(&index, key)).await?;
        }
        Ok(found)
    }
}

fn check<C: Codec, K: IndexKey, P>(
    state: &State,
    index: &Index<C, K, P>,
) -> Result<UniqueCheck, Error> {
    if !index.is_unique() {
        let reason = format!("{} is not unique", index.full_name());
        return Err(Error::InvalidOption { option: "index", reason });
    }
    let schema = &state.schema;
    let (slot, id) = schema.resolve_index(index)?;
    let mut holders: BTreeMap<Key, Vec<Key>> = BTreeMap::new();
    let rows = state.rows.range(&KeyRange::prefix(id.row_prefix().to_vec()));
    // What is kept of a value that does not decode is not what the store holds.
    for (row, _) in rows.filter(|(_, entry)| !entry.is_quarantined()) {
        let row = without_number(row);
        let primary = primary_of::<K>(row).as_bytes();
        let index_key = &row[..row.len() - primary.len()];
        let holder = schema.whole_key(slot, primary);
        holders.entry(schema.reservation(id, index_key)).or_default().push(holder);
    }
    let mut check = UniqueCheck::default();
    for (key, entry) in state.map.range(&KeyRange::prefix(schema.reservations(id))) {
        let holder = schema.whole_key(slot, entry.raw().map_or(b"", |bytes| bytes));
        let holds = holders.get(key).is_some_and(|holders| holders.contains(&holder));
        if !holds && !state.may_hold(id, &holder) {
            check.orphaned.push(Reservation { key: key.clone(), holder });
        }
    }
    for (key, mut holders) in holders {
        if holders.len() > 1 {
            check.duplicates.push(Duplicate { key, holders });
        } else if state.map.get(key.as_bytes()).is_none() {
            check.missing.extend(holders.pop().map(|holder| Reservation { key, holder }));
        }
    }
    Ok(check)
}
