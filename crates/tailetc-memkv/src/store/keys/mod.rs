//! The keys: what is there now, and what was.

mod history;
mod key_set;
#[cfg(test)]
mod tests;
mod tree;

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use tailetc_core::backend::{KeyRange, KeyValue};
use tailetc_core::{LeaseId, Revision};

use self::history::{History, Left};
pub(crate) use self::key_set::{IntoKeys, KeySet};
use self::tree::{Count, Tree};
use super::change::Change;

/// Above every revision: what is there at it is there now.
pub(crate) const NOW: Revision = Revision::new(i64::MAX);

/// All keys, with every version that is not compacted.
///
/// One map for the present and the past, which knows how many keys existed when: to count a range
/// or to find its first keys takes time logarithmic in what there is, at any revision.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    histories: Tree<History>,
}

impl Keys {
    /// The key as it is now.
    pub(crate) fn get(&self, key: &[u8]) -> Option<&KeyValue> {
        self.get_at(key, NOW)
    }

    /// The key as it was when `revision` was complete.
    pub(crate) fn get_at(&self, key: &[u8], revision: Revision) -> Option<&KeyValue> {
        self.histories.get_live(key, revision)?.live_at(revision)
    }

    /// The keys of `range` as they are now, in order.
    pub(crate) fn range(&self, range: &KeyRange) -> impl Iterator<Item = &KeyValue> {
        self.range_at(range, NOW)
    }

    /// The keys of `range` as they were when `revision` was complete, in order. Linear in what is
    /// taken of it: keys that did not exist then cost something only if one that did is near.
    pub(crate) fn range_at(
        &self,
        range: &KeyRange,
        revision: Revision,
    ) -> impl Iterator<Item = &KeyValue> {
        self.within(range, Some(revision)).filter_map(move |history| history.live_at(revision))
    }

    fn within(
        &self,
        range: &KeyRange,
        live_at: Option<Revision>,
    ) -> impl Iterator<Item = &History> {
        // From its start on, a range ends with the first key that is not in it.
        self.histories
            .from(range.start(), live_at)
            .take_while(|(key, _)| range.contains(key))
            .map(|(_, history)| history)
    }

    /// How many keys of `range` exist.
    pub(crate) fn count(&self, range: &KeyRange) -> usize {
        self.count_at(range, NOW)
    }

    /// How many keys of `range` existed when `revision` was complete.
    pub(crate) fn count_at(&self, range: &KeyRange, revision: Revision) -> usize {
        self.numbers(range, revision).live
    }

    /// How many keys of `range` have any version.
    pub(crate) fn known(&self, range: &KeyRange) -> usize {
        self.numbers(range, NOW).all
    }

    fn numbers(&self, range: &KeyRange, revision: Revision) -> Count {
        if range.is_empty() {
            return Count::default();
        }
        if range.is_single_key() {
            return self.histories.count_of(range.start(), revision);
        }
        let end = if range.is_from_key() {
            self.histories.count(revision)
        } else {
            self.histories.count_before(range.range_end(), revision)
        };
        end - self.histories.count_before(range.start(), revision)
    }

    /// The versions of every key of `range` from `revision` on, deletions too, but those of which the
    /// keys do not know yet.
    pub(crate) fn since(
        &self,
        range: &KeyRange,
        revision: Revision,
    ) -> impl Iterator<Item = &[Arc<Change>]> {
        self.within(range, None).map(move |history| history.since(revision))
    }

    /// The bytes of `key` that are stored, if it has any version: all versions of a key share them.
    pub(crate) fn interned(&self, key: &[u8]) -> Option<&Bytes> {
        self.histories.get(key).map(|(key, _)| key)
    }

    /// Adds a version, at a revision not below that of any earlier one.
    pub(crate) fn push(&mut self, change: Arc<Change>) {
        let (key, revision) = (&change.kv.key, change.revision());
        let push = |history: &mut History| history.push(Arc::clone(&change));
        if !self.histories.modify(key, revision, push) {
            self.histories.insert(key.clone(), revision, History::One(change));
        }
    }

    /// Forgets what `key` was before `revision`, about `most` versions of it, shows them to
    /// `forgotten`, and says whether that was all. From now on no revision below that is asked for;
    /// of the keys that changed up to it none must be left out.
    pub(crate) fn compact(
        &mut self,
        key: &[u8],
        revision: Revision,
        most: usize,
        forgotten: &mut impl FnMut(&Change),
    ) -> bool {
        let mut left = Left::Rest;
        self.histories.compact(key, revision, |history| {
            left = history.compact(revision, most, forgotten);
            left == Left::Nothing
        });
        left != Left::More
    }

