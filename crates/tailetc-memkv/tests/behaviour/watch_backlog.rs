use tailetc_core::backend::{BackendErrorKind, KeyRange, KvBackend, TxnRequest, Watcher};
use tailetc_memkv::MemKv;

use crate::support::{
    assert_silent, current, delete, delete_event, event_revisions, events, put, rev, watch, write,
};

async fn write_many(store: &MemKv, key: &'static str, count: usize) {
    for _ in 0..count {
        write(store, key, "").await;
    }
}

async fn assert_compacted(watcher: &mut dyn Watcher, at: i64) {
    for _ in 0..2 {
        let error = watcher.next().await.expect_err("compacted");
        let compact_revision = rev(at);
        assert_eq!(error.kind(), BackendErrorKind::Compacted { compact_revision });
    }
}

// W10
// X-N
#[tokio::test]
async fn thousand_revisions_are_one_response_and_one_more_is_two() {
    for (count, batches) in
        [(1000, vec![1000]), (1001, vec![1000, 1]), (2500, vec![1000, 1000, 500])]
    {
        let store = MemKv::new();
        write_many(&store, "a", count).await;
        let mut watcher = watch(&store, KeyRange::all(), 1).await;
        let mut next = 2;
        for batch in batches {
            let (header, revisions) = event_revisions(&mut *watcher).await;
            assert_eq!(header, current(&store).await);
            assert_eq!(revisions, (next..next + batch).collect::<Vec<_>>());
            next += batch;
        }
    }
}

// W10
#[tokio::test]
async fn batch_counts_revisions_and_not_events() {
    let store = MemKv::new();
    for _ in 0..1001 {
        let request = TxnRequest::new([put("a", ""), put("b", ""), put("x", "")]);
        store.txn(request).await.unwrap();
    }
    let mut watcher = watch(&store, KeyRange::span("a", "c"), 1).await;
    assert_eq!(events(&mut *watcher).await.1.len(), 2000);
    assert_eq!(events(&mut *watcher).await.1.len(), 2);
}

// W10
// X-N
#[tokio::test]
async fn sparse_watch_gets_its_history_in_one_response() {
    let store = MemKv::new();
    for _ in 0..3 {
        write(&store, "a", "").await;
        write_many(&store, "b", 1000).await;
    }
    let mut watcher = watch(&store, KeyRange::key("a"), 1).await;
    let (header, revisions) = event_revisions(&mut *watcher).await;
    assert_eq!((header, revisions), (3004, vec![2, 1003, 2004]));
}

// W10
// X-N
#[tokio::test]
async fn writes_during_the_catch_up_come_with_its_last_batch() {
    let store = MemKv::new();
    write_many(&store, "a", 1500).await;
    let mut watcher = watch(&store, KeyRange::all(), 1).await;
    assert_eq!(event_revisions(&mut *watcher).await.1.len(), 1000);
    write_many(&store, "a", 10).await;
    let (header, revisions) = event_revisions(&mut *watcher).await;
    assert_eq!((header, revisions.len()), (1511, 510));
    write_many(&store, "a", 2).await;
    assert_eq!(event_revisions(&mut *watcher).await, (1512, vec![1512]));
    assert_eq!(event_revisions(&mut *watcher).await, (1513, vec![1513]));
}

// W22
// X-O
#[tokio::test]
async fn slow_watch_gets_single_revisions_then_a_batch() {
    let store = MemKv::new();
    let mut watcher = watch(&store, KeyRange::all(), 2).await;
    write_many(&store, "a", 200).await;
    for revision in 2..130 {
        assert_eq!(event_revisions(&mut *watcher).await, (revision, vec![revision]));
    }
    let (header, revisions) = event_revisions(&mut *watcher).await;
    assert_eq!((header, revisions), (201, (130..=201).collect()));
    write(&store, "a", "").await;
    assert_eq!(event_revisions(&mut *watcher).await, (202, vec![202]));
}

// W6
#[tokio::test]
async fn start_below_the_compaction_is_compacted_and_at_it_is_not() {
    let store = MemKv::new();
    write_many(&store, "a", 5).await;
    store.compact(rev(4)).await.unwrap();
    let mut below = watch(&store, KeyRange::all(), 3).await;
    assert_compacted(&mut *below, 4).await;
    let mut at = watch(&store, KeyRange::all(), 4).await;
    assert_eq!(event_revisions(&mut *at).await, (6, vec![4, 5, 6]));
}

