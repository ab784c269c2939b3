//! Transactions: branches, order, nesting, and all or nothing.

use std::sync::Arc;

use tailetc_core::LeaseId;
use tailetc_core::backend::{
    BackendErrorKind, DeleteRequest, Header, KeyRange, KvBackend, PutRequest, RangeRequest,
    TxnOpResponse, TxnRequest,
};

use super::support::{
    Store, absent, delete, delete_key, deleted, exists, inner, keys, nested, pair, put, ranged,
    read, refused_as_compacted, rev, text, written,
};

/// The success branch runs if all conditions hold, and only it.
///
/// Rules: T1, T15.
pub async fn txn_whose_conditions_hold_runs_success_only(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    store.put("a", "1").await;
    let txn = TxnRequest::new([put("yes", "")])
        .when([exists("a"), absent("b")])
        .otherwise([put("no", "")]);
    let response = store.txn(txn).await;
    assert!(response.succeeded);
    assert_eq!(response.responses.len(), 1);
    assert_eq!(keys(&store.all().await.kvs), ["a", "yes"]);
}

/// The failure branch runs if one condition does not hold, and only it; that is not an error.
///
/// Rules: T1, T15.
pub async fn txn_with_one_failed_condition_runs_failure_only(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    store.put("a", "1").await;
    let txn = TxnRequest::new([put("yes", "")])
        .when([exists("a"), exists("b")])
        .otherwise([put("no", ""), read("a")]);
    let response = store.txn(txn).await;
    assert!(!response.succeeded);
    assert_eq!(response.header.revision, rev(3));
    assert_eq!(response.responses.len(), 2);
    assert_eq!(keys(&store.all().await.kvs), ["a", "no"]);
}

/// A transaction of conditions alone answers whether they hold.
///
/// Rules: T1, T14.
pub async fn txn_without_operations_answers_its_conditions(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    store.put("a", "1").await;
    for (condition, holds) in [(exists("a"), true), (absent("a"), false)] {
        let response = store.txn(TxnRequest::default().when([condition])).await;
        assert_eq!(response.succeeded, holds);
        assert_eq!(response.responses, []);
        assert_eq!(response.header.revision, rev(2));
    }
}

/// There is one answer for each operation, of its kind and at its place.
///
/// Rules: T7.
pub async fn txn_answers_each_operation_in_its_place(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    store.put("b", "1").await;
    let response = store.run([read("b"), put("a", "1"), delete_key("b")]).await;
    assert_eq!(response.responses.len(), 3);
    assert_eq!(ranged(&response, 0).kvs, [pair("b", "1", 2, 2, 1)]);
    assert_eq!(written(&response, 1).prev_kv, None);
    assert_eq!(deleted(&response, 2).deleted, 1);
}

/// A range sees what earlier operations wrote, with the revision that the transaction takes, and
/// not what later ones write.
///
/// Rules: T7.
pub async fn range_in_a_txn_sees_earlier_operations(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    store.put("a", "1").await;
    let all = || RangeRequest::new(KeyRange::all()).into();
    let response = store
        .run([
            all(),
            put("a", "2"),
            all(),
            put("b", "1"),
            delete(KeyRange::span("c", "d")),
            all(),
            delete(KeyRange::from_key("b")),
            all(),
        ])
        .await;
    let (before, a, b) =
        (pair("a", "1", 2, 2, 1), pair("a", "2", 2, 3, 2), pair("b", "1", 3, 3, 1));
    assert_eq!(ranged(&response, 0).kvs, [before]);
    assert_eq!(ranged(&response, 5).kvs, [a.clone(), b]);
    for index in [2, 7] {
        assert_eq!(ranged(&response, index).kvs, std::slice::from_ref(&a));
    }
    assert_eq!(ranged(&response, 7).count, 1);
}

/// Ranges within a transaction carry the revision before its first change, and its own after.
///
/// Rules: R10, T7.
pub async fn range_in_a_txn_carries_the_revision_so_far(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    let response = store.run([read("a"), put("a", "1"), read("a")]).await;
    let headers = [0, 2].map(|index| ranged(&response, index).header);
    let only = |revision| Header { revision: rev(revision), ..Header::default() };
    assert_eq!(headers, [only(1), only(2)]);
}