    /// Deletes the keys of `range` that exist, as changes of `revision` from position `first_sub`
    /// on, and says how many there are. In time logarithmic in the number of keys: they do not know
    /// it until they are [shown](Self::show_deleted).
    pub(crate) fn delete(&mut self, range: &KeyRange, revision: Revision, first_sub: u32) -> u32 {
        if range.is_empty() {
            return 0;
        }
        let after_single;
        let end = if range.is_from_key() {
            None
        } else if range.is_single_key() {
            after_single = [range.start(), &b"\0"[..]].concat();
            Some(&after_single[..])
        } else {
            Some(&range.range_end()[..])
        };
        self.histories.end_between(range.start(), end, revision, first_sub)
    }

    /// The same for the keys that are attached to a lease: all of those are among `attached`, and
    /// no others if it is `exact`. Takes time by how scattered they are.
    pub(crate) fn delete_attached(
        &mut self,
        lease: LeaseId,
        (attached, exact): (&KeySet, bool),
        revision: Revision,
        first_sub: u32,
    ) -> u32 {
        self.histories.end_attached(lease, &attached.0, exact, revision, first_sub)
    }

    /// Shows the changes of `revision` that deleted keys of `range`, those at positions `subs`, with
    /// the pairs before: from `cursor` on, of about `most` keys. Returns where to go on.
    pub(crate) fn show_deleted(
        &mut self,
        range: &KeyRange,
        (revision, subs): (Revision, &Range<u32>),
        cursor: &[u8],
        most: usize,
        mut show: impl FnMut(&Arc<Change>, &KeyValue),
    ) -> Option<Bytes> {
        let before = Revision::new(revision.get() - 1);
        let mut cursor = Bytes::copy_from_slice(cursor);
        let mut left = most;
        loop {
            let (next, _) = self.histories.from(&cursor, Some(before)).next()?;
            cursor = next.clone();
            let (entries, next_leaf) = self.histories.settled(&cursor);
            let first = entries.partition_point(|(key, _)| *key < cursor);
            for (key, history) in &entries[first..] {
                if !range.contains(key) {
                    return None;
                }
                if left == 0 {
                    return Some(key.clone());
                }
                left -= 1;
                if let Some((deletion, pair)) = history.deletion(revision, subs) {
                    show(deletion, pair);
                }
            }
            cursor = next_leaf?.clone();
        }
    }

    /// The change that deleted `key` at `revision`, at one of the positions `subs`.
    pub(crate) fn deleted(
        &mut self,
        key: &[u8],
        revision: Revision,
        subs: &Range<u32>,
    ) -> Option<&Arc<Change>> {
        let (entries, _) = self.histories.settled(key);
        let at = entries.binary_search_by(|(entry, _)| entry[..].cmp(key)).ok()?;
        let (deletion, _) = entries[at].1.deletion(revision, subs)?;
        Some(deletion)
    }

    /// How many keys of both ranges existed when `revision` was complete.
    pub(crate) fn count_of_both(&self, [one, other]: [&KeyRange; 2], revision: Revision) -> usize {
        for (single, range) in [(one, other), (other, one)] {
            if single.is_single_key() {
                let is_in_both = range.contains(single.start());
                return if is_in_both { self.count_at(single, revision) } else { 0 };
            }
        }
        let start = one.start().max(other.start());
        let end = match [one, other].map(KeyRange::is_from_key) {
            [true, _] => other.range_end(),
            [_, true] => one.range_end(),
            [false, false] => one.range_end().min(other.range_end()),
        };
        self.count_at(&KeyRange::from_wire(start.clone(), end.clone()), revision)
    }

    /// Shows about `most` keys from `cursor` on, each with what tells its last version up to a
    /// revision, deletions too, and returns where to go on. All deletions are known to their keys.
    pub(crate) fn look<'a>(
        &'a self,
        cursor: &[u8],
        most: usize,
        mut show: impl FnMut(&'a Bytes, &dyn Fn(Revision) -> Option<&'a Arc<Change>>),
    ) -> Option<Bytes> {
        let mut entries = self.histories.from(cursor, None);
        for (key, history) in entries.by_ref().take(most) {
            show(key, &|revision| history.at(revision));
        }
        entries.next().map(|(key, _)| key.clone())
    }

    /// For every key its last version up to `revision`, deletions too, but those of which the keys
    /// do not know yet, in no order to be relied on.
    pub(crate) fn versions_at(&self, revision: Revision) -> impl Iterator<Item = &Arc<Change>> {
        self.histories.from(b"", None).filter_map(move |(_, history)| history.at(revision))
    }
}
