use tailetc_core::LeaseId;
use tailetc_core::backend::{
    BackendErrorKind, KvBackend, PutRequest, PutResponse, TxnOpResponse, TxnRequest,
};
use tailetc_memkv::MemKv;

use crate::support::{assert_refused, kv, lease, read, write};

async fn put(kv: &MemKv, put: PutRequest) -> PutResponse {
    let response = kv.txn(TxnRequest::new([put.into()])).await.unwrap();
    match response.responses.into_iter().next() {
        Some(TxnOpResponse::Put(put)) => put,
        other => panic!("not a put: {other:?}"),
    }
}

// P4
#[tokio::test]
async fn prev_kv_is_the_pair_before_if_asked_for() {
    let store = MemKv::new();
    let asking = |value| PutRequest::new("a", value).with_prev_kv();
    assert_eq!(put(&store, asking("1")).await.prev_kv, None);
    let before = put(&store, asking("2")).await.prev_kv;
    assert_eq!(before, Some(kv("a", "1", 2, 2, 1)));
    assert_eq!(put(&store, PutRequest::new("a", "3")).await.prev_kv, None);
}

// P2
#[tokio::test]
async fn ignore_value_keeps_the_value_and_takes_the_lease() {
    let store = MemKv::new();
    store.lease_grant(lease(7), 60).await.unwrap();
    write(&store, "a", "kept").await;
    let request = PutRequest::new("a", "").with_ignore_value().with_lease(lease(7));
    put(&store, request).await;
    let mut expected = kv("a", "kept", 2, 3, 2);
    expected.lease = lease(7);
    assert_eq!(read(&store, "a").await, Some(expected));
}

// P2
#[tokio::test]
async fn ignore_lease_keeps_the_lease_and_takes_the_value() {
    let store = MemKv::new();
    store.lease_grant(lease(7), 60).await.unwrap();
    put(&store, PutRequest::new("a", "1").with_lease(lease(7))).await;
    put(&store, PutRequest::new("a", "2").with_ignore_lease()).await;
    let mut expected = kv("a", "2", 2, 3, 2);
    expected.lease = lease(7);
    assert_eq!(read(&store, "a").await, Some(expected));
    put(&store, PutRequest::new("a", "3")).await;
    assert_eq!(read(&store, "a").await.unwrap().lease, LeaseId::NONE);
}

// P2
#[tokio::test]
async fn keeping_of_an_absent_key_is_refused() {
    let store = MemKv::new();
    for put in
        [PutRequest::new("a", "").with_ignore_value(), PutRequest::new("a", "").with_ignore_lease()]
    {
        assert_refused(
            store.txn(TxnRequest::new([put.into()])).await,
            BackendErrorKind::KeyNotFound,
            "etcdserver: key not found",
        );
    }
}

// P3
#[tokio::test]
async fn unknown_lease_is_refused() {
    let store = MemKv::new();
    let put = PutRequest::new("a", "").with_lease(lease(7));
    assert_refused(
        store.txn(TxnRequest::new([put.into()])).await,
        BackendErrorKind::LeaseNotFound,
        "etcdserver: requested lease not found",
    );
    assert_eq!(read(&store, "a").await, None);
}
