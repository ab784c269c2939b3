//! Deletions of so many keys that they are written down later: here, of any number.

use std::task::Poll;

use tailetc_core::backend::{
    Compare, DeleteRequest, Event, KeyRange, KvBackend, PutRequest, RangeRequest, TxnOpResponse,
    TxnRequest, TxnResponse,
};
use tailetc_memkv::{ManualClock, MemKv};

use crate::support::{
    assert_silent, current, delete, delete_event, event_revisions, events, keys, kv, lease,
    poll_now, put, put_event, read, read_at, rev, watch, write,
};

const KEYS: [&str; 4] = ["a", "b", "c", "d"];

/// Revisions 2 to 5: puts of a, b, c and d, attached to lease 7.
async fn sample(version: &str) -> MemKv {
    let builder = MemKv::builder().with_imitate(version.parse().expect("a release"));
    let store = builder.with_slice(0).build();
    store.lease_grant(lease(7), 100).await.unwrap();
    for key in KEYS {
        let put = PutRequest::new(key, "v").with_lease(lease(7));
        store.txn(TxnRequest::new([put.into()])).await.unwrap();
    }
    store
}

/// Revision 6: all is deleted, and who asked for it does not wait.
async fn deleted(version: &str) -> MemKv {
    let store = sample(version).await;
    let all = TxnRequest::new([delete(KeyRange::all())]);
    assert!(matches!(poll_now(store.txn(all)), Poll::Pending));
    store
}

fn deletions() -> Vec<Event> {
    KEYS.map(|key| delete_event(key, 6)).into()
}

// P5, R2
#[tokio::test]
async fn deletion_that_nobody_waits_for_has_happened() {
    let store = deleted("3.7").await;
    assert_eq!(current(&store).await, 6);
    assert_eq!(read(&store, "c").await, None);
    for (revision, count) in [(5, 4), (6, 0), (0, 0)] {
        assert_eq!(read_at(&store, KeyRange::all(), revision).await.unwrap().count, count);
    }
    let absent = Compare::mod_revision("d", rev(0));
    assert!(store.txn(TxnRequest::default().when([absent])).await.unwrap().succeeded);
    let again = TxnRequest::new([delete(KeyRange::all())]);
    assert_eq!(store.txn(again).await.unwrap().header.revision, rev(6));
}

// R6, R7
#[tokio::test]
async fn key_is_put_again_while_its_deletion_is_written_down() {
    let store = deleted("3.7").await;
    assert_eq!(write(&store, "d", "again").await, 7);
    assert_eq!(read(&store, "d").await, Some(kv("d", "again", 7, 7, 1)));
    let leased = PutRequest::new("b", "v").with_lease(lease(7));
    store.txn(TxnRequest::new([leased.into()])).await.unwrap();
    let left = store.lease_time_to_live(lease(7), true).await.unwrap().unwrap();
    assert_eq!(left.keys, ["b"]);
    store.lease_revoke(lease(7)).await.unwrap();
    let left = read_at(&store, KeyRange::all(), 0).await.unwrap();
    assert_eq!(keys(&left.kvs), [b"d"]);
}

// P5, W8, W9
#[tokio::test]
async fn watches_get_all_of_it_at_once_and_in_order() {
    let store = sample("3.7").await;
    let mut synced = watch(&store, KeyRange::all(), 6).await;
    let mut of_some = watch(&store, KeyRange::span("b", "d"), 6).await;
    let mut of_none = watch(&store, KeyRange::from_key("e"), 6).await;
    let all = TxnRequest::new([delete(KeyRange::all())]);
    assert!(matches!(poll_now(store.txn(all)), Poll::Pending));
    assert_eq!(write(&store, "b", "again").await, 7);
    let mut behind = watch(&store, KeyRange::all(), 6).await;

    let (header, of_deletion) = events(&mut *synced).await;
    assert_eq!((header.revision, of_deletion), (rev(6), deletions()));
    assert_eq!(event_revisions(&mut *synced).await, (7, vec![7]));
    let (header, of_deletion) = events(&mut *of_some).await;
    assert_eq!((header.revision, &of_deletion[..]), (rev(6), &deletions()[1..3]));
    let (header, since) = events(&mut *behind).await;
    assert_eq!((header.revision, &since[..4]), (rev(7), &deletions()[..]));
    assert_eq!(since[4], put_event(kv("b", "again", 7, 7, 1)));
    tokio::time::pause();
    assert_silent(&mut *of_none).await;
}

