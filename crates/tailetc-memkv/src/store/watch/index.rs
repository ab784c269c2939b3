//! Who is concerned by a change.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tailetc_core::backend::{Intervals, KeyRange};

use super::WatcherName;
use crate::store::change::Change;

/// The watchers that are told of changes as they happen, by what they watch (etcd: `watcherGroup`
/// in `server/storage/mvcc/watcher_group.go`).
#[derive(Debug, Default)]
pub(super) struct Index(Intervals<BTreeSet<WatcherName>>);

impl Index {
    pub(super) fn insert(&mut self, range: &KeyRange, name: WatcherName) {
        match self.0.get_mut(range) {
            Some(names) => {
                names.insert(name);
            }
            None => {
                self.0.insert(range, BTreeSet::from([name]));
            }
        }
    }

    /// `range` is the one that the watcher was inserted with.
    pub(super) fn remove(&mut self, range: &KeyRange, name: WatcherName) {
        if let Some(names) = self.0.get_mut(range) {
            names.remove(&name);
            if names.is_empty() {
                self.0.remove(range);
            }
        }
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Who is concerned by which of `changes`, by position and in order.
    pub(super) fn concerned(&self, changes: &[Arc<Change>]) -> BTreeMap<WatcherName, Vec<usize>> {
        let mut concerned: BTreeMap<WatcherName, Vec<usize>> = BTreeMap::new();
        for (position, change) in changes.iter().enumerate() {
            self.0.holding(&change.kv.key, |names| {
                for name in names {
                    concerned.entry(*name).or_default().push(position);
                }
            });
        }
        concerned
    }
}

#[cfg(test)]
mod tests {
    use super::super::StreamId;
    use super::*;
    use bytes::Bytes;
    use proptest::prelude::*;
    use tailetc_core::Revision;

    fn key() -> impl Strategy<Value = Bytes> {
        let byte = prop_oneof![Just(0), Just(b'a'), Just(b'b'), Just(0xff)];
        prop::collection::vec(byte, 1..4).prop_map(Bytes::from)
    }

    fn range() -> impl Strategy<Value = KeyRange> {
        let end = prop_oneof![Just(Bytes::new()), Just(Bytes::from_static(b"\0")), key()];
        (key(), end)
            .prop_map(|(key, end)| KeyRange::from_wire(key, end))
            .prop_filter("watchers have ranges with keys", |range| !range.is_empty())
    }

    proptest! {
        #[test]
        fn index_finds_whom_a_look_at_everybody_finds(
            watchers in prop::collection::vec((range(), any::<bool>()), 0..40),
            keys in prop::collection::vec(key(), 1..6),
        ) {
            let mut index = Index::default();
            let name = |id| WatcherName { stream: StreamId(0), id };
            let named = || (0..).map(name).zip(&watchers);
            for (name, (range, _)) in named() {
                index.insert(range, name);
            }
            for (name, (range, _)) in named().filter(|(_, (_, stays))| !stays) {
                index.remove(range, name);
            }
            let change =
                |key: &Bytes| Arc::new(Change::deletion(key.clone(), Revision::new(2), 0));
            let changes: Vec<Arc<Change>> = keys.iter().map(change).collect();
            let mut expected = BTreeMap::new();
            for (name, (range, _)) in named().filter(|(_, (_, stays))| *stays) {
                let concerned = keys.iter().enumerate().filter(|(_, key)| range.contains(key));
                let positions: Vec<usize> = concerned.map(|(position, _)| position).collect();
                if !positions.is_empty() {
                    expected.insert(name, positions);
                }
            }
            prop_assert_eq!(index.concerned(&changes), expected);
            for (name, (range, _)) in named() {
                index.remove(range, name);
            }
            prop_assert!(index.is_empty());
        }
    }
}
