use std::time::Duration;

use bytes::Bytes;
use tailetc_core::LeaseId;
use tailetc_core::backend::{
    BackendErrorKind, KeyRange, KvBackend, KvBackendExt, PutRequest, TxnRequest,
};
use tailetc_memkv::MemKv;
use tokio::time::{Instant, advance};

use crate::support::{
    assert_refused, current, delete, delete_event, erase, events, lease, read, rev, watch, write,
};

async fn leased(store: &MemKv, key: &'static str, id: i64) {
    let put = PutRequest::new(key, "").with_lease(lease(id));
    store.put(put).await.expect("a put");
}

async fn granted(ids: &[(i64, i64)]) -> MemKv {
    let store = MemKv::new();
    for (id, ttl) in ids {
        store.lease_grant(lease(*id), *ttl).await.expect("a lease");
    }
    store
}

async fn attached(store: &MemKv, id: i64) -> Vec<Bytes> {
    let left = store.lease_time_to_live(lease(id), true).await.unwrap();
    left.expect("a lease").keys
}

async fn seconds_left(store: &MemKv, id: i64) -> Option<i64> {
    let left = store.lease_time_to_live(lease(id), false).await.unwrap();
    left.map(|left| left.ttl_seconds)
}

// L1
#[tokio::test]
async fn grant_raises_short_times_and_refuses_long_ones() {
    let store = MemKv::new();
    for (id, ttl, expected) in [(1, -5, 2), (2, 0, 2), (3, 1, 2), (-4, 3, 3)] {
        let granted = store.lease_grant(lease(id), ttl).await.unwrap();
        assert_eq!((granted.id, granted.ttl_seconds), (lease(id), expected));
    }
    assert_refused(
        store.lease_grant(lease(1), 9_000_000_001).await,
        BackendErrorKind::LeaseTtlTooLarge,
        "etcdserver: too large lease TTL",
    );
    assert_refused(
        store.lease_grant(lease(1), 9_000_000_000).await,
        BackendErrorKind::LeaseExists,
        "etcdserver: lease already exists",
    );
    assert!(store.lease_grant(lease(9), 9_000_000_000).await.is_ok());
    assert_eq!(seconds_left(&store, 9).await.unwrap() / 10, 899_999_999);
}

// L1
#[tokio::test]
async fn store_chooses_positive_ids_and_the_same_each_time() {
    let chosen = async || {
        let store = MemKv::new();
        let mut ids = Vec::new();
        for _ in 0..3 {
            ids.push(store.lease_grant(LeaseId::NONE, 60).await.unwrap().id);
        }
        ids
    };
    let ids = chosen().await;
    assert!(ids.iter().all(|id| id.get() > 0) && ids[0] != ids[1] && ids[1] != ids[2]);
    assert_eq!(chosen().await, ids);
}

// L2, L7
#[tokio::test]
async fn revocation_deletes_the_keys_in_order_at_one_revision() {
    let store = granted(&[(7, 60)]).await;
    let mut watcher = watch(&store, KeyRange::all(), 5).await;
    for key in ["c", "a", "b"] {
        leased(&store, key, 7).await;
    }
    assert_eq!(store.lease_revoke(lease(7)).await.unwrap().revision, rev(5));
    let (_, events) = events(&mut *watcher).await;
    let expected = ["a", "b", "c"].map(|key| delete_event(key, 5));
    assert_eq!(events, expected);
    assert_refused(
        store.lease_revoke(lease(7)).await,
        BackendErrorKind::LeaseNotFound,
        "etcdserver: requested lease not found",
    );
    let none = store.lease_revoke(LeaseId::NONE).await.expect_err("none");
    assert_eq!(none.kind(), BackendErrorKind::LeaseNotFound);
}

// R7
#[tokio::test]
async fn key_belongs_to_the_lease_of_its_last_put() {
    let store = granted(&[(7, 60), (8, 60)]).await;
    leased(&store, "a", 7).await;
    assert_eq!(attached(&store, 7).await, ["a"]);
    leased(&store, "a", 8).await;
    assert!(attached(&store, 7).await.is_empty());
    assert_eq!(attached(&store, 8).await, ["a"]);
    write(&store, "a", "").await;
    assert!(attached(&store, 8).await.is_empty());
    store.lease_revoke(lease(7)).await.unwrap();
    store.lease_revoke(lease(8)).await.unwrap();
    assert!(read(&store, "a").await.is_some());
}

// R7
#[tokio::test]
async fn deleted_key_belongs_to_no_lease() {
    let store = granted(&[(7, 60)]).await;
    leased(&store, "a", 7).await;
    erase(&store, "a").await;
    assert!(attached(&store, 7).await.is_empty());
    write(&store, "a", "").await;
    store.lease_revoke(lease(7)).await.unwrap();
    assert!(read(&store, "a").await.is_some());
}

