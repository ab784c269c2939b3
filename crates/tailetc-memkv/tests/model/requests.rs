//! Requests by chance, over few keys so that they meet.

use proptest::prelude::*;
use proptest::sample::select;
use tailetc_core::backend::{
    Compare, CompareResult, CompareTarget, DeleteRequest, KeyRange, PutRequest, RangeRequest,
    SortOrder, SortTarget, TxnOp, TxnRequest, WatchRequest,
};
use tailetc_core::{LeaseId, Revision};

#[derive(Clone, Debug)]
pub(crate) enum Action {
    Range(RangeRequest),
    Put(PutRequest),
    Delete(DeleteRequest),
    Txn(TxnRequest, Patience),
    Compact(Revision, Patience),
    /// With a time in seconds.
    Grant(LeaseId, i64),
    KeepAlive(LeaseId),
    Revoke(LeaseId, Patience),
    Watch(WatchRequest),
    /// Of the watch with this number, modulo their count.
    Drain(usize),
    RequestProgress(usize),
    /// Of the clock, by seconds.
    Advance(u64),
    /// Asks how large the store is, and for the hashes of all revisions.
    Measure,
}

/// Of the one who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    Waits,
    /// Drops the request if it is not answered at once.
    Drops,
}

pub(crate) fn actions() -> impl Strategy<Value = Vec<Action>> {
    prop::collection::vec(action(), 1..40)
}

/// With keys to delete, and many deletions that nobody waits for.
pub(crate) fn deletions() -> impl Strategy<Value = Vec<Action>> {
    let put = |key: &'static str| {
        put().prop_map(move |mut put| {
            put.key = key.into();
            (put.ignore_value, put.ignore_lease) = (false, false);
            TxnOp::from(put)
        })
    };
    let puts = ["a", "b", "c", "d"].map(put);
    let puts = puts.prop_map(TxnRequest::new);
    let deletion = (key_range(), any::<bool>()).prop_map(|(range, prev_kv)| {
        let mut delete = DeleteRequest::new(range);
        delete.prev_kv = prev_kv;
        TxnRequest::new([delete.into()])
    });
    let patience = || prop_oneof![1 => Just(Patience::Waits), 4 => Just(Patience::Drops)];
    let action = prop_oneof![
        8 => (puts, patience()).prop_map(|(txn, patience)| Action::Txn(txn, patience)),
        6 => (deletion, patience()).prop_map(|(txn, patience)| Action::Txn(txn, patience)),
        1 => (lease(), patience()).prop_map(|(id, patience)| Action::Revoke(id, patience)),
        2 => lease().prop_map(|id| Action::Grant(id, 10)),
        2 => watch().prop_map(Action::Watch),
        6 => any::<usize>().prop_map(Action::Drain),
        10 => action(),
    ];
    prop::collection::vec(action, 1..40).prop_map(|actions| {
        let grants = (1..4).map(|id| Action::Grant(LeaseId::new(id), 10));
        grants.chain(actions).collect()
    })
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        8 => put().prop_map(Action::Put),
        2 => delete().prop_map(Action::Delete),
        10 => (txn(), patience()).prop_map(|(txn, patience)| Action::Txn(txn, patience)),
        2 => (delete(), patience()).prop_map(|(delete, patience)| {
            Action::Txn(TxnRequest::new([delete.into()]), patience)
        }),
        3 => range().prop_map(Action::Range),
        2 => (revision(), patience()).prop_map(|(at, patience)| Action::Compact(at, patience)),
        3 => (lease(), -1_i64..12).prop_map(|(id, ttl)| Action::Grant(id, ttl)),
        1 => lease().prop_map(Action::KeepAlive),
        1 => (lease(), patience()).prop_map(|(id, patience)| Action::Revoke(id, patience)),
        2 => (0_u64..8).prop_map(Action::Advance),
        1 => Just(Action::Measure),
        3 => watch().prop_map(Action::Watch),
        3 => any::<usize>().prop_map(Action::Drain),
        2 => any::<usize>().prop_map(Action::RequestProgress),
    ]
}

fn patience() -> impl Strategy<Value = Patience> {
    select(vec![Patience::Waits, Patience::Drops])
}

fn key() -> impl Strategy<Value = &'static str> {
    prop_oneof![60 => select(vec!["a", "b", "c", "d"]), 1 => Just("")]
}

fn key_range() -> impl Strategy<Value = KeyRange> {
    let end = select(vec!["\0", "\0", "a", "b", "c", "d", "e"]);
    prop_oneof![
        2 => key().prop_map(KeyRange::key),
        2 => (key(), end).prop_map(|(key, end)| KeyRange::from_wire(key, end)),
        1 => Just(KeyRange::all()),
    ]
}

