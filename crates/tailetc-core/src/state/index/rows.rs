//! Keeping the indexes.
//!
//! The rows of all indexes are in one ordered map: the number of the index, the encoded index key,
//! and the key of the entry, relative to its collection, one after the other. So they sort by index
//! key and then by key, and a row holds its entry. Entries whose index keys cannot be had are in
//! another map, under the number of the index and their key.

use std::sync::Arc;

use crate::backend::KeyRange;
use crate::schema::{AnyValue, Definition, IndexId};
use crate::state::{EntryPtr, KeyMap, RawChange, State};
use crate::{BoxError, Key, KeyRef};

/// The rows of one entry in one index: sorted, each once.
type Rows = Vec<Vec<u8>>;

impl State {
    /// Brings the indexes up to date with a key whose entry has changed, and adds what changed in
    /// them to `changes`.
    pub(in crate::state) fn update_indexes(
        &mut self,
        key: &Key,
        before: Option<&EntryPtr>,
        after: Option<&EntryPtr>,
        mut changes: Option<&mut Vec<RawChange>>,
    ) {
        let Some(entry) = after.or(before) else { return };
        let schema = Arc::clone(&self.schema);
        let primary = schema.relative(entry.slot, key.as_bytes());
        for (id, definition) in schema.indexes_of(entry.slot) {
            let place = place_of_unplaced(id, primary);
            // What is not in the index has no rows to be removed.
            let was_placed = self.unplaced.remove(&place).is_none();
            let old = before.filter(|_| was_placed);
            let old = old
                .map_or(Ok(Rows::new()), |old| rows_of(id, definition, primary, old.shown_any()));
            let new = after
                .map_or(Ok(Rows::new()), |new| rows_of(id, definition, primary, new.shown_any()));
            let new = new.unwrap_or_else(|error| {
                left_out(key, definition, &error);
                if let Some(after) = after {
                    self.unplaced.insert(place.as_slice().into(), after.clone());
                }
                Rows::new()
            });
            // An entry that is in the index has given its keys before: a pure function does so
            // again.
            let old = old.unwrap_or_default();
            self.replace_rows(old, new, before, after, changes.as_deref_mut());
        }
    }

    fn replace_rows(
        &mut self,
        old: Rows,
        new: Rows,
        before: Option<&EntryPtr>,
        after: Option<&EntryPtr>,
        mut changes: Option<&mut Vec<RawChange>>,
    ) {
        let mut changed = |row: &[u8], is_old: bool, is_new: bool| {
            if let Some(changes) = &mut changes {
                let before = before.filter(|_| is_old).cloned();
                let after = after.filter(|_| is_new).cloned();
                changes.push(RawChange { key: row.into(), before, after });
            }
        };
        for row in &old {
            if new.binary_search(row).is_err() {
                self.rows.remove(row);
                changed(row, true, false);
            }
        }
        let Some(entry) = after else { return };
        for row in new {
            let is_old = old.binary_search(&row).is_ok();
            if !is_old || !self.rows.replace(&row, entry.clone()) {
                self.rows.insert(row.as_slice().into(), entry.clone());
            }
            changed(&row, is_old, true);
        }
    }

    /// Makes the indexes of all entries anew, in less time than one by one.
    pub(crate) fn rebuild_indexes(&mut self) {
        self.rows = KeyMap::default();
        self.unplaced = KeyMap::default();
        let schema = Arc::clone(&self.schema);
        for (slot, id, definition) in schema.indexes() {
            let of_slot = KeyRange::prefix(schema.slot_prefix(slot).as_bytes().to_vec());
            let mut rows: Vec<(Key, &EntryPtr)> = Vec::new();
            for (key, entry) in self.map.range(&of_slot) {
                let primary = schema.relative(slot, key.as_bytes());
                match rows_of(id, definition, primary, entry.shown_any()) {
                    Ok(of_entry) => {
                        rows.extend(of_entry.iter().map(|row| (row.as_slice().into(), entry)));
                    }
                    Err(error) => {
                        left_out(key, definition, &error);
                        let place = place_of_unplaced(id, primary);
                        self.unplaced.insert(place.as_slice().into(), entry.clone());
                    }
                }
            }
            // Neighbours share a path of the map: in order it is made several times faster.
            rows.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
            for (row, entry) in rows {
                self.rows.insert(row, entry.clone());
            }
        }
    }
}

fn left_out(key: &Key, definition: &Definition, error: &BoxError) {
    tracing::warn!(%key, index = definition.name, %error, "an index left out a key");
}

/// The rows of an entry, by the value that reads of snapshots give. One without a value has none.
pub(crate) fn rows_of(
    id: IndexId,
    definition: &Definition,
    primary: KeyRef<'_>,
    shown: Option<&AnyValue>,
) -> Result<Rows, BoxError> {
    let Some(value) = shown else { return Ok(Rows::new()) };
    let keys = definition.keys_of(primary, value)?;
    let mut rows: Rows = keys.iter().map(|key| row(id, key, primary)).collect();
    rows.sort_unstable();
    rows.dedup();
    Ok(rows)
}

fn row(id: IndexId, index_key: &[u8], primary: KeyRef<'_>) -> Vec<u8> {
    [&id.row_prefix(), index_key, primary.as_bytes()].concat()
}

pub(super) fn place_of_unplaced(id: IndexId, primary: KeyRef<'_>) -> Vec<u8> {
    row(id, &[], primary)
}