// R7, T11
#[tokio::test]
async fn key_reborn_in_one_transaction_belongs_to_its_new_lease() {
    let store = granted(&[(7, 60), (8, 60)]).await;
    leased(&store, "a", 7).await;
    let put = PutRequest::new("a", "").with_lease(lease(8));
    let request = TxnRequest::new([delete(KeyRange::all()), put.into()]);
    store.txn(request).await.unwrap();
    assert!(attached(&store, 7).await.is_empty());
    assert_eq!(attached(&store, 8).await, ["a"]);
}

// L5
#[tokio::test(start_paused = true)]
async fn time_to_live_is_in_whole_seconds_and_ends() {
    let store = granted(&[(7, 3)]).await;
    leased(&store, "a", 7).await;
    assert_eq!(seconds_left(&store, 7).await, Some(3));
    advance(Duration::from_millis(2_500)).await;
    let left = store.lease_time_to_live(lease(7), true).await.unwrap();
    let left = left.expect("alive in its last second");
    assert_eq!((left.ttl_seconds, left.granted_ttl_seconds), (0, 3));
    assert_eq!(left.keys, ["a"]);
    assert!(read(&store, "a").await.is_some());
    advance(Duration::from_millis(500)).await;
    assert_eq!(seconds_left(&store, 7).await, None);
    assert_eq!(read(&store, "a").await, None);
}

// L4
#[tokio::test(start_paused = true)]
async fn keep_alive_restarts_the_time() {
    let store = granted(&[(7, 3)]).await;
    for _ in 0..5 {
        advance(Duration::from_millis(2_900)).await;
        let renewed = store.lease_keep_alive(lease(7)).await.unwrap();
        assert_eq!(renewed.expect("alive").ttl_seconds, 3);
    }
    advance(Duration::from_secs(3)).await;
    assert_eq!(store.lease_keep_alive(lease(7)).await.unwrap(), None);
    assert_eq!(store.lease_keep_alive(lease(404)).await.unwrap(), None);
    assert_eq!(current(&store).await, 1);
}

// L3
#[tokio::test(start_paused = true)]
async fn leases_expire_at_a_revision_each() {
    let store = granted(&[(7, 5), (8, 4), (9, 3)]).await;
    for (key, id) in [("c", 7), ("a", 7), ("b", 8)] {
        leased(&store, key, id).await;
    }
    let mut watcher = watch(&store, KeyRange::all(), 5).await;
    advance(Duration::from_secs(60)).await;
    assert_eq!(current(&store).await, 6);
    assert_eq!(events(&mut *watcher).await.1, [delete_event("b", 5)]);
    let both = [delete_event("a", 6), delete_event("c", 6)];
    assert_eq!(events(&mut *watcher).await.1, both);
}

// L3
#[tokio::test(start_paused = true)]
async fn expired_lease_is_gone_for_the_next_request_of_any_kind() {
    let store = granted(&[(7, 2)]).await;
    leased(&store, "a", 7).await;
    advance(Duration::from_secs(2)).await;
    let put = PutRequest::new("b", "").with_lease(lease(7));
    let error = store.put(put).await.expect_err("no such lease");
    assert_eq!(error.kind(), BackendErrorKind::LeaseNotFound);
    assert!(store.lease_grant(lease(7), 2).await.is_ok());
    assert_eq!(current(&store).await, 3);
}

// L3, L7
#[tokio::test(start_paused = true)]
async fn waiting_watch_sees_an_expiry_when_it_comes() {
    let store = granted(&[(7, 30)]).await;
    leased(&store, "a", 7).await;
    let mut watcher = watch(&store, KeyRange::all(), 3).await;
    let began = Instant::now();
    assert_eq!(events(&mut *watcher).await.1, [delete_event("a", 3)]);
    assert_eq!(began.elapsed().as_secs(), 30);
}

// L3, L7
#[tokio::test(start_paused = true)]
async fn watch_that_already_waits_sees_the_expiry_of_a_new_lease() {
    let store = granted(&[(7, 3600)]).await;
    let mut watcher = watch(&store, KeyRange::all(), 3).await;
    let waiting = tokio::spawn(async move {
        let (_, events) = events(&mut *watcher).await;
        (events, Instant::now())
    });
    tokio::task::yield_now().await;
    let began = Instant::now();
    store.lease_grant(lease(8), 10).await.unwrap();
    leased(&store, "a", 8).await;
    let (events, seen) = waiting.await.unwrap();
    assert_eq!(events, [delete_event("a", 3)]);
    assert_eq!((seen - began).as_secs(), 10);
}
