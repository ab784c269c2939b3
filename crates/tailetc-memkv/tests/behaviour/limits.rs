use tailetc_core::backend::{
    BackendErrorKind, KeyRange, KvBackend, PutRequest, RangeRequest, TxnRequest,
};
use tailetc_memkv::MemKv;

use crate::support::{assert_refused, assert_txn_refused, get, put};

// T9
#[tokio::test]
async fn number_of_operations_is_limited() {
    let store = MemKv::new();
    let reads = |n| TxnRequest::new((0..n).map(|_| get("a")));
    assert!(store.txn(reads(128)).await.is_ok());
    assert_refused(
        store.txn(reads(129)).await,
        BackendErrorKind::TooManyOps,
        "etcdserver: too many operations in txn request",
    );
    let small = MemKv::builder().with_max_txn_ops(2).build();
    assert_eq!(small.capabilities().max_txn_ops, 2);
    assert!(small.txn(reads(2)).await.is_ok());
    assert_txn_refused(&small, reads(3), BackendErrorKind::TooManyOps).await;
}

// T9
#[tokio::test]
async fn nested_transactions_share_the_number() {
    let store = MemKv::builder().with_max_txn_ops(3).build();
    let nested = |n| TxnRequest::new([TxnRequest::new((0..n).map(|_| get("a"))).into()]);
    assert!(store.txn(nested(2)).await.is_ok());
    assert_txn_refused(&store, nested(3), BackendErrorKind::TooManyOps).await;
}

// T16
#[tokio::test]
async fn size_of_writes_is_limited_at_etcds_byte() {
    let store = MemKv::new();
    assert_eq!(store.capabilities().max_request_bytes, 1_572_864);
    // RequestOp, Put and value have each a tag and a length of 3 bytes; the key takes 3 bytes; the
    // raft entry another 13 and the transaction's tag and length.
    let framing = 4 + 4 + 4 + 3 + 13 + 4;
    let write = |len| TxnRequest::new([PutRequest::new("k", vec![b'x'; len]).into()]);
    assert!(store.txn(write(1_572_864 - framing)).await.is_ok());
    assert_refused(
        store.txn(write(1_572_864 - framing + 1)).await,
        BackendErrorKind::RequestTooLarge,
        "etcdserver: request is too large",
    );
}

// T16
#[tokio::test]
async fn size_of_reads_is_not_limited() {
    let store = MemKv::builder().with_max_request_bytes(100).build();
    assert_eq!(store.capabilities().max_request_bytes, 100);
    let range = RangeRequest::new(KeyRange::key(vec![b'k'; 200]));
    assert!(store.range(range.clone()).await.is_ok());
    assert!(store.txn(TxnRequest::new([range.clone().into()])).await.is_ok());
    let request = TxnRequest::new([range.into(), put("a", "")]);
    assert_txn_refused(&store, request, BackendErrorKind::RequestTooLarge).await;
}