/// Limit, filter and old revisions work within a transaction as outside.
///
/// Rules: G4, T7.
pub async fn range_in_a_txn_takes_all_its_options(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    for key in ["a", "b", "c"] {
        store.put(key, key).await;
    }
    let all = RangeRequest::new(KeyRange::all());
    let response = store
        .run([
            put("d", "d"),
            all.clone().with_limit(2).into(),
            all.clone().with_revision(rev(3)).into(),
            all.clone().with_min_mod_revision(rev(4)).into(),
            all.clone().with_count_only().into(),
            all.with_keys_only().with_limit(1).into(),
        ])
        .await;
    let limited = ranged(&response, 1);
    assert_eq!(keys(&limited.kvs), ["a", "b"]);
    assert_eq!((limited.count, limited.more), (4, true));
    assert_eq!(keys(&ranged(&response, 2).kvs), ["a", "b"]);
    assert_eq!(keys(&ranged(&response, 3).kvs), ["c", "d"]);
    assert_eq!(ranged(&response, 3).count, 4);
    assert_eq!(ranged(&response, 4).count, 4);
    assert_eq!(ranged(&response, 5).kvs, [pair("a", "", 2, 2, 1)]);
}

/// A range at the revision before the transaction does not see the transaction's writes.
///
/// Rules: G2, T7.
pub async fn range_in_a_txn_at_the_revision_before_it_does_not_see_its_writes(
    backend: Arc<dyn KvBackend>,
) {
    let store = Store::new(backend);
    store.put("a", "1").await;
    let before = RangeRequest::new(KeyRange::all()).with_revision(rev(2));
    let response = store.run([put("a", "2"), put("b", "1"), before.into()]).await;
    assert_eq!(ranged(&response, 2).kvs, [pair("a", "1", 2, 2, 1)]);
}

/// Within a transaction a negative revision is one below the compaction revision, unlike outside;
/// a store that was never compacted has that at -1 and reads its current state there.
///
/// Rules: G2, R1.
pub async fn range_in_a_txn_at_a_negative_revision_is_compacted(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    store.put("a", "1").await;
    let at = |revision| RangeRequest::new(KeyRange::key("a")).with_revision(rev(revision));
    let response = store.run([at(-1).into()]).await;
    assert_eq!(ranged(&response, 0).count, 1);
    refused_as_compacted(store.try_run([at(-2).into()]).await, -1);
    store.compact(2).await;
    refused_as_compacted(store.try_run([at(-1).into()]).await, 2);
}

/// Overlapping deletions are allowed; the second meets what the first left.
///
/// Rules: T10, P5.
pub async fn deletions_in_a_txn_may_overlap(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    store.run(["a", "b", "c"].map(|key| put(key, ""))).await;
    let response = store
        .run([delete(KeyRange::span("a", "c")), delete_key("a"), delete(KeyRange::all())])
        .await;
    let counts = [0, 1, 2].map(|index| deleted(&response, index).deleted);
    assert_eq!(counts, [2, 0, 1]);
    assert_eq!(response.header.revision, rev(3));
}

/// A nested transaction runs the branch of its own conditions and answers for it; the header of
/// its answer is empty.
///
/// Rules: R9, T1.
pub async fn nested_txn_runs_its_own_branch(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    store.put("a", "1").await;
    let choose = |condition| {
        TxnRequest::new([read("a")]).when([condition]).otherwise([read("x"), read("y")])
    };
    let response = store.run([choose(exists("a")).into(), choose(absent("a")).into()]).await;
    let (yes, no) = (inner(&response, 0), inner(&response, 1));
    assert!(yes.succeeded && !no.succeeded);
    assert_eq!((yes.responses.len(), no.responses.len()), (1, 2));
    assert_eq!([yes.header, no.header], [Header::default(); 2]);
}

/// A nested transaction sees what its parent wrote before, but its conditions do not: every
/// condition of the whole tree looks at the state before the transaction.
///
/// Rules: T6.
pub async fn nested_conditions_look_at_the_state_before_the_txn(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    let check = TxnRequest::new([]).when([exists("a")]).otherwise([read("a")]);
    let response = store.run([put("a", "1"), check.into()]).await;
    let inner = inner(&response, 1);
    assert!(!inner.succeeded, "the condition saw the parent's write");
    assert_eq!(ranged(inner, 0).kvs, [pair("a", "1", 2, 2, 1)]);
}

/// Nesting may go several levels deep; all of it is one transaction at one revision.
///
/// Rules: R2, T7.
pub async fn nested_txns_of_several_levels_are_one_txn(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    let deepest = nested([put("d", "4"), read("a")]);
    let response =
        store.run([put("a", "1"), nested([put("b", "2"), nested([put("c", "3"), deepest])])]).await;
    assert_eq!(response.header.revision, rev(2));
    let deepest = inner(inner(inner(&response, 1), 1), 1);
    assert_eq!(ranged(deepest, 1).kvs, [pair("a", "1", 2, 2, 1)]);
    let all = store.all().await.kvs;
    assert_eq!(keys(&all), ["a", "b", "c", "d"]);
    assert!(all.iter().all(|kv| kv.mod_revision == rev(2)));
}

