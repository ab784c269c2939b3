//! Single writes.

use std::sync::Arc;

use bytes::Bytes;
use tailetc_core::LeaseId;
use tailetc_core::backend::{
    BackendErrorKind, DeleteRequest, KeyRange, KvBackend, PutRequest, TxnRequest,
};

use super::support::{Store, delete, deleted, keys, nested, pair, put, rev, text, written};

/// Any bytes are a value, none at all too.
///
/// Rules: R8.
pub async fn put_of_any_bytes_keeps_them(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    let every_byte: Vec<u8> = (0..=255).collect();
    for value in [Bytes::new(), Bytes::from_static(b"\0"), every_byte.into()] {
        store.put("a", value.clone()).await;
        assert_eq!(store.existing("a").await.value, value);
    }
}

/// A put returns the pair before it if asked for, and nothing if the key was absent.
///
/// Rules: P4.
pub async fn put_with_prev_kv_returns_the_pair_before(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    let again = PutRequest::new("a", "new").with_prev_kv();
    let first = store.run([again.clone().into()]).await;
    assert_eq!(written(&first, 0).prev_kv, None);
    let second = store.run([again.into()]).await;
    assert_eq!(written(&second, 0).prev_kv, Some(pair("a", "new", 2, 2, 1)));
    let silent = store.run([put("a", "newer")]).await;
    assert_eq!(written(&silent, 0).prev_kv, None, "not asked for");
}

/// Within a transaction, the pair before is that after the earlier operations.
///
/// Rules: P4.
pub async fn put_with_prev_kv_sees_earlier_operations(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    store.put("a", "1").await;
    let response = store
        .run([delete(KeyRange::from_key("a")), PutRequest::new("a", "2").with_prev_kv().into()])
        .await;
    assert_eq!(written(&response, 1).prev_kv, None, "deleted just before");
}

/// An empty key cannot be written.
///
/// Rules: R8, X-B.
pub async fn put_of_an_empty_key_is_refused(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    let kind = BackendErrorKind::InvalidRequest;
    store.refuses(TxnRequest::new([put("", "1")]), kind, text::EMPTY_KEY).await;
}

/// Keeping the value replaces the lease and counts as a write.
///
/// Rules: P2, R7.
pub async fn put_that_ignores_value_keeps_it(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    let lease = store.grant(0, 60).await.id;
    store.put("a", "1").await;
    let keep = PutRequest::new("a", "").with_ignore_value();
    store.run([keep.clone().with_lease(lease).into()]).await;
    let kv = store.existing("a").await;
    assert_eq!((&kv.value[..], kv.lease), (&b"1"[..], lease));
    assert_eq!((kv.mod_revision, kv.version), (rev(3), 2));
    store.run([keep.into()]).await;
    assert_eq!(store.get("a").await, Some(pair("a", "1", 2, 4, 3)));
}

/// Keeping the lease replaces the value and counts as a write.
///
/// Rules: P2, R7.
pub async fn put_that_ignores_lease_keeps_it(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    let lease = store.grant(0, 60).await.id;
    store.put_with_lease("a", lease).await;
    store.run([PutRequest::new("a", "2").with_ignore_lease().into()]).await;
    let kv = store.existing("a").await;
    assert_eq!((&kv.value[..], kv.lease), (&b"2"[..], lease));
    assert_eq!((kv.mod_revision, kv.version), (rev(3), 2));
    assert_eq!(store.keys_of(lease).await, ["a"]);
}

/// Keeping both still takes a revision.
///
/// Rules: P2.
pub async fn put_that_ignores_value_and_lease_still_writes(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    store.put("a", "1").await;
    let touch = PutRequest::new("a", "").with_ignore_value().with_ignore_lease();
    store.run([touch.into()]).await;
    assert_eq!(store.get("a").await, Some(pair("a", "1", 2, 3, 2)));
}

