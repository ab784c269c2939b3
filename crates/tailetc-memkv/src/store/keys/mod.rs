//! The keys: what is there now, and what was.

mod history;
#[cfg(test)]
mod tests;
mod tree;

use std::sync::Arc;

use bytes::Bytes;
use tailetc_core::Revision;
use tailetc_core::backend::{KeyRange, KeyValue};

use self::history::{History, Left};
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
        self.histories.get(key)?.1.live_at(revision)
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

    /// The versions of every key of `range` from `revision` on, deletions too.
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

    /// For every key its last version up to `revision`, deletions too, in no order to be relied on.
    pub(crate) fn versions_at(&self, revision: Revision) -> impl Iterator<Item = &Arc<Change>> {
        self.histories.from(b"", None).filter_map(move |(_, history)| history.at(revision))
    }
}
