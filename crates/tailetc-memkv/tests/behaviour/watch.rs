use std::time::Duration;

use tailetc_core::Revision;
use tailetc_core::backend::{
    BackendErrorKind, Event, KeyRange, KvBackend, TxnRequest, WatchRequest,
};
use tailetc_memkv::MemKv;
use tokio::time::timeout;

use crate::support::{
    assert_refused, assert_silent, delete, delete_event, erase, event_revisions, events, kv, open,
    put, put_event, rev, watch, write,
};

async fn prev_kvs(store: &MemKv, start: i64) -> Vec<Event> {
    let request = WatchRequest::new(KeyRange::all(), rev(start)).with_prev_kv();
    let mut watcher = open(store, request).await;
    events(&mut *watcher).await.1
}

// W11
#[tokio::test]
async fn events_are_whole_puts_and_bare_deletions() {
    let store = MemKv::new();
    let mut watcher = watch(&store, KeyRange::all(), 2).await;
    write(&store, "a", "1").await;
    erase(&store, "a").await;
    let (header, put) = events(&mut *watcher).await;
    assert_eq!(put, [put_event(kv("a", "1", 2, 2, 1))]);
    assert_eq!(header.cluster_id, store.status().await.unwrap().header.cluster_id);
    let (_, deletion) = events(&mut *watcher).await;
    assert_eq!(deletion, [delete_event("a", 3)]);
}

// W9
#[tokio::test]
async fn live_revisions_come_one_by_one_under_their_own_revision() {
    let store = MemKv::new();
    let mut watcher = watch(&store, KeyRange::all(), 2).await;
    for _ in 0..3 {
        write(&store, "a", "").await;
    }
    for revision in 2..=4 {
        assert_eq!(event_revisions(&mut *watcher).await, (revision, vec![revision]));
    }
}

// W8
#[tokio::test]
async fn transaction_is_one_response_in_the_order_of_its_operations() {
    let store = MemKv::new();
    let mut watcher = watch(&store, KeyRange::all(), 2).await;
    let request = TxnRequest::new([put("b", ""), put("a", "")]);
    store.txn(request).await.unwrap();
    let (_, events) = events(&mut *watcher).await;
    let expected = [put_event(kv("b", "", 2, 2, 1)), put_event(kv("a", "", 2, 2, 1))];
    assert_eq!(events, expected);
}

// W8
#[tokio::test(start_paused = true)]
async fn only_keys_of_the_range_are_delivered() {
    let store = MemKv::new();
    let mut watcher = watch(&store, KeyRange::span("b", "d"), 2).await;
    for key in ["a", "b", "d"] {
        write(&store, key, "").await;
    }
    let request = TxnRequest::new([put("a", ""), put("c", "")]);
    store.txn(request).await.unwrap();
    assert_eq!(event_revisions(&mut *watcher).await, (3, vec![3]));
    let (_, both) = events(&mut *watcher).await;
    assert_eq!(both, [put_event(kv("c", "", 5, 5, 1))]);
    assert_silent(&mut *watcher).await;
}

// W3
#[tokio::test(start_paused = true)]
async fn start_zero_is_after_the_current_revision() {
    let store = MemKv::new();
    write(&store, "a", "").await;
    let mut watcher = watch(&store, KeyRange::all(), 0).await;
    assert_silent(&mut *watcher).await;
    write(&store, "a", "").await;
    assert_eq!(event_revisions(&mut *watcher).await, (3, vec![3]));
}

// W4
// X-J
#[tokio::test(start_paused = true)]
async fn start_in_the_future_delivers_nothing_older() {
    let store = MemKv::new();
    let mut watcher = watch(&store, KeyRange::all(), 4).await;
    write(&store, "a", "").await;
    write(&store, "a", "").await;
    assert_silent(&mut *watcher).await;
    store.compact(rev(3)).await.unwrap();
    write(&store, "a", "").await;
    assert_eq!(event_revisions(&mut *watcher).await, (4, vec![4]));
}

// W4
// W10
#[tokio::test]
async fn start_in_the_past_delivers_what_happened_since() {
    let store = MemKv::new();
    for _ in 0..4 {
        write(&store, "a", "").await;
    }
    let mut watcher = watch(&store, KeyRange::all(), 3).await;
    assert_eq!(event_revisions(&mut *watcher).await, (5, vec![3, 4, 5]));
    write(&store, "a", "").await;
    assert_eq!(event_revisions(&mut *watcher).await, (6, vec![6]));
}

// W5
#[tokio::test]
async fn start_below_zero_is_refused_as_compacted() {
    let store = MemKv::new();
    let request = WatchRequest::new(KeyRange::from_wire("b", "a"), rev(-1));
    assert_refused(
        store.watch(request).await,
        BackendErrorKind::Compacted { compact_revision: Revision::ZERO },
        "etcdserver: mvcc: required revision has been compacted",
    );
}

// W2
#[tokio::test]
async fn empty_range_is_refused() {
    let store = MemKv::new();
    for (key, end) in [("a", "a"), ("b", "a")] {
        let request = WatchRequest::new(KeyRange::from_wire(key, end), rev(1));
        assert_refused(
            store.watch(request).await,
            BackendErrorKind::EmptyRange,
            "mvcc: watcher range is empty",
        );
    }
}

