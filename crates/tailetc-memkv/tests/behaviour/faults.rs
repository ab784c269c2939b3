//! The deliberate mistakes do what they say, and no more.

use tailetc_core::backend::{
    BackendErrorKind, Compare, CompareResult, CompareTarget, KeyRange, KvBackend, PutRequest,
    TxnOpResponse, TxnRequest,
};
use tailetc_memkv::{Fault, ManualClock, MemKv};

use crate::support::{
    current, delete, erase, event_revisions, lease, put, read, read_at, rev, watch, write,
};

fn faulty(fault: Fault) -> MemKv {
    MemKv::builder().with_fault(fault).build()
}

// R2
#[tokio::test]
async fn deletion_without_revision_shares_that_of_the_next_put() {
    let store = faulty(Fault::DeletionWithoutRevision);
    write(&store, "a", "").await;
    assert_eq!(erase(&store, "a").await, 2);
    assert_eq!((read(&store, "a").await, current(&store).await), (None, 2));
    assert_eq!(write(&store, "b", "").await, 3);
    let mut watcher = watch(&store, KeyRange::all(), 3).await;
    assert_eq!(event_revisions(&mut *watcher).await, (3, vec![3, 3]));
    let mixed = TxnRequest::new([put("c", ""), delete(KeyRange::key("b"))]);
    assert_eq!(store.txn(mixed).await.unwrap().header.revision, rev(4));
}

// T3
#[tokio::test]
async fn absent_value_not_equal_holds_for_absent_keys_alone() {
    let store = faulty(Fault::AbsentValueNotEqual);
    write(&store, "a", "1").await;
    let holds = async |key: &'static str, value: &'static str, result| {
        let target = CompareTarget::Value(value.into());
        let compare = Compare::new(KeyRange::key(key), target, result);
        store.txn(TxnRequest::default().when([compare])).await.unwrap().succeeded
    };
    assert!(holds("absent", "1", CompareResult::NotEqual).await);
    assert!(!holds("absent", "1", CompareResult::Less).await);
    assert!(!holds("a", "1", CompareResult::NotEqual).await);
}

// T6
#[tokio::test]
async fn nested_compare_sees_writes_of_the_same_transaction() {
    let store = faulty(Fault::NestedCompareSeesWrites);
    let nested = TxnRequest::default().when([Compare::mod_revision("a", rev(2))]);
    let request = TxnRequest::new([put("a", ""), nested.into()]);
    let response = store.txn(request).await.unwrap();
    assert!(matches!(&response.responses[1], TxnOpResponse::Txn(nested) if nested.succeeded));
}

// L3
#[tokio::test]
async fn shared_expiry_is_one_revision_for_all() {
    let clock = ManualClock::new();
    let builder = MemKv::builder().with_clock(clock.clone());
    let store = builder.with_fault(Fault::SharedExpiry).build();
    for (key, id) in [("a", 7), ("b", 8)] {
        store.lease_grant(lease(id), 5).await.unwrap();
        store.plain_put(&PutRequest::new(key, "").with_lease(lease(id))).unwrap();
    }
    clock.advance(std::time::Duration::from_secs(5));
    assert_eq!(current(&store).await, 4);
}

// G2
#[tokio::test]
async fn compact_revision_refused_is_as_if_it_were_below() {
    let store = faulty(Fault::CompactRevisionRefused);
    write(&store, "a", "").await;
    write(&store, "a", "").await;
    assert!(read_at(&store, KeyRange::all(), 2).await.is_ok());
    store.compact(rev(2)).await.unwrap();
    let refused = read_at(&store, KeyRange::all(), 2).await.expect_err("refused").kind();
    assert!(matches!(refused, BackendErrorKind::Compacted { .. }));
    assert!(read_at(&store, KeyRange::all(), 3).await.is_ok());
}
