//! The ordered persistent map of all keys. The only file that names the crate behind it.

use std::ops::Bound;

use im::ordmap::{DiffItem, DiffIter, Iter, RangedIter};

use crate::Key;
use crate::backend::KeyRange;
use crate::state::EntryPtr;

/// An ordered map that is cloned in O(1) and shares its structure with its clones.
#[derive(Clone, Debug, Default)]
pub(crate) struct KeyMap(im::OrdMap<Key, EntryPtr>);

pub(crate) type KeyMapRange<'m> = RangedIter<'m, Key, EntryPtr, im::shared_ptr::DefaultSharedPtr>;

impl KeyMap {
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn get(&self, key: &[u8]) -> Option<&EntryPtr> {
        self.0.get(key)
    }

    pub(crate) fn insert(&mut self, key: Key, entry: EntryPtr) -> Option<EntryPtr> {
        self.0.insert(key, entry)
    }

    /// Replaces the entry of a key that is there; false if it is not.
    pub(crate) fn replace(&mut self, key: &[u8], entry: EntryPtr) -> bool {
        let found = self.0.get_mut(key);
        found.map(|place| *place = entry).is_some()
    }

    pub(crate) fn remove(&mut self, key: &[u8]) -> Option<EntryPtr> {
        self.0.remove(key)
    }

    pub(crate) fn iter(&self) -> Iter<'_, Key, EntryPtr, im::shared_ptr::DefaultSharedPtr> {
        self.0.iter()
    }

    /// The entries of a range, in key order.
    pub(crate) fn range(&self, range: &KeyRange) -> KeyMapRange<'_> {
        let start = range.start().as_ref();
        let bounds: (Bound<&[u8]>, Bound<&[u8]>) = if range.is_single_key() {
            (Bound::Included(start), Bound::Included(start))
        } else if range.is_from_key() {
            (Bound::Included(start), Bound::Unbounded)
        } else if range.is_empty() {
            // Reversed bounds are not in the map's contract: name an empty range it does take.
            (Bound::Included(start), Bound::Excluded(start))
        } else {
            (Bound::Included(start), Bound::Excluded(range.range_end().as_ref()))
        };
        self.0.range::<_, [u8]>(bounds)
    }

    /// What must change in `self` to make it `newer`, in key order: (key, before, after). Costs
    /// time in proportion to the structure that the two do not share.
    pub(crate) fn diff<'m>(&'m self, newer: &'m Self) -> Diff<'m> {
        Diff(self.0.diff(&newer.0))
    }
}

pub(crate) struct Diff<'m>(DiffIter<'m, 'm, Key, EntryPtr, im::shared_ptr::DefaultSharedPtr>);

impl<'m> Iterator for Diff<'m> {
    type Item = (&'m Key, Option<&'m EntryPtr>, Option<&'m EntryPtr>);

    fn next(&mut self) -> Option<Self::Item> {
        Some(match self.0.next()? {
            DiffItem::Add(key, after) => (key, None, Some(after)),
            DiffItem::Update { old: (_, before), new: (key, after) } => {
                (key, Some(before), Some(after))
            }
            DiffItem::Remove(key, before) => (key, Some(before), None),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::backend::KeyValue;
    use crate::schema::SchemaBuilder;
    use crate::state::Entry;

    fn entry() -> EntryPtr {
        let schema = SchemaBuilder::default().build(b"").unwrap();
        EntryPtr::new(Entry::decode(&schema, &KeyValue::default()))
    }

    fn key() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(prop::sample::select(vec![0, b'a', b'b', 0xff]), 1..4)
    }

    fn range() -> impl Strategy<Value = KeyRange> {
        prop_oneof![
            key().prop_map(KeyRange::key),
            key().prop_map(KeyRange::prefix),
            key().prop_map(KeyRange::from_key),
            (key(), key()).prop_map(|(start, end)| KeyRange::span(start, end)),
            Just(KeyRange::all()),
        ]
    }

    proptest! {
        #[test]
        fn range_yields_exactly_the_keys_it_contains(
            keys in prop::collection::btree_set(key(), 0..40),
            range in range(),
        ) {
            let mut map = KeyMap::default();
            for key in &keys {
                map.insert(key.as_slice().into(), entry());
            }
            let found: Vec<_> = map.range(&range).map(|(key, _)| key.as_bytes().to_vec()).collect();
            let expected: Vec<_> = keys.into_iter().filter(|key| range.contains(key)).collect();
            prop_assert_eq!(found, expected);
        }

        #[test]
        fn diff_applied_to_the_older_map_gives_the_newer(
            base in prop::collection::vec(key(), 0..60),
            edits in prop::collection::vec((key(), any::<bool>()), 0..20),
        ) {
            let mut older = KeyMap::default();
            for key in &base {
                older.insert(key.as_slice().into(), entry());
            }
            let mut newer = older.clone();
            for (key, put) in &edits {
                if *put {
                    newer.insert(key.as_slice().into(), entry());
                } else {
                    newer.remove(key);
                }
            }
            let mut patched: BTreeMap<Key, EntryPtr> =
                older.iter().map(|(k, e)| (k.clone(), e.clone())).collect();
            for (key, before, after) in older.diff(&newer) {
                prop_assert!(before != after);
                prop_assert_eq!(patched.get(key), before);
                match after {
                    Some(after) => patched.insert(key.clone(), after.clone()),
                    None => patched.remove(key),
                };
            }
            let newer: BTreeMap<_, _> = newer.iter().map(|(k, e)| (k.clone(), e.clone())).collect();
            prop_assert_eq!(patched, newer);
        }
    }
}
