//! The keys: what is there now, and what was.

use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::Bytes;
use tailetc_core::Revision;
use tailetc_core::backend::{KeyRange, KeyValue};

/// All keys, with every version that is not compacted.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    /// The keys that exist. Kept beside their versions so that deleted keys cost a read nothing.
    live: BTreeMap<Bytes, KeyValue>,
    /// Every key with its versions, oldest first, never none.
    versions: BTreeMap<Bytes, Vec<Version>>,
}

#[derive(Debug)]
struct Version {
    revision: Revision,
    /// `None`: deleted.
    kv: Option<KeyValue>,
}

impl Keys {
    /// The key as it is now.
    pub(crate) fn get(&self, key: &[u8]) -> Option<&KeyValue> {
        self.live.get(key)
    }

    /// The key as it was when `revision` was complete.
    pub(crate) fn get_at(&self, key: &[u8], revision: Revision) -> Option<&KeyValue> {
        version_at(self.versions.get(key)?, revision)
    }

    /// The keys of `range` as they are now, in order.
    pub(crate) fn range(&self, range: &KeyRange) -> impl Iterator<Item = &KeyValue> {
        bounds(range)
            .into_iter()
            .flat_map(|bounds| self.live.range::<[u8], _>(bounds))
            .map(|(_, kv)| kv)
    }

    /// The keys of `range` as they were when `revision` was complete, in order.
    pub(crate) fn range_at(
        &self,
        range: &KeyRange,
        revision: Revision,
    ) -> impl Iterator<Item = &KeyValue> {
        bounds(range)
            .into_iter()
            .flat_map(|bounds| self.versions.range::<[u8], _>(bounds))
            .filter_map(move |(_, versions)| version_at(versions, revision))
    }

    /// Adds a version, whose `mod_revision` is not below any earlier one.
    pub(crate) fn put(&mut self, kv: KeyValue) {
        self.push(&kv.key, kv.mod_revision, Some(kv.clone()));
        self.live.insert(kv.key.clone(), kv);
    }

    /// Marks a key that exists as deleted at `revision`, not below any earlier one.
    pub(crate) fn delete(&mut self, key: &Bytes, revision: Revision) {
        self.push(key, revision, None);
        self.live.remove(key);
    }

    fn push(&mut self, key: &Bytes, revision: Revision, kv: Option<KeyValue>) {
        let version = Version { revision, kv };
        match self.versions.get_mut(key) {
            Some(versions) => versions.push(version),
            None => {
                self.versions.insert(key.clone(), vec![version]);
            }
        }
    }

    /// Forgets what `key` was before `revision`.
    pub(crate) fn compact(&mut self, key: &[u8], revision: Revision) {
        let Some(versions) = self.versions.get_mut(key) else {
            return;
        };
        let reached = versions.partition_point(|version| version.revision <= revision);
        let Some(last) = reached.checked_sub(1) else {
            return;
        };
        let deleted = versions[last].kv.is_none();
        versions.drain(..if deleted { reached } else { last });
        if versions.is_empty() {
            self.versions.remove(key);
        }
    }
}

fn version_at(versions: &[Version], revision: Revision) -> Option<&KeyValue> {
    let reached = versions.partition_point(|version| version.revision <= revision);
    versions[..reached].last()?.kv.as_ref()
}

type Bounds<'a> = (Bound<&'a [u8]>, Bound<&'a [u8]>);

/// `None` for a range without keys, which a map refuses.
fn bounds(range: &KeyRange) -> Option<Bounds<'_>> {
    if range.is_empty() {
        return None;
    }
    let start: &[u8] = range.start();
    let end = if range.is_single_key() {
        Bound::Included(start)
    } else if range.is_from_key() {
        Bound::Unbounded
    } else {
        Bound::Excluded(&range.range_end()[..])
    };
    Some((Bound::Included(start), end))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kv(key: &'static str, revision: i64) -> KeyValue {
        KeyValue { key: key.into(), mod_revision: Revision::new(revision), ..KeyValue::default() }
    }

    fn found<'a>(keys: impl Iterator<Item = &'a KeyValue>) -> Vec<(&'a [u8], i64)> {
        keys.map(|kv| (&kv.key[..], kv.mod_revision.get())).collect()
    }

    fn sample() -> Keys {
        let mut keys = Keys::default();
        keys.put(kv("a", 2));
        keys.put(kv("b", 3));
        keys.put(kv("a", 4));
        keys.delete(&"b".into(), Revision::new(5));
        keys.put(kv("b", 7));
        keys
    }

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

    #[test]
    fn compaction_keeps_the_last_version_unless_it_is_a_deletion() {
        let mut keys = sample();
        for key in ["a", "b"] {
            keys.compact(key.as_bytes(), Revision::new(5));
        }
        assert_eq!(keys.versions[&b"a"[..]].len(), 1);
        assert_eq!(keys.versions[&b"b"[..]].len(), 1);
        let at = |revision| found(keys.range_at(&KeyRange::all(), Revision::new(revision)));
        assert_eq!(at(5), [(&b"a"[..], 4)]);
        assert_eq!(at(7), [(&b"a"[..], 4), (b"b", 7)]);
    }

    #[test]
    fn compacted_deletion_leaves_nothing_of_the_key() {
        let mut keys = Keys::default();
        keys.put(kv("a", 2));
        keys.delete(&"a".into(), Revision::new(3));
        keys.compact(b"a", Revision::new(3));
        assert!(keys.versions.is_empty() && keys.live.is_empty());
    }
}
