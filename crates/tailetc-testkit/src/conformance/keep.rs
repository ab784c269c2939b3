//! Puts that keep the value or the lease, within transactions and as events.

use std::sync::Arc;

use tailetc_core::LeaseId;
use tailetc_core::backend::{
    BackendErrorKind, DeleteRequest, KeyRange, KvBackend, PutRequest, TxnOp, TxnRequest,
    WatchRequest,
};

use super::support::{
    Store, absent, deleted, exists, inner, nested, pair, put, put_event, ranged, read, rev, text,
    with_prev, written,
};

fn keep_value(key: &'static str) -> PutRequest {
    PutRequest::new(key, "").with_ignore_value()
}

/// Within a transaction, what is kept is what the key holds at that point, and the pair before is
/// returned if asked for.
///
/// Rules: P2, P4, T7.
pub async fn put_that_keeps_within_a_txn_counts_as_a_write(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    store.put("a", "1").await;
    let ops = [put("b", "2"), keep_value("a").with_prev_kv().into(), read("a")];
    let response = store.run(ops).await;
    assert_eq!(written(&response, 1).prev_kv, Some(pair("a", "1", 2, 2, 1)));
    let kept = pair("a", "1", 2, 3, 2);
    assert_eq!(ranged(&response, 2).kvs, std::slice::from_ref(&kept));
    assert_eq!(store.get("a").await, Some(kept));
}

/// Nested puts keep, too, and the branch that runs is the one that counts.
///
/// Rules: P2, T6, T8.
pub async fn put_that_keeps_in_a_nested_txn_runs_with_its_branch(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    store.put("a", "1").await;
    let keep = |key| {
        TxnRequest::new([keep_value(key).into()]).when([exists(key)]).otherwise([put(key, "new")])
    };
    let response = store.run([keep("a").into(), keep("b").into()]).await;
    assert!(inner(&response, 0).succeeded && !inner(&response, 1).succeeded);
    assert_eq!(store.get("a").await, Some(pair("a", "1", 2, 3, 2)));
    assert_eq!(store.get("b").await, Some(pair("b", "new", 3, 3, 1)));
    let missing = TxnRequest::new([put("c", ""), nested([keep_value("d").into()])]);
    store.refuses(missing, BackendErrorKind::KeyNotFound, text::KEY_NOT_FOUND).await;
}

/// A key deleted before has nothing to keep.
///
/// Rules: P2, R6.
pub async fn put_that_keeps_of_a_deleted_key_is_refused(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    store.put("a", "1").await;
    store.delete(KeyRange::key("a")).await;
    let keep_lease = PutRequest::new("a", "2").with_ignore_lease();
    for keep in [keep_value("a"), keep_lease] {
        let txn = TxnRequest::new([keep.into()]);
        store.refuses(txn, BackendErrorKind::KeyNotFound, text::KEY_NOT_FOUND).await;
    }
}

/// An empty value is kept as any other; a key without a lease keeps none.
///
/// Rules: P2, R7.
pub async fn put_that_keeps_nothing_much_keeps_it(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    store.put("a", "").await;
    store.run([keep_value("a").into()]).await;
    assert_eq!(store.get("a").await, Some(pair("a", "", 2, 3, 2)));
    store.run([PutRequest::new("a", "1").with_ignore_lease().into()]).await;
    assert_eq!(store.get("a").await, Some(pair("a", "1", 2, 4, 3)));
}

/// The event of such a put shows the pair whole, what was kept included.
///
/// Rules: P2, W11, W12.
pub async fn put_that_keeps_is_an_event_with_the_whole_pair(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    store.put("a", "1").await;
    let request = WatchRequest::new(KeyRange::all(), rev(3)).with_prev_kv();
    let mut follow = store.follow_request(request).await;
    let last = store.run([keep_value("a").into()]).await.header.revision;
    let expected = with_prev(put_event(pair("a", "1", 2, 3, 2)), pair("a", "1", 2, 2, 1));
    assert_eq!(follow.until(last).await, [expected]);
}

/// A condition and a put that keeps, on the same key: a touch that fails if the key has changed.
///
/// Rules: P2, T6.
pub async fn put_that_keeps_may_be_guarded(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    let touch = TxnRequest::new([keep_value("a").into()])
        .when([exists("a")])
        .otherwise([put("a", "created")]);
    assert!(!store.txn(touch.clone()).await.succeeded);
    assert!(store.txn(touch).await.succeeded);
    assert_eq!(store.get("a").await, Some(pair("a", "created", 2, 3, 2)));
    let unchosen = TxnRequest::new([keep_value("x").into()]).when([exists("x")]);
    assert!(!store.txn(unchosen).await.succeeded);
    let both = TxnRequest::new([put("b", "")]).when([absent("b")]);
    assert!(store.txn(both).await.succeeded);
}

/// A lease is kept through a transaction, with the key's place among the lease's keys, and a put
/// that does not keep it takes it away.
///
/// Rules: P2, R7.
pub async fn put_that_keeps_the_lease_in_a_txn_keeps_the_key_attached(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    let lease = store.grant(0, 60).await.id;
    for key in ["a", "b", "c"] {
        store.put_with_lease(key, lease).await;
    }
    let keep = |key| -> TxnOp { PutRequest::new(key, "kept").with_ignore_lease().into() };
    store.run([keep("a"), nested([keep("b")]), keep_value("c").into()]).await;
    assert_eq!(store.keys_of(lease).await, ["a", "b"]);
    assert_eq!(store.existing("b").await.lease, lease);
    let bare = store.existing("c").await;
    assert_eq!((&bare.value[..], bare.lease), (&b"leased"[..], LeaseId::NONE));
    let gone = DeleteRequest::new(KeyRange::key("a")).with_prev_kv();
    let response = store.run([gone.into()]).await;
    assert_eq!(deleted(&response, 0).prev_kvs[0].lease, lease, "prev_kv shows the lease");
    assert_eq!(store.keys_of(lease).await, ["b"]);
}

/// The event of a put that keeps the lease shows it.
///
/// Rules: P2, W11.
pub async fn put_that_keeps_the_lease_is_an_event_with_it(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    let lease = store.grant(0, 60).await.id;
    store.put_with_lease("a", lease).await;
    let mut follow = store.follow(KeyRange::all(), 3).await;
    let keep = PutRequest::new("a", "2").with_ignore_lease();
    let last = store.run([keep.into()]).await.header.revision;
    let events = follow.until(last).await;
    assert_eq!((&events[0].kv.value[..], events[0].kv.lease), (&b"2"[..], lease));
}
