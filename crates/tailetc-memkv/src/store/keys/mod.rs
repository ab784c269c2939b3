//! The keys: what is there now, and what was.

mod history;
mod tree;

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use tailetc_core::Revision;
use tailetc_core::backend::{KeyRange, KeyValue};

use self::history::History;
use self::tree::{Count, Tree};
use super::change::Change;

/// All keys, with every version that is not compacted.
///
/// One map for the present and the past, which counts the keys that exist apart from those that
/// did: counting a range takes time logarithmic in the number of keys.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    histories: Tree<History>,
}

impl Keys {
    /// The key as it is now.
    pub(crate) fn get(&self, key: &[u8]) -> Option<&KeyValue> {
        self.histories.get(key)?.1.last()?.live()
    }

    /// The key as it was when `revision` was complete.
    pub(crate) fn get_at(&self, key: &[u8], revision: Revision) -> Option<&KeyValue> {
        self.histories.get(key)?.1.live_at(revision)
    }

    /// The keys of `range` as they are now, in order. Linear in what is taken of it, but for keys
    /// that were deleted and not compacted: those cost if a key that exists is near.
    pub(crate) fn range(&self, range: &KeyRange) -> impl Iterator<Item = &KeyValue> {
        self.within(range, true).filter_map(|history| history.last()?.live())
    }

    /// The keys of `range` as they were when `revision` was complete, in order. Linear in the keys
    /// that are passed over, those created later too.
    pub(crate) fn range_at(
        &self,
        range: &KeyRange,
        revision: Revision,
    ) -> impl Iterator<Item = &KeyValue> {
        self.within(range, false).filter_map(move |history| history.live_at(revision))
    }

    fn within(&self, range: &KeyRange, live_only: bool) -> impl Iterator<Item = &History> {
        // From its start on, a range ends with the first key that is not in it.
        self.histories
            .from(range.start(), live_only)
            .take_while(|(key, _)| range.contains(key))
            .map(|(_, history)| history)
    }

    /// How many keys of `range` exist.
    pub(crate) fn count(&self, range: &KeyRange) -> usize {
        self.bounds(range).live
    }