// W7
#[tokio::test]
async fn watch_that_catches_up_is_overtaken_by_a_compaction() {
    let store = MemKv::new();
    write_many(&store, "a", 1500).await;
    let mut watcher = watch(&store, KeyRange::all(), 1).await;
    assert_eq!(event_revisions(&mut *watcher).await.1.len(), 1000);
    store.compact(rev(1002)).await.unwrap();
    let (_, revisions) = event_revisions(&mut *watcher).await;
    assert_eq!(revisions.first(), Some(&1002));

    let mut late = watch(&store, KeyRange::all(), 1002).await;
    store.compact(rev(1003)).await.unwrap();
    assert_compacted(&mut *late, 1003).await;
}

// W7
// W22
#[tokio::test]
async fn buffered_revisions_outlast_a_compaction_and_the_rest_does_not() {
    let store = MemKv::new();
    let mut watcher = watch(&store, KeyRange::all(), 2).await;
    let mut slow = watch(&store, KeyRange::all(), 2).await;
    write_many(&store, "a", 128).await;
    store.compact(rev(129)).await.unwrap();
    for revision in 2..=129 {
        assert_eq!(event_revisions(&mut *watcher).await, (revision, vec![revision]));
    }
    write(&store, "a", "").await;
    assert_eq!(event_revisions(&mut *watcher).await, (130, vec![130]));

    store.compact(rev(130)).await.unwrap();
    write_many(&store, "a", 2).await;
    for revision in 2..=129 {
        assert_eq!(event_revisions(&mut *slow).await, (revision, vec![revision]));
    }
    let rest = (132, vec![130, 131, 132]);
    assert_eq!(event_revisions(&mut *slow).await, rest);
}

// W7
// W22
// X-O
#[tokio::test]
async fn overflowed_buffer_is_delivered_before_the_compaction_is_told() {
    let store = MemKv::builder().with_watch_buffer_revisions(3).build();
    let mut watcher = watch(&store, KeyRange::all(), 2).await;
    write_many(&store, "a", 10).await;
    store.compact(rev(8)).await.unwrap();
    for revision in 2..5 {
        assert_eq!(event_revisions(&mut *watcher).await, (revision, vec![revision]));
    }
    assert_compacted(&mut *watcher, 8).await;
}

// W7
#[tokio::test]
async fn without_a_buffer_every_watch_behind_a_compaction_is_told() {
    let store = MemKv::builder().with_watch_buffer_revisions(0).build();
    let mut behind = watch(&store, KeyRange::all(), 2).await;
    let mut unconcerned = watch(&store, KeyRange::key("b"), 2).await;
    write_many(&store, "a", 2).await;
    store.compact(rev(3)).await.unwrap();
    assert_compacted(&mut *behind, 3).await;
    write(&store, "b", "").await;
    assert_eq!(event_revisions(&mut *unconcerned).await, (4, vec![4]));
}

// X-J
#[tokio::test(start_paused = true)]
async fn quiet_watch_is_untouched_by_a_compaction() {
    let store = MemKv::new();
    let mut watcher = watch(&store, KeyRange::key("quiet"), 2).await;
    write_many(&store, "busy", 500).await;
    store.compact(rev(501)).await.unwrap();
    assert_silent(&mut *watcher).await;
    write(&store, "quiet", "").await;
    assert_eq!(event_revisions(&mut *watcher).await, (502, vec![502]));
}

// W22
#[tokio::test]
async fn buffered_revision_keeps_what_a_compaction_takes_from_it() {
    let store = MemKv::new();
    let mut live = watch(&store, KeyRange::all(), 2).await;
    let request = TxnRequest::new([put("a", ""), delete(KeyRange::all())]);
    store.txn(request).await.unwrap();
    store.compact(rev(2)).await.unwrap();
    assert_eq!(events(&mut *live).await.1.len(), 2);
    let mut late = watch(&store, KeyRange::all(), 2).await;
    assert_eq!(events(&mut *late).await.1, [delete_event("a", 2)]);
}
