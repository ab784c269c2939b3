//! Conditions of transactions.

use std::cmp::Ordering;
use std::sync::Arc;

use bytes::Bytes;
use tailetc_core::backend::{
    BackendErrorKind, Compare, CompareResult, CompareTarget, KeyRange, KvBackend, TxnRequest,
};
use tailetc_core::{LeaseId, Revision};

use super::support::{Store, absent, delete, exists, put, rev, text};

const RESULTS: [CompareResult; 4] =
    [CompareResult::Equal, CompareResult::NotEqual, CompareResult::Greater, CompareResult::Less];

fn holds(actual_to_given: Ordering, result: CompareResult) -> bool {
    match result {
        CompareResult::Equal => actual_to_given.is_eq(),
        CompareResult::NotEqual => actual_to_given.is_ne(),
        CompareResult::Greater => actual_to_given.is_gt(),
        CompareResult::Less => actual_to_given.is_lt(),
    }
}

async fn asserts(store: &Store, compare: Compare, expected: bool) {
    let context = format!("{compare:?}");
    let answer = store.txn(TxnRequest::default().when([compare])).await;
    assert_eq!(answer.succeeded, expected, "{context}");
}

/// Every result of comparing the number of `key` with numbers around its `actual` one.
async fn numbers(
    store: &Store,
    key: &'static str,
    target: impl Fn(i64) -> CompareTarget,
    actual: i64,
) {
    for given in [i64::MIN, actual - 1, actual, actual + 1, i64::MAX] {
        for result in RESULTS {
            let compare = Compare::new(KeyRange::key(key), target(given), result);
            asserts(store, compare, holds(actual.cmp(&given), result)).await;
        }
    }
}

/// `a` at create revision 2, mod revision 4, version 3.
async fn key_written_three_times(backend: Arc<dyn KvBackend>) -> Store {
    let store = Store::new(backend);
    for value in ["1", "2", "m"] {
        store.put("a", value).await;
    }
    store
}

/// Versions compare as numbers; an absent key has version 0.
///
/// Rules: T2, T3.
pub async fn compare_of_version_follows_the_number(backend: Arc<dyn KvBackend>) {
    let store = key_written_three_times(backend).await;
    numbers(&store, "a", CompareTarget::Version, 3).await;
    numbers(&store, "absent", CompareTarget::Version, 0).await;
}

/// Create revisions compare as numbers; an absent key has 0.
///
/// Rules: T2, T3.
pub async fn compare_of_create_revision_follows_the_number(backend: Arc<dyn KvBackend>) {
    let store = key_written_three_times(backend).await;
    let target = |n| CompareTarget::CreateRevision(rev(n));
    numbers(&store, "a", target, 2).await;
    numbers(&store, "absent", target, 0).await;
}

/// Mod revisions compare as numbers; an absent key has 0.
///
/// Rules: T2, T3.
pub async fn compare_of_mod_revision_follows_the_number(backend: Arc<dyn KvBackend>) {
    let store = key_written_three_times(backend).await;
    let target = |n| CompareTarget::ModRevision(rev(n));
    numbers(&store, "a", target, 4).await;
    numbers(&store, "absent", target, 0).await;
}

/// Leases compare as numbers; a key without one, and an absent key, have 0.
///
/// Rules: T2, T3.
pub async fn compare_of_lease_follows_the_number(backend: Arc<dyn KvBackend>) {
    let store = key_written_three_times(backend).await;
    let lease = store.grant(70, 60).await.id;
    store.put_with_lease("leased", lease).await;
    let target = |n| CompareTarget::Lease(LeaseId::new(n));
    numbers(&store, "leased", target, 70).await;
    numbers(&store, "a", target, 0).await;
    numbers(&store, "absent", target, 0).await;
}

/// Values compare bytewise, a prefix before what it is a prefix of.
///
/// Rules: T2, T5.
pub async fn compare_of_value_is_bytewise(backend: Arc<dyn KvBackend>) {
    let store = key_written_three_times(backend).await;
    let given: [&[u8]; 8] = [b"", b"\0", b"l\xff", b"m", b"m\0", b"mm", b"n", b"\xff\xff"];
    for given in given {
        for result in RESULTS {
            let target = CompareTarget::Value(Bytes::from_static(given));
            let compare = Compare::new(KeyRange::key("a"), target, result);
            asserts(&store, compare, holds(b"m"[..].cmp(given), result)).await;
        }
    }
}

/// Every comparison of the value of an absent key is false, that for difference too.
///
/// Rules: T3.
pub async fn compare_of_value_of_an_absent_key_is_false(backend: Arc<dyn KvBackend>) {
    let store = key_written_three_times(backend).await;
    for given in ["", "m"] {
        for result in RESULTS {
            let target = CompareTarget::Value(given.into());
            let compare = Compare::new(KeyRange::key("absent"), target, result);
            asserts(&store, compare, false).await;
        }
    }
}

/// An empty value is a value and not an absent key.
///
/// Rules: T3, T5.
pub async fn compare_of_an_empty_value_tells_it_from_an_absent_key(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    store.put("a", "").await;
    let empty = |key| {
        let target = CompareTarget::Value(Bytes::new());
        Compare::new(KeyRange::key(key), target, CompareResult::Equal)
    };
    asserts(&store, empty("a"), true).await;
    asserts(&store, empty("absent"), false).await;
}

