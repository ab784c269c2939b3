use std::task::Poll;

use tailetc_core::Revision;
use tailetc_core::backend::{BackendErrorKind, KeyRange, KvBackend, RangeRequest, TxnRequest};
use tailetc_memkv::MemKv;

use crate::support::{
    assert_refused, assert_txn_refused, delete, delete_event, erase, events, imitating, keys, kv,
    poll_now, put, put_event, read_at, rev, watch, write,
};

const COMPACTED: &str = "etcdserver: mvcc: required revision has been compacted";

const UNSAID: BackendErrorKind = BackendErrorKind::Compacted { compact_revision: Revision::ZERO };

/// Revisions 2 to 6: put a, put b, delete a, put b, put a.
async fn sample() -> MemKv {
    let store = MemKv::new();
    write(&store, "a", "1").await;
    write(&store, "b", "1").await;
    erase(&store, "a").await;
    write(&store, "b", "2").await;
    write(&store, "a", "2").await;
    store
}

// C1, X-P
#[tokio::test]
async fn bounds_of_a_compaction() {
    let store = sample().await;
    for (revision, expected) in [(-1, UNSAID), (-9, UNSAID), (7, BackendErrorKind::FutureRevision)]
    {
        let error = store.compact(rev(revision)).await.expect_err("refused");
        assert_eq!(error.kind(), expected);
    }
    assert!(store.compact(rev(0)).await.is_ok());
    assert_refused(store.compact(rev(0)).await, UNSAID, COMPACTED);
    assert!(store.compact(rev(1)).await.is_ok());
    assert!(store.compact(rev(6)).await.is_ok());
    assert_refused(store.compact(rev(6)).await, UNSAID, COMPACTED);
    assert_refused(store.compact(rev(5)).await, UNSAID, COMPACTED);
}

// C2
#[tokio::test]
async fn states_at_and_above_stay_readable() {
    let store = sample().await;
    let mut before = Vec::new();
    for revision in 4..=6 {
        before.push(read_at(&store, KeyRange::all(), revision).await.unwrap());
    }
    let header = store.compact(rev(4)).await.unwrap();
    assert_eq!(header.revision, rev(6));
    assert_refused(read_at(&store, KeyRange::all(), 3).await, UNSAID, COMPACTED);
    for (revision, before) in (4..=6).zip(before) {
        assert_eq!(read_at(&store, KeyRange::all(), revision).await.unwrap(), before);
    }
    assert_eq!(read_at(&store, KeyRange::all(), -1).await.unwrap().count, 2);
}

// C2
#[tokio::test]
async fn keys_survive_compaction_at_the_current_revision() {
    let store = sample().await;
    store.compact(rev(6)).await.unwrap();
    let now = read_at(&store, KeyRange::all(), 6).await.unwrap();
    assert_eq!(now.kvs, [kv("a", "2", 6, 6, 1), kv("b", "2", 3, 5, 2)]);
    write(&store, "b", "3").await;
    let then = read_at(&store, KeyRange::all(), 6).await.unwrap();
    assert_eq!(then.kvs, now.kvs);
}

// G2
#[tokio::test]
async fn negative_revision_in_a_transaction_is_an_old_one() {
    let store = sample().await;
    let at = |revision| {
        let range = RangeRequest::new(KeyRange::all()).with_revision(rev(revision));
        TxnRequest::new([range.into()])
    };
    assert!(store.txn(at(-1)).await.is_ok());
    assert_txn_refused(&store, at(-2), UNSAID).await;
    store.compact(rev(0)).await.unwrap();
    assert_txn_refused(&store, at(-1), UNSAID).await;
    assert_txn_refused(&store, at(7), BackendErrorKind::FutureRevision).await;
    store.compact(rev(4)).await.unwrap();
    assert_txn_refused(&store, at(3), UNSAID).await;
    for revision in [0, 4] {
        assert!(store.txn(at(revision)).await.is_ok());
    }
}

// C3, X-L
#[tokio::test]
async fn deletion_at_the_compaction_revision_is_delivered() {
    let store = sample().await;
    store.compact(rev(4)).await.unwrap();
    let mut watcher = watch(&store, KeyRange::key("a"), 4).await;
    let (_, events) = events(&mut *watcher).await;
    assert_eq!(events, [delete_event("a", 4), put_event(kv("a", "2", 6, 6, 1))]);
}

