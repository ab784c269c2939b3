//! What is refused before anything runs: limits, keys written twice, and which refusal comes
//! first (etcd: `server/etcdserver/api/v3rpc/key.go`).

use std::sync::Arc;

use bytes::Bytes;
use tailetc_core::LeaseId;
use tailetc_core::backend::{
    BackendErrorKind, Compare, CompareResult, CompareTarget, KeyRange, KvBackend, PutRequest,
    TxnOp, TxnRequest,
};

use super::support::{
    Store, absent, delete, delete_key, nested, put, ranged, read, refused, rev, text,
};

use BackendErrorKind::{DuplicateKey, InvalidRequest, RequestTooLarge, TooManyOps};

fn puts(count: usize) -> Vec<TxnOp> {
    (0..count).map(|n| put(format!("k{n:05}"), "")).collect()
}

async fn too_many(store: &Store, txn: TxnRequest) {
    store.refuses(txn, TooManyOps, text::TOO_MANY_OPS).await;
}

async fn duplicate(store: &Store, ops: Vec<TxnOp>) {
    let txn = TxnRequest::new(ops.clone());
    store.refuses(txn, DuplicateKey, text::DUPLICATE_KEY).await;
    let unchosen = TxnRequest::default().otherwise(ops);
    store.refuses(unchosen, DuplicateKey, text::DUPLICATE_KEY).await;
}

/// Operations up to the limit are taken, in each branch; one more is refused, even in the branch
/// that is not chosen.
///
/// Rules: T9, X-B.
pub async fn txn_with_more_operations_than_the_limit_is_refused(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    let limit = store.capabilities().max_txn_ops;
    let full = TxnRequest::new(puts(limit)).otherwise(puts(limit));
    let response = store.txn(full).await;
    assert_eq!(response.responses.len(), limit);
    assert_eq!(store.all().await.count as usize, limit);
    too_many(&store, TxnRequest::new(puts(limit + 1))).await;
    too_many(&store, TxnRequest::default().otherwise(puts(limit + 1))).await;
}

/// Conditions up to the limit are taken; one more is refused.
///
/// Rules: T9.
pub async fn txn_with_more_compares_than_the_limit_is_refused(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    let limit = store.capabilities().max_txn_ops;
    let compares = |count| vec![absent("x"); count];
    let full = TxnRequest::new([put("a", "1")]).when(compares(limit));
    assert!(store.txn(full).await.succeeded);
    let more = TxnRequest::new([put("a", "2")]).when(compares(limit + 1));
    too_many(&store, more).await;
}

/// Ranges count as operations.
///
/// Rules: T9.
pub async fn txn_with_more_ranges_than_the_limit_is_refused(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    let limit = store.capabilities().max_txn_ops;
    too_many(&store, TxnRequest::new(vec![read("a"); limit + 1])).await;
    let full = store.run(vec![read("a"); limit]).await;
    assert_eq!(full.responses.len(), limit);
}

/// A nested transaction has what its parent's longest list leaves of the limit.
///
/// Rules: T9.
pub async fn nested_txn_has_the_rest_of_the_limit(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    let limit = store.capabilities().max_txn_ops;
    store.run([nested(puts(limit - 1))]).await;
    too_many(&store, TxnRequest::new([nested(puts(limit))])).await;
    let guarded = |count| TxnRequest::new([nested(puts(count))]).when(vec![absent("x"); 28]);
    store.txn(guarded(limit - 28)).await;
    too_many(&store, guarded(limit - 27)).await;
    let deeper = |count| TxnRequest::new([nested([nested(puts(count))])]);
    store.txn(deeper(limit - 2)).await;
    too_many(&store, deeper(limit - 1)).await;
}

/// Two nested transactions do not share the limit.
///
/// Rules: T9.
pub async fn nested_txns_side_by_side_have_a_limit_each(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    let limit = store.capabilities().max_txn_ops;
    let reads = || nested(vec![read("a"); limit - 2]);
    let response = store.run([reads(), reads()]).await;
    assert_eq!(response.responses.len(), 2);
}