/// What is kept must not be given as well.
///
/// Rules: P1, X-B.
pub async fn put_that_ignores_what_it_gives_is_refused(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    store.put("a", "1").await;
    let kind = BackendErrorKind::InvalidRequest;
    let value = PutRequest::new("a", "2").with_ignore_value();
    let value = TxnRequest::new([value.into()]);
    store.refuses(value, kind, text::VALUE_PROVIDED).await;
    let lease = PutRequest::new("a", "2").with_lease(LeaseId::new(5)).with_ignore_lease();
    let lease = TxnRequest::new([lease.into()]);
    store.refuses(lease, kind, text::LEASE_PROVIDED).await;
}

/// What does not exist cannot be kept.
///
/// Rules: P2, X-B.
pub async fn put_that_ignores_parts_of_an_absent_key_is_refused(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    store.put("b", "1").await;
    let value = PutRequest::new("a", "").with_ignore_value();
    let lease = PutRequest::new("a", "1").with_ignore_lease();
    for absent in [value, lease] {
        let txn = TxnRequest::new([put("b", "2"), absent.into()]);
        store.refuses(txn, BackendErrorKind::KeyNotFound, text::KEY_NOT_FOUND).await;
    }
}

/// A deletion says how many keys it deleted.
///
/// Rules: P5, G1.
pub async fn deletion_counts_its_keys(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    let names = ["a", "b", "c", "d", "e", "f"];
    store.run(names.map(|key| put(key, key))).await;
    assert_eq!(store.delete(KeyRange::key("a")).await.0, 1);
    assert_eq!(store.delete(KeyRange::key("a")).await.0, 0);
    assert_eq!(store.delete(KeyRange::span("b", "d")).await.0, 2);
    assert_eq!(store.delete(KeyRange::span("z", "a")).await.0, 0);
    assert_eq!(keys(&store.all().await.kvs), ["d", "e", "f"]);
    assert_eq!(store.delete(KeyRange::from_key("e")).await.0, 2);
    assert_eq!(store.delete(KeyRange::all()).await.0, 1);
    assert_eq!(store.all().await.count, 0);
}

/// A deletion returns the pairs as they were if asked for, in key order.
///
/// Rules: P5.
pub async fn deletion_with_prev_kv_returns_the_pairs_in_key_order(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    for key in ["c", "a", "b"] {
        store.put(key, key).await;
    }
    let request = DeleteRequest::new(KeyRange::all());
    let asked = store.run([request.with_prev_kv().into()]).await;
    assert_eq!(deleted(&asked, 0).deleted, 3);
    let expected = [pair("a", "a", 3, 3, 1), pair("b", "b", 4, 4, 1), pair("c", "c", 2, 2, 1)];
    assert_eq!(deleted(&asked, 0).prev_kvs, expected);
    store.put("a", "1").await;
    let silent = store.run([delete(KeyRange::all())]).await;
    assert_eq!(deleted(&silent, 0).prev_kvs, [], "not asked for");
}

/// Within a transaction, the pairs before a deletion are those after the earlier operations.
///
/// Rules: P4, P5, T11.
pub async fn deletion_with_prev_kv_sees_earlier_operations(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    store.put("a", "1").await;
    let gone = DeleteRequest::new(KeyRange::key("a")).with_prev_kv();
    let response = store.run([nested([put("a", "2")]), nested([gone.into()])]).await;
    let inner = super::support::inner(&response, 1);
    assert_eq!(deleted(inner, 0).prev_kvs, [pair("a", "2", 2, 3, 2)]);
}

/// An empty key cannot be deleted.
///
/// Rules: R8, X-B.
pub async fn deletion_of_an_empty_key_is_refused(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    store.put("a", "1").await;
    for range in [KeyRange::key(""), KeyRange::from_wire("", "b")] {
        let txn = TxnRequest::new([delete(range)]);
        store.refuses(txn, BackendErrorKind::InvalidRequest, text::EMPTY_KEY).await;
    }
}