fn revision() -> impl Strategy<Value = Revision> {
    prop_oneof![4 => 0_i64..25, 1 => -2_i64..2].prop_map(Revision::new)
}

fn lease() -> impl Strategy<Value = LeaseId> {
    (1_i64..4).prop_map(LeaseId::new)
}

fn range() -> impl Strategy<Value = RangeRequest> {
    let at = prop_oneof![2 => Just(Revision::ZERO), 1 => revision()];
    let flag = || prop::bool::weighted(0.2);
    let bound = || prop_oneof![8 => Just(Revision::ZERO), 1 => revision()];
    let bounds = (bound(), bound(), bound(), bound());
    (key_range(), at, -1_i64..4, flag(), flag(), bounds, sort()).prop_map(
        |(range, at, limit, keys_only, count_only, bounds, (target, order))| {
            let mut request = RangeRequest::new(range)
                .with_revision(at)
                .with_limit(limit)
                .with_sort(target, order)
                .with_min_mod_revision(bounds.0)
                .with_max_mod_revision(bounds.1)
                .with_min_create_revision(bounds.2)
                .with_max_create_revision(bounds.3);
            request.keys_only = keys_only;
            request.count_only = count_only;
            request
        },
    )
}

fn sort() -> impl Strategy<Value = (SortTarget, SortOrder)> {
    let target = select(vec![
        SortTarget::Key,
        SortTarget::Version,
        SortTarget::CreateRevision,
        SortTarget::ModRevision,
        SortTarget::Value,
    ]);
    let order = select(vec![SortOrder::None, SortOrder::Ascend, SortOrder::Descend]);
    prop_oneof![1 => Just((SortTarget::Key, SortOrder::None)), 1 => (target, order)]
}

fn put() -> impl Strategy<Value = PutRequest> {
    let value = select(vec!["", "", "x", "y"]);
    let lease = prop_oneof![3 => Just(LeaseId::NONE), 1 => lease()];
    let flag = || prop::bool::weighted(0.15);
    (key(), value, lease, any::<bool>(), flag(), flag()).prop_map(
        |(key, value, lease, prev_kv, ignore_value, ignore_lease)| {
            let mut put = PutRequest::new(key, value).with_lease(lease);
            put.prev_kv = prev_kv;
            put.ignore_value = ignore_value;
            put.ignore_lease = ignore_lease;
            put
        },
    )
}

fn delete() -> impl Strategy<Value = DeleteRequest> {
    (key_range(), any::<bool>()).prop_map(|(range, prev_kv)| {
        let mut delete = DeleteRequest::new(range);
        delete.prev_kv = prev_kv;
        delete
    })
}

fn compare() -> impl Strategy<Value = Compare> {
    let target = prop_oneof![
        (0_i64..4).prop_map(CompareTarget::Version),
        revision().prop_map(CompareTarget::CreateRevision),
        revision().prop_map(CompareTarget::ModRevision),
        select(vec!["", "x", "y"]).prop_map(|value| CompareTarget::Value(value.into())),
        (0_i64..3).prop_map(|id| CompareTarget::Lease(LeaseId::new(id))),
    ];
    let result = select(vec![
        CompareResult::Equal,
        CompareResult::Greater,
        CompareResult::Less,
        CompareResult::NotEqual,
    ]);
    (key_range(), target, result)
        .prop_map(|(range, target, result)| Compare::new(range, target, result))
}

fn txn() -> impl Strategy<Value = TxnRequest> {
    let leaf = || {
        prop_oneof![
            3 => put().prop_map(TxnOp::from),
            2 => delete().prop_map(TxnOp::from),
            1 => range().prop_map(TxnOp::from),
        ]
    };
    let op = leaf().prop_recursive(
        3,
        12,
        3,
        move |op| prop_oneof![1 => leaf(), 2 => branches(op).prop_map(TxnOp::from)],
    );
    branches(op)
}

fn branches(op: impl Strategy<Value = TxnOp> + Clone) -> impl Strategy<Value = TxnRequest> {
    let ops = |max: usize| prop::collection::vec(op.clone(), 0..max);
    let compares = prop::collection::vec(compare(), 0..3);
    (compares, ops(4), ops(3)).prop_map(|(compares, success, failure)| TxnRequest {
        compares,
        success,
        failure,
    })
}

fn watch() -> impl Strategy<Value = WatchRequest> {
    (key_range(), revision(), any::<bool>()).prop_map(|(range, start, prev_kv)| {
        let mut request = WatchRequest::new(range, start);
        request.prev_kv = prev_kv;
        request
    })
}