/// A key may be put once in a branch.
///
/// Rules: T10, X-B.
pub async fn txn_that_puts_a_key_twice_is_refused(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    duplicate(&store, vec![put("a", "1"), put("a", "2")]).await;
    duplicate(&store, vec![put("a", "1"), put("b", "1"), put("a", "1")]).await;
    store.run([put("a", "1"), put("a\0", "2")]).await;
}

/// The two branches of a transaction may put the same key.
///
/// Rules: T10, X-X.
pub async fn txn_branches_may_put_the_same_key(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    let both = || TxnRequest::new([put("a", "1")]).otherwise([put("a", "2"), delete_key("b")]);
    assert!(store.txn(both()).await.succeeded);
    store.run([both().into(), put("c", "1")]).await;
    assert_eq!(store.revision().await, rev(3));
}

/// A put and a deletion that covers it exclude each other, in either order.
///
/// Rules: T10, X-X.
pub async fn txn_that_puts_and_deletes_a_key_is_refused(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    store.put("a", "1").await;
    for covering in [
        KeyRange::key("b"),
        KeyRange::span("a", "c"),
        KeyRange::span("b", "b\0"),
        KeyRange::prefix("b"),
    ] {
        let (put, delete) = (|| put("b", "1"), || delete(covering.clone()));
        duplicate(&store, vec![put(), delete()]).await;
        duplicate(&store, vec![delete(), put()]).await;
    }
}

/// A put beside a deletion that does not cover it is taken; an empty or reversed range covers
/// nothing.
///
/// Rules: T10, X-X.
pub async fn txn_that_puts_beside_a_deletion_is_taken(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    for beside in [
        KeyRange::key("a"),
        KeyRange::span("a", "b"),
        KeyRange::span("b\0", "c"),
        KeyRange::from_wire("b", "b"),
        KeyRange::span("c", "a"),
        KeyRange::prefix("bb"),
    ] {
        store.run([put("b", "1"), delete(beside.clone())]).await;
        store.run([delete(beside), put("b", "1")]).await;
    }
    assert_eq!(store.existing("b").await.version, 12);
}

/// A deletion of everything from a key on is not seen by the check for duplicate keys: operations
/// run in order and the last wins.
///
/// Rules: T10, T11, X-X.
pub async fn txn_that_puts_and_deletes_from_a_key_on_is_taken(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    let from_a = || delete(KeyRange::from_key("a"));
    store.run([put("b", "1"), from_a()]).await;
    assert_eq!(store.get("b").await, None);
    store.run([from_a(), put("b", "2")]).await;
    assert_eq!(store.existing("b").await.value, "2");
    store.run([nested([from_a()]), put("b", "3")]).await;
    assert_eq!(store.existing("b").await.version, 1);
    store.run([nested([from_a()]), nested([put("b", "4")])]).await;
    assert_eq!(store.existing("b").await.value, "4");
}

/// Nested puts conflict with the puts and deletions of the parent, whichever branch holds them
/// and in either order.
///
/// Rules: T10, X-X.
pub async fn nested_put_of_a_key_that_the_parent_writes_is_refused(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    let inner = || -> [TxnOp; 2] {
        [
            TxnRequest::new([put("a", "2")]).into(),
            TxnRequest::default().otherwise([put("a", "2")]).into(),
        ]
    };
    for outer in [put("a", "1"), delete_key("a"), delete(KeyRange::prefix("a"))] {
        for inner in inner() {
            duplicate(&store, vec![outer.clone(), inner.clone()]).await;
            duplicate(&store, vec![inner.clone(), outer.clone()]).await;
            duplicate(&store, vec![nested([inner]), outer.clone()]).await;
        }
    }
}

