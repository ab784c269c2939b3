use std::pin::pin;
use std::task::{Context, Poll, Waker};

use tailetc_core::backend::{DeleteRequest, KeyRange, KvBackend, KvBackendExt, TxnRequest};
use tailetc_memkv::MemKv;

use crate::support::{
    current, delete, erase, event_revisions, get, kv, lease, put, read, rev, watch, write,
};

// R1
#[tokio::test]
async fn fresh_store_is_at_revision_1() {
    let store = MemKv::new();
    assert_eq!(current(&store).await, 1);
    assert_eq!(write(&store, "a", "").await, 2);
}

// R1
#[tokio::test]
async fn stores_are_separate_and_clones_are_not() {
    let (one, other) = (MemKv::new(), MemKv::new());
    write(&one.clone(), "a", "1").await;
    assert_eq!(read(&one, "a").await, Some(kv("a", "1", 2, 2, 1)));
    assert_eq!(read(&other, "a").await, None);
}

// R5
#[tokio::test]
async fn writes_keep_creation_and_count_versions() {
    let store = MemKv::new();
    write(&store, "a", "1").await;
    write(&store, "b", "").await;
    write(&store, "a", "2").await;
    assert_eq!(read(&store, "a").await, Some(kv("a", "2", 2, 4, 2)));
}

// R4
#[tokio::test]
async fn identical_value_is_a_change() {
    let store = MemKv::new();
    write(&store, "a", "same").await;
    assert_eq!(write(&store, "a", "same").await, 3);
    assert_eq!(read(&store, "a").await, Some(kv("a", "same", 2, 3, 2)));
}

// R6
#[tokio::test]
async fn deletion_ends_a_generation() {
    let store = MemKv::new();
    write(&store, "a", "").await;
    write(&store, "a", "").await;
    assert_eq!(erase(&store, "a").await, 4);
    assert_eq!(read(&store, "a").await, None);
    write(&store, "a", "").await;
    assert_eq!(read(&store, "a").await, Some(kv("a", "", 5, 5, 1)));
}

// R2
#[tokio::test]
async fn transaction_has_one_revision_for_all_its_changes() {
    let store = MemKv::new();
    let request = TxnRequest::new([put("a", ""), put("b", ""), put("c", "")]);
    let response = store.txn(request).await.unwrap();
    assert_eq!(response.header.revision, rev(2));
    for key in ["a", "b", "c"] {
        assert_eq!(read(&store, key).await, Some(kv(key, "", 2, 2, 1)));
    }
}

// R3
#[tokio::test]
async fn what_changes_nothing_takes_no_revision() {
    let store = MemKv::new();
    write(&store, "a", "").await;
    let nothing = [
        TxnRequest::default(),
        TxnRequest::new([get("a"), delete(KeyRange::key("absent"))]),
        TxnRequest::new([delete(KeyRange::from_wire("b", "a"))]),
        TxnRequest::new([TxnRequest::new([get("a")]).into()]),
    ];
    for request in nothing {
        let response = store.txn(request).await.unwrap();
        assert_eq!(response.header.revision, rev(2));
    }
    let (deleted, revision) = store.delete(KeyRange::key("absent")).await.unwrap();
    assert_eq!((deleted, revision), (0, rev(2)));
    let granted = store.lease_grant(lease(7), 60).await.unwrap();
    assert_eq!(granted.header.revision, rev(2));
    store.lease_keep_alive(lease(7)).await.unwrap();
    let revoked = store.lease_revoke(lease(7)).await.unwrap();
    assert_eq!(revoked.revision, rev(2));
    assert_eq!(store.compact(rev(2)).await.unwrap().revision, rev(2));
    assert_eq!(current(&store).await, 2);
}

// R9
#[tokio::test]
async fn headers_name_cluster_member_and_term() {
    let store = MemKv::builder()
        .with_cluster_id(11)
        .with_member_id(12)
        .with_raft_term(13)
        .with_imitate("3.5.30".parse().unwrap())
        .build();
    let status = store.status().await.unwrap();
    assert_eq!(status.version, "3.5.30");
    let request = TxnRequest::new([DeleteRequest::new(KeyRange::all()).into()]);
    for header in [status.header, store.txn(request).await.unwrap().header] {
        let identity = (header.cluster_id, header.member_id, header.raft_term);
        assert_eq!(identity, (11, 12, 13));
        assert_eq!(header.revision, rev(1));
    }
    let default = MemKv::new().status().await.unwrap().header;
    assert!(default.cluster_id != 0 && default.member_id != 0 && default.raft_term != 0);
}

// B5
#[test]
fn answers_without_a_runtime() {
    let store = MemKv::new();
    let mut context = Context::from_waker(Waker::noop());
    let written = pin!(write(&store, "a", "")).poll(&mut context);
    assert_eq!(written, Poll::Ready(2));
    let mut watcher = match pin!(watch(&store, KeyRange::all(), 2)).poll(&mut context) {
        Poll::Ready(watcher) => watcher,
        Poll::Pending => panic!("nothing to wait for"),
    };
    let events = pin!(event_revisions(&mut *watcher)).poll(&mut context);
    assert_eq!(events, Poll::Ready((2, vec![2])));
    assert!(pin!(watcher.next()).poll(&mut context).is_pending());
}