/// A deleted key compares as absent, whatever it was before.
///
/// Rules: R6, T3.
pub async fn compare_of_a_deleted_key_sees_it_absent(backend: Arc<dyn KvBackend>) {
    let store = key_written_three_times(backend).await;
    store.delete(KeyRange::key("a")).await;
    asserts(&store, absent("a"), true).await;
    asserts(&store, exists("a"), false).await;
    numbers(&store, "a", CompareTarget::Version, 0).await;
    let any = CompareTarget::Value("".into());
    let compare = Compare::new(KeyRange::key("a"), any, CompareResult::NotEqual);
    asserts(&store, compare, false).await;
}

/// Conditions are joined by "and"; none at all hold.
///
/// Rules: T1.
pub async fn compares_must_all_hold(backend: Arc<dyn KvBackend>) {
    let store = key_written_three_times(backend).await;
    let (yes, no) = (|| exists("a"), || absent("a"));
    for (compares, expected) in [
        (vec![], true),
        (vec![yes()], true),
        (vec![yes(), yes(), absent("b")], true),
        (vec![yes(), no()], false),
        (vec![no(), yes()], false),
        (vec![no(), no()], false),
    ] {
        let answer = store.txn(TxnRequest::default().when(compares)).await;
        assert_eq!(answer.succeeded, expected);
    }
}

/// A condition on a range holds if it does for every key of the range.
///
/// Rules: T4.
pub async fn compare_of_a_range_must_hold_for_every_key(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    for key in ["p/1", "p/2", "p/3", "q"] {
        store.put(key, "same").await;
    }
    store.put("p/2", "other").await;
    let value = |range, result| Compare::new(range, CompareTarget::Value("same".into()), result);
    let equal = CompareResult::Equal;
    asserts(&store, value(KeyRange::prefix("p/"), equal), false).await;
    asserts(&store, value(KeyRange::span("p/1", "p/2"), equal), true).await;
    asserts(&store, value(KeyRange::from_key("p/3"), equal), true).await;
    asserts(&store, value(KeyRange::from_key("p/2"), equal), false).await;
    let differs = CompareResult::NotEqual;
    asserts(&store, value(KeyRange::span("p/2", "p/3"), differs), true).await;
    asserts(&store, value(KeyRange::prefix("p/"), differs), false).await;
    let version = |result| Compare::new(KeyRange::all(), CompareTarget::Version(2), result);
    asserts(&store, version(CompareResult::Less), false).await;
    let any = Compare::new(KeyRange::all(), CompareTarget::Version(0), CompareResult::Greater);
    asserts(&store, any, true).await;
}

/// A range without keys, be it that none exist or that it is reversed, compares as one absent key.
///
/// Rules: T4, X-C.
pub async fn compare_of_a_range_without_keys_is_that_of_an_absent_key(backend: Arc<dyn KvBackend>) {
    let store = key_written_three_times(backend).await;
    for range in [
        KeyRange::prefix("nothing/"),
        KeyRange::from_key("b"),
        KeyRange::span("b", "a"),
        KeyRange::from_wire("a", "a"),
    ] {
        for result in RESULTS {
            let version = |n| Compare::new(range.clone(), CompareTarget::Version(n), result);
            asserts(&store, version(0), holds(Ordering::Equal, result)).await;
            asserts(&store, version(1), holds(Ordering::Less, result)).await;
            let value = CompareTarget::Value("m".into());
            asserts(&store, Compare::new(range.clone(), value, result), false).await;
        }
    }
}

/// "Not written since" notices creations and updates in the range, and nothing outside it.
///
/// Rules: T4.
pub async fn compare_of_a_range_notices_later_writes(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    store.run([put("p/1", ""), put("p/2", "")]).await;
    let unwritten = |since| Compare::unwritten_since(KeyRange::prefix("p/"), rev(since));
    asserts(&store, unwritten(2), true).await;
    asserts(&store, unwritten(1), false).await;
    store.put("q", "").await;
    asserts(&store, unwritten(2), true).await;
    store.put("p/3", "").await;
    asserts(&store, unwritten(3), false).await;
    store.put("p/1", "").await;
    asserts(&store, unwritten(4), false).await;
    asserts(&store, unwritten(5), true).await;
}

/// Conditions look at the state before the transaction.
///
/// Rules: T6.
pub async fn compare_does_not_see_the_writes_of_its_txn(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    store.put("a", "1").await;
    let txn = TxnRequest::new([delete(KeyRange::key("a")), put("b", "1")])
        .when([exists("a"), absent("b")]);
    assert!(store.txn(txn.clone()).await.succeeded);
    assert!(!store.txn(txn).await.succeeded);
    assert_eq!(store.revision().await, rev(3));
}

/// The usual guard: a write only if the key is as it was read.
///
/// Rules: T2.
pub async fn compare_of_mod_revision_guards_a_write(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    let guarded = |revision, value: &'static str| {
        TxnRequest::new([put("a", value)]).when([Compare::mod_revision("a", revision)])
    };
    assert!(store.txn(guarded(Revision::ZERO, "1")).await.succeeded);
    assert!(!store.txn(guarded(Revision::ZERO, "2")).await.succeeded);
    assert!(store.txn(guarded(rev(2), "3")).await.succeeded);
    assert!(!store.txn(guarded(rev(2), "4")).await.succeeded);
    assert_eq!(store.existing("a").await.value, "3");
}

/// A condition needs a key.
///
/// Rules: R8, X-B.
pub async fn compare_of_an_empty_key_is_refused(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    for range in [KeyRange::key(""), KeyRange::from_wire("", "b")] {
        let compare = Compare::new(range, CompareTarget::Version(0), CompareResult::Equal);
        let txn = TxnRequest::new([put("a", "1")]).when([compare]);
        store.refuses(txn, BackendErrorKind::InvalidRequest, text::EMPTY_KEY).await;
    }
}