/// Nested deletions conflict with the puts of the parent, in either order and at any depth.
///
/// Rules: T10, X-X.
pub async fn nested_deletion_of_a_key_that_the_parent_puts_is_refused(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    let covers = || delete(KeyRange::span("a", "b"));
    for inner in [nested([covers()]), TxnRequest::default().otherwise([covers()]).into()] {
        duplicate(&store, vec![put("a", "1"), inner.clone()]).await;
        duplicate(&store, vec![inner.clone(), put("a", "1")]).await;
        duplicate(&store, vec![nested([inner.clone()]), put("a", "1")]).await;
        store.run([delete_key("a"), inner]).await;
    }
}

/// Of two nested transactions side by side, the later must not put what the earlier puts or
/// deletes; but it may delete what the earlier puts.
///
/// Rules: T10, X-X.
pub async fn nested_txns_side_by_side_conflict_by_later_puts(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    let (puts, deletes) = (|| nested([put("a", "1")]), || nested([delete_key("a")]));
    duplicate(&store, vec![puts(), puts()]).await;
    duplicate(&store, vec![deletes(), puts()]).await;
    store.run([deletes(), deletes()]).await;
    assert_eq!(store.run([puts(), deletes()]).await.header.revision, rev(2));
    assert_eq!(store.get("a").await, None);
}

/// The number of operations is looked at before their keys, and these before duplicates.
///
/// Rules: T9, X-A.
pub async fn refusal_for_many_operations_comes_before_empty_and_duplicate_keys(
    backend: Arc<dyn KvBackend>,
) {
    let store = Store::new(backend);
    let limit = store.capabilities().max_txn_ops;
    let empty = Compare::new(KeyRange::key(""), CompareTarget::Version(0), CompareResult::Equal);
    too_many(&store, TxnRequest::new(puts(limit + 1)).when([empty])).await;
    let same = vec![put("a", ""); limit + 1];
    too_many(&store, TxnRequest::new(same)).await;
    let duplicate_then_empty = TxnRequest::new([put("a", "1"), put("a", "2"), put("", "3")]);
    store.refuses(duplicate_then_empty, InvalidRequest, text::EMPTY_KEY).await;
}

/// An empty key comes before an unknown lease, and so does a duplicate key.
///
/// Rules: P3, X-A.
pub async fn refusal_for_unknown_lease_comes_after_those_for_keys(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    let leased = |key: &'static str| -> TxnOp {
        PutRequest::new(key, "1").with_lease(LeaseId::new(404)).into()
    };
    let empty = TxnRequest::new([leased("")]);
    store.refuses(empty, InvalidRequest, text::EMPTY_KEY).await;
    let twice = TxnRequest::new([leased("a"), leased("a")]);
    store.refuses(twice, DuplicateKey, text::DUPLICATE_KEY).await;
}

/// Of a put that keeps and gives both value and lease, the value is complained of.
///
/// Rules: P1, X-A.
pub async fn refusal_for_a_given_value_comes_before_that_for_a_lease(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    let both = PutRequest::new("a", "1")
        .with_ignore_value()
        .with_lease(LeaseId::new(404))
        .with_ignore_lease();
    let txn = TxnRequest::new([both.clone().into()]);
    store.refuses(txn, InvalidRequest, text::VALUE_PROVIDED).await;
    let mut empty = both;
    empty.key = Bytes::new();
    let txn = TxnRequest::new([empty.into()]);
    store.refuses(txn, InvalidRequest, text::EMPTY_KEY).await;
}

/// Of the operations of a branch, the first bad one is complained of, nested ones in their place,
/// and the success branch before the failure branch.
///
/// Rules: X-A.
pub async fn refusal_names_the_first_bad_operation(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    let empty = || put("", "");
    let keeps = || -> TxnOp { PutRequest::new("a", "1").with_ignore_value().into() };
    for (txn, expected) in [
        (TxnRequest::new([empty(), keeps()]), text::EMPTY_KEY),
        (TxnRequest::new([keeps(), empty()]), text::VALUE_PROVIDED),
        (TxnRequest::new([nested([keeps()]), empty()]), text::VALUE_PROVIDED),
        (TxnRequest::new([keeps()]).otherwise([empty()]), text::VALUE_PROVIDED),
        (TxnRequest::new([read("a")]).otherwise([empty()]), text::EMPTY_KEY),
    ] {
        store.refuses(txn, InvalidRequest, expected).await;
    }
}