/// A branch that is not chosen may hold what would be refused at run time.
///
/// Rules: T8.
pub async fn txn_does_not_run_into_the_branch_not_chosen(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    let unknown_lease = PutRequest::new("a", "1").with_lease(LeaseId::new(404));
    let absent_key = PutRequest::new("b", "").with_ignore_value();
    let future = RangeRequest::new(KeyRange::key("a")).with_revision(rev(99));
    let txn = TxnRequest::new([put("c", "1")]).otherwise([
        unknown_lease.into(),
        absent_key.into(),
        future.into(),
    ]);
    assert!(store.txn(txn).await.succeeded);
}

/// A put of an unknown lease fails the whole transaction.
///
/// Rules: P3, T8.
pub async fn txn_with_an_unknown_lease_changes_nothing(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    store.put("a", "1").await;
    let leased = PutRequest::new("c", "1").with_lease(LeaseId::new(404));
    let ops = || [put("b", "1"), delete_key("a"), leased.clone().into()];
    let kind = BackendErrorKind::LeaseNotFound;
    for txn in [TxnRequest::new(ops()), TxnRequest::new([nested(ops())])] {
        store.refuses(txn, kind, text::LEASE_NOT_FOUND).await;
    }
}

/// A range at a revision that the store had not reached before the transaction fails all of it,
/// even if the transaction itself takes that revision.
///
/// Rules: G2, T8.
pub async fn txn_with_a_range_in_the_future_changes_nothing(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    store.put("a", "1").await;
    for revision in [3, 9] {
        let future = RangeRequest::new(KeyRange::key("a")).with_revision(rev(revision));
        let txn = TxnRequest::new([put("b", "1"), future.into()]);
        store.refuses(txn, BackendErrorKind::FutureRevision, text::FUTURE).await;
    }
}

/// A range below the compaction revision fails the whole transaction.
///
/// Rules: G2, T8.
pub async fn txn_with_a_compacted_range_changes_nothing(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    for value in ["1", "2", "3"] {
        store.put("a", value).await;
    }
    store.compact(3).await;
    let at = |revision| RangeRequest::new(KeyRange::key("a")).with_revision(rev(revision));
    let before = store.all().await;
    let refusal = store.try_run([put("b", "1"), at(2).into()]).await;
    refused_as_compacted(refusal, 3);
    let negative = store.try_run([put("b", "1"), at(-2).into()]).await;
    refused_as_compacted(negative, 3);
    assert_eq!(store.all().await, before);
    let allowed = store.run([put("b", "1"), at(3).into()]).await;
    assert_eq!(ranged(&allowed, 1).kvs, [pair("a", "2", 2, 3, 2)]);
}

/// A deletion and a put of two keys are seen together or not at all, with their revision.
///
/// Rules: R2, G2.
pub async fn txn_moves_a_key_at_one_revision(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    store.put("from", "v").await;
    let moved = TxnRequest::new([delete_key("from"), put("to", "v")]).when([exists("from")]);
    assert!(store.txn(moved.clone()).await.succeeded);
    assert!(!store.txn(moved).await.succeeded, "it was moved already");
    for (revision, key) in [(2, "from"), (3, "to")] {
        let at = RangeRequest::new(KeyRange::all()).with_revision(rev(revision));
        assert_eq!(keys(&store.range(at).await.kvs), [key]);
    }
}

/// Operations answer what was asked of them in the failure branch, too.
///
/// Rules: P4, P5, T15.
pub async fn txn_failure_branch_answers_prev_kvs(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    store.run([put("a", "1"), put("b", "2")]).await;
    let txn = TxnRequest::new([]).when([absent("a")]).otherwise([
        PutRequest::new("a", "3").with_prev_kv().into(),
        DeleteRequest::new(KeyRange::key("b")).with_prev_kv().into(),
    ]);
    let response = store.txn(txn).await;
    assert_eq!(written(&response, 0).prev_kv, Some(pair("a", "1", 2, 2, 1)));
    assert_eq!(deleted(&response, 1).prev_kvs, [pair("b", "2", 2, 2, 1)]);
}

/// The answer of a transaction that does not change anything shows the current revision.
///
/// Rules: G3, T13.
pub async fn txn_that_only_reads_shows_the_current_revision(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    store.put("a", "1").await;
    store.put("a", "2").await;
    let response = store.run([read("a"), read("b")]).await;
    assert_eq!(response.header.revision, rev(3));
    let TxnOpResponse::Range(last) = &response.responses[1] else {
        panic!("the answer to a range: {response:?}");
    };
    assert_eq!((last.count, last.header.revision), (0, rev(3)));
}