fn deleted_pairs(response: &TxnResponse) -> Vec<(i64, Vec<&[u8]>)> {
    let mut deleted = Vec::new();
    for response in &response.responses {
        if let TxnOpResponse::Delete(deletion) = response {
            deleted.push((deletion.deleted, keys(&deletion.prev_kvs)));
        }
    }
    deleted
}

// P5, T7, T11
#[tokio::test]
async fn transaction_sees_its_own_deletions() {
    let store = sample("3.7").await;
    let from_key = |key: &'static str| DeleteRequest::new(KeyRange::from_key(key)).with_prev_kv();
    let request = TxnRequest::new([
        DeleteRequest::new(KeyRange::key("a")).into(),
        from_key("b").into(),
        put("c", "again"),
        RangeRequest::new(KeyRange::all()).into(),
        from_key("a").into(),
        put("d", "again"),
    ]);
    let response = store.txn(request).await.unwrap();
    let expected = [(1, vec![]), (3, vec![&b"b"[..], b"c", b"d"]), (1, vec![&b"c"[..]])];
    assert_eq!(deleted_pairs(&response), expected);
    let TxnOpResponse::Range(range) = &response.responses[3] else { panic!("not a range") };
    assert_eq!(range.kvs, [kv("c", "again", 6, 6, 1)]);
    let now = read_at(&store, KeyRange::all(), 0).await.unwrap();
    assert_eq!(now.kvs, [kv("d", "again", 6, 6, 1)]);
    let mut watcher = watch(&store, KeyRange::all(), 6).await;
    let (_, events) = events(&mut *watcher).await;
    let names: Vec<&[u8]> = events.iter().map(|event| &event.kv.key[..]).collect();
    assert_eq!(names, [b"a", b"b", b"c", b"d", b"c", b"c", b"d"]);
}

// L2, L7
#[tokio::test]
async fn revocation_that_nobody_waits_for_has_happened() {
    let store = sample("3.7").await;
    assert_eq!(write(&store, "b", "kept").await, 6);
    let mut watcher = watch(&store, KeyRange::all(), 7).await;
    assert!(matches!(poll_now(store.lease_revoke(lease(7))), Poll::Pending));
    let left = read_at(&store, KeyRange::all(), 0).await.unwrap();
    assert_eq!((left.header.revision, keys(&left.kvs)), (rev(7), vec![&b"b"[..]]));
    let (_, events) = events(&mut *watcher).await;
    assert_eq!(events, ["a", "c", "d"].map(|key| delete_event(key, 7)));
}

// L3
#[tokio::test]
async fn leases_that_expire_together_take_a_revision_each_whatever_is_left_of_it() {
    let clock = ManualClock::new();
    let store = MemKv::builder().with_slice(0).with_clock(clock.clone()).build();
    for id in [7, 8] {
        store.lease_grant(lease(id), 5).await.unwrap();
        for key in KEYS {
            let put = PutRequest::new(format!("{id}{key}"), "").with_lease(lease(id));
            store.plain_put(&put).unwrap();
        }
    }
    clock.advance(std::time::Duration::from_secs(5));
    for (revision, count) in [(9, 8), (10, 4), (11, 0)] {
        assert_eq!(read_at(&store, KeyRange::all(), revision).await.unwrap().count, count);
    }
    let mut watcher = watch(&store, KeyRange::all(), 10).await;
    let revisions = [[10; 4], [11; 4]].concat();
    assert_eq!(event_revisions(&mut *watcher).await, (11, revisions));
}

// C3, X-L
#[tokio::test]
async fn compaction_at_a_deletion_that_is_not_written_down_keeps_what_the_version_keeps() {
    for (version, kept) in [("3.4.33", 0), ("3.4.34", 4)] {
        let store = deleted(version).await;
        assert!(matches!(poll_now(store.compact(rev(6))), Poll::Pending));
        assert_eq!(write(&store, "e", "").await, 7);
        let mut watcher = watch(&store, KeyRange::all(), 6).await;
        let (_, events) = events(&mut *watcher).await;
        assert_eq!(events.len(), kept + 1, "{version}");
        assert_eq!(events[..kept], deletions()[..kept]);
    }
}