    /// How many keys of `range` existed when `revision` was complete: by the changes `since`, which
    /// are at least `at_least`, or by a walk over the range, whichever is shorter.
    pub(crate) fn count_at<'a>(
        &self,
        range: &KeyRange,
        revision: Revision,
        at_least: usize,
        since: impl Iterator<Item = &'a Arc<Change>>,
    ) -> usize {
        let walk = self.bounds(range).all;
        if at_least > walk {
            return self.range_at(range, revision).count();
        }
        let mut changed = HashMap::new();
        for (steps, change) in since.enumerate() {
            if steps > walk {
                return self.range_at(range, revision).count();
            }
            if range.contains(&change.kv.key) {
                changed.insert(&change.kv.key, change);
            }
        }
        let (mut created, mut deleted) = (0, 0);
        for (key, last) in changed {
            let existed = self.get_at(key, revision).is_some();
            created += usize::from(!existed && !last.is_deletion());
            deleted += usize::from(existed && last.is_deletion());
        }
        (self.count(range) + deleted).saturating_sub(created)
    }

    /// How many keys of `range` have any version.
    pub(crate) fn known(&self, range: &KeyRange) -> usize {
        self.bounds(range).all
    }

    /// The versions of every key of `range` from `revision` on, deletions too.
    pub(crate) fn since(
        &self,
        range: &KeyRange,
        revision: Revision,
    ) -> impl Iterator<Item = &[Arc<Change>]> {
        self.within(range, false).map(move |history| history.since(revision))
    }

    /// The numbers of keys in `range`.
    fn bounds(&self, range: &KeyRange) -> Count {
        if range.is_empty() {
            return Count::default();
        }
        if range.is_single_key() {
            return self.histories.count_at(range.start());
        }
        let end = if range.is_from_key() {
            self.histories.count()
        } else {
            self.histories.count_before(range.range_end())
        };
        end - self.histories.count_before(range.start())
    }

    /// The bytes of `key` that are stored, if it has any version: all versions of a key share them.
    pub(crate) fn interned(&self, key: &[u8]) -> Option<&Bytes> {
        self.histories.get(key).map(|(key, _)| key)
    }

    /// Adds a version, at a revision not below that of any earlier one.
    pub(crate) fn push(&mut self, change: Arc<Change>) {
        let key = &change.kv.key;
        if self.histories.modify(key, |history| history.push(Arc::clone(&change))).is_none() {
            self.histories.insert(key.clone(), History::One(change));
        }
    }

    /// Forgets what `key` was before `revision`, and shows it to `forgotten`.
    pub(crate) fn compact(
        &mut self,
        key: &[u8],
        revision: Revision,
        forgotten: &mut impl FnMut(&Change),
    ) {
        let emptied = self.histories.modify(key, |history| history.compact(revision, forgotten));
        if emptied == Some(true) {
            self.histories.remove(key);
        }
    }

    /// For every key its last version up to `revision`, deletions too, in no order to be relied on.
    pub(crate) fn versions_at(&self, revision: Revision) -> impl Iterator<Item = &Arc<Change>> {
        self.histories.from(b"", false).filter_map(move |(_, history)| history.at(revision))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(keys: &mut Keys, key: &'static str, revision: i64) {
        let (key, mod_revision) = (key.into(), Revision::new(revision));
        let kv = KeyValue { key, mod_revision, version: 1, ..KeyValue::default() };
        keys.push(Arc::new(Change { kv, sub: 0 }));
    }

    fn delete(keys: &mut Keys, key: &'static str, revision: i64) {
        keys.push(Arc::new(Change::deletion(key.into(), Revision::new(revision), 0)));
    }

    fn found<'a>(keys: impl Iterator<Item = &'a KeyValue>) -> Vec<(&'a [u8], i64)> {
        keys.map(|kv| (&kv.key[..], kv.mod_revision.get())).collect()
    }

    fn sample() -> Keys {
        let mut keys = Keys::default();
        put(&mut keys, "a", 2);
        put(&mut keys, "b", 3);
        put(&mut keys, "a", 4);
        delete(&mut keys, "b", 5);
        put(&mut keys, "b", 7);
        keys
    }

    // G2, C2
    #[test]
    fn every_revision_stays_readable() {
        let keys = sample();
        let at = |revision| found(keys.range_at(&KeyRange::all(), Revision::new(revision)));
        assert_eq!(at(1), []);
        assert_eq!(at(2), [(&b"a"[..], 2)]);
        assert_eq!(at(4), [(&b"a"[..], 4), (b"b", 3)]);
        assert_eq!(at(6), [(&b"a"[..], 4)]);
        assert_eq!(at(7), found(keys.range(&KeyRange::all())));
    }

    #[test]
    fn ranges_are_etcds() {
        let keys = sample();
        let of = |start, end| found(keys.range(&KeyRange::from_wire(start, end))).len();
        assert_eq!(of("a", ""), 1);
        assert_eq!(of("a", "b"), 1);
        assert_eq!(of("a", "\0"), 2);
        assert_eq!(of("b", "a"), 0);
        assert_eq!(of("b", "b"), 0);
    }

    // C2
    #[test]
    fn compaction_keeps_the_last_version_unless_it_is_a_deletion() {
        let mut keys = sample();
        for key in ["a", "b"] {
            keys.compact(key.as_bytes(), Revision::new(5), &mut |_| ());
        }
        for key in [&b"a"[..], b"b"] {
            let (_, history) = keys.histories.get(key).expect("alive");
            assert!(matches!(history, History::One(_)));
        }
        let at = |revision| found(keys.range_at(&KeyRange::all(), Revision::new(revision)));
        assert_eq!(at(5), [(&b"a"[..], 4)]);
        assert_eq!(at(7), [(&b"a"[..], 4), (b"b", 7)]);
    }

    // C2
    #[test]
    fn compacted_deletion_leaves_nothing_of_the_key() {
        let mut keys = Keys::default();
        put(&mut keys, "a", 2);
        delete(&mut keys, "a", 3);
        keys.compact(b"a", Revision::new(3), &mut |_| ());
        assert_eq!(keys.histories.count(), Count::default());
    }
}
