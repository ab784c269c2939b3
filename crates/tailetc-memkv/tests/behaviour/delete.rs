use tailetc_core::backend::{
    DeleteRequest, DeleteResponse, KeyRange, KvBackend, TxnOpResponse, TxnRequest,
};
use tailetc_memkv::MemKv;

use crate::support::{events, keys, kv, read, watch, write};

async fn delete(kv: &MemKv, delete: DeleteRequest) -> DeleteResponse {
    let response = kv.txn(TxnRequest::new([delete.into()])).await.unwrap();
    match response.responses.into_iter().next() {
        Some(TxnOpResponse::Delete(delete)) => delete,
        other => panic!("not a deletion: {other:?}"),
    }
}

async fn sample() -> MemKv {
    let store = MemKv::new();
    for key in ["c", "a", "b"] {
        write(&store, key, "v").await;
    }
    store
}

// P5
#[tokio::test]
async fn deletion_counts_and_returns_pairs_if_asked_for() {
    let store = sample().await;
    let answer = delete(&store, DeleteRequest::new(KeyRange::key("a"))).await;
    assert_eq!((answer.deleted, answer.prev_kvs), (1, vec![]));
    let answer = delete(&store, DeleteRequest::new(KeyRange::all()).with_prev_kv()).await;
    let expected = vec![kv("b", "v", 4, 4, 1), kv("c", "v", 2, 2, 1)];
    assert_eq!((answer.deleted, answer.prev_kvs), (2, expected));
}

// G1, P5
#[tokio::test]
async fn range_is_half_open() {
    let store = sample().await;
    let answer = delete(&store, DeleteRequest::new(KeyRange::span("a", "c"))).await;
    assert_eq!(answer.deleted, 2);
    assert!(read(&store, "c").await.is_some());
}

// P5, R2
#[tokio::test]
async fn keys_are_deleted_in_order_at_one_revision() {
    let store = sample().await;
    let mut watcher = watch(&store, KeyRange::all(), 5).await;
    delete(&store, DeleteRequest::new(KeyRange::all())).await;
    let (header, events) = events(&mut *watcher).await;
    assert_eq!(header.revision.get(), 5);
    let kvs: Vec<_> = events.into_iter().map(|event| event.kv).collect();
    assert_eq!(keys(&kvs), [b"a", b"b", b"c"]);
}
