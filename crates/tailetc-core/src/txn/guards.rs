//! What a transaction's success depends on.

use std::collections::BTreeSet;

use bytes::Bytes;

use crate::Key;
use crate::backend::{Compare, KeyRange};
use crate::state::State;

/// What a transaction has read: present keys, absent keys, and ranges.
#[derive(Clone, Debug, Default)]
pub(super) struct ReadSet {
    keys: BTreeSet<Key>,
    ranges: Vec<KeyRange>,
    /// Ranges in which nothing may have been written, but keys may have been deleted.
    unwritten: Vec<KeyRange>,
}

impl ReadSet {
    pub(super) fn add_key(&mut self, key: Key) {
        self.keys.insert(key);
    }

    pub(super) fn add_range(&mut self, range: KeyRange) {
        if !range.is_empty() && !self.ranges.contains(&range) {
            self.ranges.push(range);
        }
    }

    /// For a search through all keys of a range that found only some of them, which are added by
    /// themselves: the deletion of the others changes nothing.
    pub(super) fn add_unwritten(&mut self, range: KeyRange) {
        if !self.unwritten.contains(&range) {
            self.unwritten.push(range);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.ranges.is_empty() && self.unwritten.is_empty()
    }

    /// Whether telling what conflicts takes a search through all that has changed.
    pub(super) fn searches(&self) -> bool {
        !self.unwritten.is_empty()
    }

    /// The conditions under which what was read and what is `written` is as it was in `base`.
    ///
    /// Each key's `mod_revision` must be equal to what it was, 0 for an absent one: "not greater"
    /// would take a deletion for no change, because a deleted key compares as 0. A range needs that
    /// for each of its keys, against deletions, and one compare of the whole range against keys
    /// written since; no one compare sees both.
    pub(super) fn compares<'k>(
        &'k self,
        base: &'k State,
        written: impl Iterator<Item = &'k Key>,
    ) -> Vec<Compare> {
        let in_ranges = self.ranges.iter().flat_map(|range| base.map.range(range));
        let keys: BTreeSet<&Key> =
            self.keys.iter().chain(written).chain(in_ranges.map(|(key, _)| key)).collect();
        let keys = keys.into_iter().map(|key| {
            let revision = base.mod_revision(key.as_bytes());
            Compare::mod_revision(Bytes::copy_from_slice(key.as_bytes()), revision)
        });
        let ranges = self.ranges.iter().chain(&self.unwritten);
        let ranges = ranges.map(|range| Compare::unwritten_since(range.clone(), base.revision));
        keys.chain(ranges).collect()
    }

    /// The keys that were read or are `written` and differ between two states; none if all are the
    /// same. A state of another epoch conflicts as a whole.
    pub(super) fn conflicts<'k>(
        &'k self,
        base: &State,
        now: &State,
        written: impl Iterator<Item = &'k Key>,
    ) -> Option<Vec<Key>> {
        let changed =
            |key: &Key| base.mod_revision(key.as_bytes()) != now.mod_revision(key.as_bytes());
        let mut keys: BTreeSet<Key> =
            self.keys.iter().chain(written).filter(|key| changed(key)).cloned().collect();
        for range in &self.ranges {
            let of_both = base.map.range(range).chain(now.map.range(range)).map(|(key, _)| key);
            keys.extend(of_both.filter(|key| changed(key)).cloned());
        }
        if !self.unwritten.is_empty() && base.revision != now.revision {
            let in_any = |key: &Key| self.unwritten.iter().any(|r| r.contains(key.as_bytes()));
            let written = base.map.diff(&now.map).filter(|(_, _, after)| after.is_some());
            keys.extend(written.map(|(key, ..)| key).filter(|key| in_any(key)).cloned());
        }
        let conflict = !keys.is_empty() || base.epoch != now.epoch;
        conflict.then(|| keys.into_iter().collect())
    }
}
