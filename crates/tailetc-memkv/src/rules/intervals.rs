//! A set of byte strings made of half-open intervals.

use std::collections::BTreeMap;

use bytes::Bytes;
use tailetc_core::backend::KeyRange;

/// Disjoint intervals by their start.
#[derive(Debug, Default)]
pub(crate) struct Intervals {
    ends: BTreeMap<Bytes, End>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum End {
    /// The interval is its start alone.
    Point,
    Before(Bytes),
}

impl Intervals {
    /// Adds the keys of `range`, which has an end.
    pub(crate) fn insert(&mut self, range: &KeyRange) {
        let start = range.start().clone();
        if range.is_single_key() {
            if !self.contains(&start) {
                self.ends.insert(start, End::Point);
            }
            return;
        }
        if !range.is_empty() {
            self.insert_span(start, range.range_end().clone());
        }
    }

    fn insert_span(&mut self, mut start: Bytes, mut end: Bytes) {
        if let Some((before, End::Before(its_end))) =
            self.ends.range::<Bytes, _>(..=&start).next_back()
            && *its_end >= start
        {
            start = before.clone();
        }
        let covered: Vec<Bytes> =
            self.ends.range::<Bytes, _>(&start..&end).map(|(s, _)| s.clone()).collect();
        for covered in covered {
            if let Some(End::Before(its_end)) = self.ends.remove(&covered) {
                end = end.max(its_end);
            }
        }
        self.ends.insert(start, End::Before(end));
    }

    /// Adds all of `other`.
    pub(crate) fn union(&mut self, other: Self) {
        for (start, end) in other.ends {
            match end {
                End::Point => self.insert(&KeyRange::key(start)),
                End::Before(end) => self.insert_span(start, end),
            }
        }
    }

    /// Whether `key` is in the set.
    pub(crate) fn contains(&self, key: &Bytes) -> bool {
        match self.ends.range::<Bytes, _>(..=key).next_back() {
            Some((start, End::Point)) => start == key,
            Some((_, End::Before(end))) => key < end,
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn range() -> impl Strategy<Value = KeyRange> {
        let key = "[a-d]{1,2}";
        prop_oneof![
            key.prop_map(KeyRange::key),
            (key, key).prop_map(|(start, end)| KeyRange::from_wire(start, end)),
        ]
    }

    proptest! {
        #[test]
        fn contains_what_one_of_the_ranges_contains(
            left in prop::collection::vec(range(), 0..6),
            right in prop::collection::vec(range(), 0..6),
            keys in prop::collection::vec("[a-e]{1,2}", 20),
        ) {
            let collect = |ranges: &[KeyRange]| {
                let mut set = Intervals::default();
                ranges.iter().for_each(|range| set.insert(range));
                set
            };
            let mut set = collect(&left);
            set.union(collect(&right));
            for key in keys {
                let expected = left.iter().chain(&right).any(|r| r.contains(key.as_bytes()));
                prop_assert_eq!(set.contains(&Bytes::from(key)), expected);
            }
        }
    }
}