// W2
#[tokio::test(start_paused = true)]
async fn empty_key_is_the_smallest_one() {
    let store = MemKv::new();
    let mut smallest = watch(&store, KeyRange::key(""), 2).await;
    let mut below_b = watch(&store, KeyRange::from_wire("", "b"), 2).await;
    write(&store, "a", "").await;
    write(&store, "\0", "").await;
    assert_eq!(event_revisions(&mut *smallest).await, (3, vec![3]));
    assert_silent(&mut *smallest).await;
    assert_eq!(event_revisions(&mut *below_b).await, (2, vec![2]));
}

// W12
#[tokio::test]
async fn prev_kv_is_the_pair_before_the_revision() {
    let store = MemKv::new();
    write(&store, "a", "1").await;
    write(&store, "a", "2").await;
    erase(&store, "a").await;
    write(&store, "a", "3").await;
    let events = prev_kvs(&store, 2).await;
    let before: Vec<_> = events.into_iter().map(|event| event.prev_kv).collect();
    let expected = [None, Some(kv("a", "1", 2, 2, 1)), Some(kv("a", "2", 2, 3, 2)), None];
    assert_eq!(before, expected);
}

// W12
// X-M
#[tokio::test]
async fn prev_kv_is_absent_at_the_compaction_revision_and_present_above() {
    let store = MemKv::new();
    for _ in 0..4 {
        write(&store, "a", "").await;
    }
    store.compact(rev(4)).await.unwrap();
    let before: Vec<_> = prev_kvs(&store, 4).await;
    let before: Vec<_> =
        before.into_iter().map(|event| event.prev_kv.map(|kv| kv.mod_revision.get())).collect();
    assert_eq!(before, [None, Some(4)]);
}

// W8
// T11
#[tokio::test]
async fn key_deleted_and_put_in_one_revision_has_two_events() {
    let store = MemKv::new();
    write(&store, "a", "1").await;
    let reborn = TxnRequest::new([delete(KeyRange::all()), put("a", "2")]);
    store.txn(reborn).await.unwrap();
    let events = prev_kvs(&store, 3).await;
    let mut deletion = delete_event("a", 3);
    deletion.prev_kv = Some(kv("a", "1", 2, 2, 1));
    assert_eq!(events, [deletion, put_event(kv("a", "2", 3, 3, 1))]);
}

// W8
// W12
// T11
#[tokio::test]
async fn key_put_and_deleted_in_one_revision_has_two_events() {
    let store = MemKv::new();
    write(&store, "a", "1").await;
    let gone = TxnRequest::new([put("a", "2"), put("b", ""), delete(KeyRange::all())]);
    store.txn(gone).await.unwrap();
    let mut events = prev_kvs(&store, 3).await;
    let before = Some(kv("a", "1", 2, 2, 1));
    let b = events.remove(3);
    assert_eq!((b.kv.key, b.prev_kv), ("b".into(), None));
    assert_eq!(events[0].kv, kv("a", "2", 2, 3, 2));
    assert_eq!(events[0].prev_kv, before);
    assert_eq!(events[2].kv, delete_event("a", 3).kv);
    assert_eq!(events[2].prev_kv, before);
}

// W9
#[tokio::test]
async fn waiting_watch_wakes_on_a_write() {
    let store = MemKv::new();
    let mut watcher = watch(&store, KeyRange::all(), 2).await;
    let waiting = tokio::spawn(async move { event_revisions(&mut *watcher).await });
    tokio::task::yield_now().await;
    write(&store, "a", "").await;
    assert_eq!(waiting.await.unwrap(), (2, vec![2]));
}

// B3
#[tokio::test(start_paused = true)]
async fn dropped_next_loses_nothing() {
    let store = MemKv::new();
    let mut watcher = watch(&store, KeyRange::all(), 2).await;
    for revision in 2..6 {
        let cancelled = timeout(Duration::from_millis(1), watcher.next()).await;
        assert!(cancelled.is_err());
        write(&store, "a", "").await;
        assert_eq!(event_revisions(&mut *watcher).await, (revision, vec![revision]));
    }
}

// W5
#[tokio::test]
async fn start_below_zero_is_told_later_by_old_versions() {
    let store = MemKv::builder().with_imitate("3.5.23".parse().unwrap()).build();
    let mut watcher = watch(&store, KeyRange::all(), -2).await;
    let error = watcher.next().await.expect_err("compacted");
    let compact_revision = rev(-1);
    assert_eq!(error.kind(), BackendErrorKind::Compacted { compact_revision });
}

// B3
#[tokio::test]
async fn watches_are_independent_and_outlive_the_handle() {
    let store = MemKv::new();
    let mut one = watch(&store, KeyRange::all(), 2).await;
    let mut other = watch(&store, KeyRange::all(), 2).await;
    let dropped = watch(&store, KeyRange::all(), 2).await;
    write(&store, "a", "").await;
    drop((store, dropped));
    assert_eq!(event_revisions(&mut *one).await, (2, vec![2]));
    drop(one);
    assert_eq!(event_revisions(&mut *other).await, (2, vec![2]));
}