/// A put whose transaction has `encoded_len` as near to `size` as can be, never above.
fn put_of_size(size: usize) -> TxnRequest {
    let of_value = |len: usize| TxnRequest::new([put("a", vec![b'x'; len])]);
    let overhead = of_value(size).encoded_len() - size;
    of_value(size - overhead)
}

/// A write nearly as large as the limit is taken whole. (The limit counts the request as it is
/// logged, which adds some 20 bytes.)
///
/// Rules: T16.
pub async fn write_just_below_the_size_limit_is_taken(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    let txn = put_of_size(store.capabilities().max_request_bytes - 64);
    let Some(TxnOp::Put(request)) = txn.success.first().cloned() else {
        panic!("a put: {}", txn.op_count());
    };
    store.txn(txn).await;
    let kv = store.existing("a").await;
    assert!(kv.value == request.value, "{} bytes", kv.value.len());
}

/// A write above the limit is refused and leaves no trace.
///
/// Rules: T16, X-B.
pub async fn write_above_the_size_limit_is_refused(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    store.put("a", "1").await;
    let limit = store.capabilities().max_request_bytes;
    let half = || Bytes::from(vec![b'x'; limit / 2 + 1]);
    let two_halves = TxnRequest::new([put("a", half()), put("b", half())]);
    for txn in [put_of_size(limit + 1), two_halves] {
        store.refuses(txn, RequestTooLarge, text::TOO_LARGE).await;
    }
}

/// A write several times the limit is refused as too large, whatever layer notices it.
///
/// Rules: T16.
pub async fn write_far_above_the_size_limit_is_refused(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    let limit = store.capabilities().max_request_bytes;
    let result = store.try_txn(put_of_size(3 * limit)).await;
    let kind = result.as_ref().map_err(|error| error.kind());
    assert_eq!(kind.err(), Some(RequestTooLarge), "{result:?}");
    assert_eq!(store.revision().await, rev(1));
}

/// The limit is for writes: a transaction that only reads may be larger.
///
/// Rules: T16.
pub async fn read_above_the_size_limit_is_taken(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    store.put("a", "1").await;
    let limit = store.capabilities().max_request_bytes;
    let large = CompareTarget::Value(vec![b'x'; limit + 1].into());
    let condition = Compare::new(KeyRange::key("a"), large, CompareResult::Equal);
    let txn = TxnRequest::default().when([condition]).otherwise([read("a")]);
    let response = store.txn(txn).await;
    assert!(!response.succeeded);
    assert_eq!(ranged(&response, 0).count, 1);
}

/// Malformed and duplicate requests are refused as such whatever their size; an unknown lease is
/// looked up only in requests that are small enough.
///
/// Rules: T16, X-A.
pub async fn refusal_for_size_comes_after_validation_and_before_leases(
    backend: Arc<dyn KvBackend>,
) {
    let store = Store::new(backend);
    let limit = store.capabilities().max_request_bytes;
    let large = || Bytes::from(vec![b'x'; limit + 1]);
    let keeps = PutRequest::new("a", large()).with_ignore_value();
    let result = store.try_run([keeps.into()]).await;
    refused(result, InvalidRequest, text::VALUE_PROVIDED);
    let result = store.try_run([put("a", large()), put("a", "")]).await;
    refused(result, DuplicateKey, text::DUPLICATE_KEY);
    let leased = PutRequest::new("a", large()).with_lease(LeaseId::new(404));
    let result = store.try_run([leased.into()]).await;
    refused(result, RequestTooLarge, text::TOO_LARGE);
    assert_eq!(store.revision().await, rev(1));
}