// C3, X-L
#[tokio::test]
async fn deletion_at_the_compaction_revision_is_lost_by_old_versions() {
    for (version, kept) in
        [("3.4.33", false), ("3.4.34", true), ("3.5.15", false), ("3.5.16", true), ("3.6.0", true)]
    {
        let store = imitating(version);
        write(&store, "a", "1").await;
        erase(&store, "a").await;
        write(&store, "a", "2").await;
        store.compact(rev(3)).await.unwrap();
        assert_eq!(read_at(&store, KeyRange::all(), 3).await.unwrap().count, 0);
        let mut watcher = watch(&store, KeyRange::key("a"), 3).await;
        let (_, events) = events(&mut *watcher).await;
        let put = put_event(kv("a", "2", 4, 4, 1));
        let expected = if kept { vec![delete_event("a", 3), put] } else { vec![put] };
        assert_eq!(events, expected, "{version}");
        assert_eq!(store.capabilities().compaction_keeps_deletions, kept, "{version}");
    }
}

// C2, T11
#[tokio::test]
async fn put_deleted_again_at_the_compaction_revision_is_forgotten() {
    let store = MemKv::new();
    let request = TxnRequest::new([put("a", ""), put("b", ""), delete(KeyRange::from_key("b"))]);
    store.txn(request).await.unwrap();
    store.compact(rev(2)).await.unwrap();
    let mut watcher = watch(&store, KeyRange::all(), 2).await;
    let (_, events) = events(&mut *watcher).await;
    assert_eq!(events, [put_event(kv("a", "", 2, 2, 1)), delete_event("b", 2)]);
    let left = read_at(&store, KeyRange::all(), 2).await.unwrap();
    assert_eq!(keys(&left.kvs), [b"a"]);
}

/// The same history in a store that forgets one version at a time, and in one that forgets all at
/// once.
async fn slow_and_quick() -> [MemKv; 2] {
    let [slow, quick] = [1, usize::MAX].map(|slice| MemKv::builder().with_slice(slice).build());
    for store in [&slow, &quick] {
        for value in ["1", "2", "3"] {
            for key in ["a", "b", "c"] {
                write(store, key, value).await;
            }
        }
        erase(store, "b").await;
    }
    [slow, quick]
}

// C1, C2
#[tokio::test]
async fn compaction_that_nobody_waits_for_has_taken_effect() {
    let [slow, quick] = slow_and_quick().await;
    let mut behind = watch(&slow, KeyRange::all(), 3).await;
    assert!(matches!(poll_now(slow.compact(rev(7))), Poll::Pending));
    quick.compact(rev(7)).await.unwrap();
    assert_refused(read_at(&slow, KeyRange::all(), 6).await, UNSAID, COMPACTED);
    assert_refused(slow.compact(rev(7)).await, UNSAID, COMPACTED);
    let compact_revision = rev(7);
    let told = behind.next().await.expect_err("behind").kind();
    assert_eq!(told, BackendErrorKind::Compacted { compact_revision });
    for revision in 7..=11 {
        let expected = read_at(&quick, KeyRange::all(), revision).await.unwrap();
        assert_eq!(read_at(&slow, KeyRange::all(), revision).await.unwrap(), expected);
    }
}

// C1, C2
#[tokio::test]
async fn compaction_does_not_wait_for_the_one_before() {
    let [slow, quick] = slow_and_quick().await;
    let original = slow.full_status();
    for revision in [4, 6, 11] {
        assert!(matches!(poll_now(slow.compact(rev(revision))), Poll::Pending));
        assert_refused(read_at(&slow, KeyRange::all(), revision - 1).await, UNSAID, COMPACTED);
        quick.compact(rev(revision)).await.unwrap();
        for store in [&slow, &quick] {
            write(store, "d", "1").await;
        }
    }
    assert_eq!(slow.full_status(), quick.full_status());
    assert_eq!(slow.full_status().db_size, original.db_size);
    for revision in 11..=14 {
        let hash = |store: &MemKv| store.hash_kv(rev(revision)).unwrap();
        assert_eq!(hash(&slow), hash(&quick));
    }
}
