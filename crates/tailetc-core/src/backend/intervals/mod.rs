//! Ranges, found by a key that is in them.

mod tree;

use std::collections::HashMap;

use bytes::Bytes;

use self::tree::Tree;
use crate::backend::KeyRange;

/// Values by range of keys, found by any key within: who is concerned by a change, without a look
/// at everybody.
///
/// A range has one value; what several share it for goes into a collection. With n ranges, looking
/// up a key takes O(log n) expected for each range that holds it (O(1) for single keys), changing
/// one O(log n). The same calls give the same answers in the same order.
///
/// ```
/// use tailetc_core::backend::{Intervals, KeyRange};
///
/// let mut watchers = Intervals::default();
/// watchers.insert(&KeyRange::prefix("nodes/"), "all nodes");
/// watchers.insert(&KeyRange::key("nodes/7"), "node 7");
/// watchers.insert(&KeyRange::prefix("jobs/"), "all jobs");
///
/// let mut concerned = Vec::new();
/// watchers.holding(b"nodes/7", |name| concerned.push(*name));
/// assert_eq!(concerned, ["node 7", "all nodes"]);
/// ```
#[derive(Debug)]
pub struct Intervals<V> {
    keys: HashMap<Bytes, V>,
    /// Ranges of more than one key, or of none.
    ranges: Tree<V>,
}

impl<V> Default for Intervals<V> {
    fn default() -> Self {
        Self { keys: HashMap::new(), ranges: Tree::default() }
    }
}

impl<V> Intervals<V> {
    /// Whether no range has a value.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.ranges.is_empty()
    }

    /// The value of exactly this range.
    pub fn get_mut(&mut self, range: &KeyRange) -> Option<&mut V> {
        if range.is_single_key() {
            self.keys.get_mut(range.start())
        } else {
            self.ranges.get_mut(range)
        }
    }

    /// Sets the value of a range, and returns the one that it had.
    pub fn insert(&mut self, range: &KeyRange, value: V) -> Option<V> {
        if range.is_single_key() {
            self.keys.insert(range.start().clone(), value)
        } else if let Some(present) = self.ranges.get_mut(range) {
            Some(std::mem::replace(present, value))
        } else {
            self.ranges.insert(range, value);
            None
        }
    }

    /// Removes exactly this range, and returns its value.
    pub fn remove(&mut self, range: &KeyRange) -> Option<V> {
        if range.is_single_key() {
            self.keys.remove(range.start())
        } else {
            self.ranges.remove(range)
        }
    }

    /// Shows the value of every range that holds `key`: first that of the key alone, then the
    /// others in the order of where they start and end.
    pub fn holding<'a>(&'a self, key: &[u8], mut show: impl FnMut(&'a V)) {
        self.keys.get(key).into_iter().for_each(&mut show);
        self.ranges.holding(key, &mut show);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn key() -> impl Strategy<Value = Bytes> {
        let byte = prop_oneof![Just(0), Just(b'a'), Just(b'b'), Just(0xff)];
        prop::collection::vec(byte, 1..4).prop_map(Bytes::from)
    }

    fn range() -> impl Strategy<Value = KeyRange> {
        let end = prop_oneof![Just(Bytes::new()), Just(Bytes::from_static(b"\0")), key()];
        (key(), end).prop_map(|(key, end)| KeyRange::from_wire(key, end))
    }

    proptest! {
        /// Ranges that overlap, single keys, empty ranges, and the same range again.
        #[test]
        fn look_up_finds_what_a_look_at_every_range_finds(
            ranges in prop::collection::vec((range(), any::<bool>()), 0..40),
            keys in prop::collection::vec(key(), 1..6),
        ) {
            let mut intervals = Intervals::default();
            let mut naive = BTreeMap::new();
            let name = |range: &KeyRange| (range.start().clone(), range.range_end().clone());
            for (value, (range, _)) in ranges.iter().enumerate() {
                let before = naive.insert(name(range), (range.clone(), value));
                let before = before.map(|(_, value)| value);
                prop_assert_eq!(intervals.insert(range, value), before);
            }
            for (range, _) in ranges.iter().filter(|(_, stays)| !stays) {
                let removed = naive.remove(&name(range)).map(|(_, value)| value);
                prop_assert_eq!(intervals.remove(range), removed);
                prop_assert_eq!(intervals.get_mut(range), None);
            }
            for key in &keys {
                let mut found = Vec::new();
                intervals.holding(key, |value| found.push(*value));
                found.sort_unstable();
                let holding = naive.values().filter(|(range, _)| range.contains(key));
                let mut expected: Vec<_> = holding.map(|(_, value)| *value).collect();
                expected.sort_unstable();
                prop_assert_eq!(found, expected);
            }
            for (range, mut value) in naive.into_values() {
                prop_assert_eq!(intervals.get_mut(&range), Some(&mut value));
                intervals.remove(&range);
            }
            prop_assert!(intervals.is_empty());
        }
    }
}
