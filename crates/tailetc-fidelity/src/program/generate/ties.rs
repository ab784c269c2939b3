//! Sorted reads among pairs that are equal in what they are sorted by.

use proptest::prelude::*;

use super::ops::{delete, range};
use super::steps_of;
use crate::program::{Action, Op, Put, Range, Rev, Step, Txn, Value};

/// Puts of one transaction, which share their revisions, some of them again, and reads that sort.
pub(super) fn ties() -> BoxedStrategy<Vec<Step>> {
    let reads = || prop::collection::vec(sorted(), 1..4);
    let again = prop::option::of(puts(1..3));
    (puts(3..9), again, prop::option::weighted(0.2, delete()), reads(), reads())
        .prop_map(|(puts, again, delete, inner, outer)| {
            let mut success = puts;
            success.extend(inner.into_iter().map(Op::Range));
            let txn = |success| Action::Txn(Txn { success, ..Txn::default() });
            let mut actions = vec![txn(success)];
            actions.extend(again.map(txn));
            actions.extend(delete.map(Action::Delete));
            actions.extend(outer.into_iter().map(Action::Range));
            steps_of(actions)
        })
        .boxed()
}

/// Puts of different keys, in no order, of few values.
fn puts(count: std::ops::Range<usize>) -> BoxedStrategy<Vec<Op>> {
    let keys = ["a", "aa", "b", "b\0", "c", "d", "e", "\u{ff}"];
    let value = prop::sample::select(vec!["1", "2", ""]);
    (Just(keys.to_vec()).prop_shuffle(), prop::collection::vec(value, count))
        .prop_map(|(keys, values)| {
            let put = |(key, value): (&str, &str)| {
                let value = Value::Text(value.to_owned());
                Op::Put(Put { key: key.to_owned(), value, ..Put::default() })
            };
            keys.into_iter().zip(values).map(put).collect()
        })
        .boxed()
}

/// A read of the present that sorts all keys, or those from one on.
fn sorted() -> BoxedStrategy<Range> {
    let key = prop::sample::select(vec!["\0", "a", "b"]).prop_map(str::to_owned);
    let limit = prop_oneof![3 => Just(0_i64), 4 => 1_i64..8];
    let unbounded = prop::bool::weighted(0.8);
    (range(), key, 0..=2, 1..=4, limit, unbounded)
        .prop_map(|(range, key, sort_order, sort_target, limit, unbounded)| {
            let range = if unbounded { Range::default() } else { range };
            Range {
                key,
                end: "\0".to_owned(),
                sort_order,
                sort_target,
                limit,
                revision: Rev::default(),
                count_only: false,
                ..range
            }
        })
        .boxed()
}
