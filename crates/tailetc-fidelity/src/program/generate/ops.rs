//! Reads, writes and transactions.

use proptest::prelude::*;

use super::keys::{key, span};
use super::leases::lease;
use crate::program::{Compare, Delete, Key, Op, Put, Range, Rev, Txn, Union, Value};

pub(super) fn put() -> BoxedStrategy<Put> {
    let lease = prop_oneof![8 => Just(0), 4 => lease()];
    let flag = || prop::bool::weighted(0.06);
    (key(), value(), lease, prop::bool::weighted(0.3), flag(), flag(), prop::bool::weighted(0.9))
        .prop_map(|(key, value, lease, prev_kv, ignore_value, ignore_lease, tidy)| {
            // Else what is ignored is mostly refused for being there.
            let value = if tidy && ignore_value { String::new() } else { value };
            let lease = if tidy && ignore_lease { 0 } else { lease };
            let value = Value::Text(value);
            Put { key, value, lease, prev_kv, ignore_value, ignore_lease }
        })
        .boxed()
}

pub(super) fn key_of_writes() -> BoxedStrategy<Key> {
    prop::sample::select(vec!["a", "b", "c"]).prop_map(str::to_owned).boxed()
}

fn value() -> BoxedStrategy<String> {
    prop::sample::select(vec!["1", "2", "3", "10", "v", ""]).prop_map(str::to_owned).boxed()
}

pub(super) fn delete() -> BoxedStrategy<Delete> {
    (span(), prop::bool::weighted(0.4))
        .prop_map(|((key, end), prev_kv)| Delete { key, end, prev_kv })
        .boxed()
}

pub(super) fn range() -> BoxedStrategy<Range> {
    let limit = prop_oneof![
        6 => Just(0_i64), 4 => 1_i64..4, 1 => Just(-1_i64), 1 => Just(100_i64), 1 => Just(i64::MAX),
    ];
    let at = prop_oneof![5 => Just(Rev::At(0)), 4 => revision()];
    let order = prop_oneof![5 => Just(0), 3 => Just(1), 3 => Just(2), 1 => prop::sample::select(vec![3, -1])];
    let target = prop_oneof![4 => Just(0), 5 => 1..=4];
    let flag = |weight| prop::bool::weighted(weight);
    let bounds = prop_oneof![
        5 => Just([Rev::At(0); 4]),
        2 => [bound(), bound(), bound(), bound()],
    ];
    ((span(), limit, at, order, target), flag(0.2), flag(0.15), flag(0.1), bounds)
        .prop_map(
            |(
                ((key, end), limit, revision, sort_order, sort_target),
                serializable,
                keys_only,
                count_only,
                bounds,
            )| {
                let [min_mod, max_mod, min_create, max_create] = bounds;
                Range {
                    key,
                    end,
                    limit,
                    revision,
                    sort_order,
                    sort_target,
                    serializable,
                    keys_only,
                    count_only,
                    min_mod,
                    max_mod,
                    min_create,
                    max_create,
                }
            },
        )
        .boxed()
}

fn bound() -> BoxedStrategy<Rev> {
    prop_oneof![
        4 => Just(Rev::At(0)),
        4 => (-5_i64..=1).prop_map(Rev::Now),
        1 => (0_i64..3).prop_map(Rev::Start),
        1 => prop::sample::select(vec![-1_i64, 1, i64::MAX]).prop_map(Rev::At),
    ]
    .boxed()
}

/// A revision to read at.
pub(super) fn revision() -> BoxedStrategy<Rev> {
    prop_oneof![
        8 => (-8_i64..=0).prop_map(Rev::Now),
        2 => (1_i64..=3).prop_map(Rev::Now),
        4 => (-1_i64..=2).prop_map(Rev::Compacted),
        2 => (-1_i64..6).prop_map(Rev::Start),
        2 => prop::sample::select(vec![0_i64, -1, -2, 1, i64::MIN, i64::MAX]).prop_map(Rev::At),
    ]
    .boxed()
}

/// A transaction with transactions inside it, so many levels in all.
pub(super) fn txn(levels: u32) -> BoxedStrategy<Txn> {
    let compares = prop::collection::vec(compare(), 0..3);
    let more = match levels {
        3 => prop_oneof![120 => Just(0_usize), 1 => 124_usize..130].boxed(),
        _ => Just(0).boxed(),
    };
    (compares, ops(levels), ops(levels), more)
        .prop_map(|(compare, success, failure, more_success)| Txn {
            compare,
            success,
            failure,
            more_success,
        })
        .boxed()
}

fn ops(levels: u32) -> BoxedStrategy<Vec<Op>> {
    prop::collection::vec(op(levels), 0..4).boxed()
}

fn op(levels: u32) -> BoxedStrategy<Op> {
    let plain = prop_oneof![
        100 => put().prop_map(Op::Put),
        60 => range().prop_map(Op::Range),
        60 => delete().prop_map(Op::Delete),
        1 => Just(Op::Unset),
    ];
    match levels {
        0 | 1 => plain.boxed(),
        _ => prop_oneof![5 => plain, 1 => txn(levels - 1).prop_map(Op::Txn)].boxed(),
    }
    .boxed()
}

fn compare() -> BoxedStrategy<Compare> {
    let target = prop_oneof![20 => 0..=4, 1 => prop::sample::select(vec![5, -1])];
    let result = prop_oneof![20 => 0..=3, 1 => prop::sample::select(vec![4, -1])];
    (target, result, span())
        .prop_flat_map(|(target, result, (key, end))| {
            let union = prop_oneof![12 => union_of(target), 1 => (0..6).prop_flat_map(union_of)];
            (Just((target, result, key, end)), union)
        })
        .prop_map(|((target, result, key, end), union)| Compare { key, end, target, result, union })
        .boxed()
}

fn union_of(target: i32) -> BoxedStrategy<Union> {
    match target {
        0 => (-1_i64..4).prop_map(Union::Version).boxed(),
        1 => bound().prop_map(Union::Create).boxed(),
        2 => bound().prop_map(Union::Mod).boxed(),
        3 => value().prop_map(Union::Value).boxed(),
        4 => prop_oneof![Just(0), lease()].prop_map(Union::Lease).boxed(),
        _ => Just(Union::Unset).boxed(),
    }
    .boxed()
}
