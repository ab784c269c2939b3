//! Ends of watchers.

use super::support::Seen::{Canceled, Compacted, Created, Events, NotCreated, Progress};
use super::support::{Client, all, compact, imitating, one, put, put_many};
use crate::MemKv;

// W19
// X-D
#[tokio::test]
async fn cancelled_watcher_gets_one_answer_and_no_events() {
    let kv = MemKv::new();
    let client = Client::watching(&kv, [all(0), all(0)]);
    put(&kv, "a").await;
    assert_eq!(client.rest(), [Events(0, 2, vec![2]), Events(1, 2, vec![2])]);
    client.cancel(0);
    put(&kv, "a").await;
    assert_eq!(client.rest(), [Canceled(0, 2), Events(1, 3, vec![3])]);
    client.cancel(0);
    client.cancel(9);
    assert_eq!(client.rest(), []);
}

// W19
#[tokio::test]
async fn what_was_on_the_stream_comes_before_the_answer_to_a_cancellation() {
    let kv = MemKv::new();
    let client = Client::watching(&kv, [all(0).with_prev_kv()]);
    put_many(&kv, "a", 2).await;
    client.cancel(0);
    assert_eq!(client.next(), Some(Events(0, 2, vec![2])));
    assert!(client.events()[0].prev_kv.is_some());
    assert_eq!(client.rest(), [Canceled(0, 3)]);
}

// W19
#[tokio::test]
async fn cancelled_backlog_is_not_delivered() {
    let kv = MemKv::new();
    put_many(&kv, "a", 2).await;
    let client = Client::watching(&kv, [all(1)]);
    client.cancel(0);
    assert_eq!(client.rest(), [Canceled(0, 3)]);
}

// W7
#[tokio::test]
async fn watcher_that_a_compaction_overtakes_is_cancelled() {
    let kv = MemKv::builder().with_watch_buffer_revisions(2).build();
    let client = Client::watching(&kv, [all(0)]);
    put_many(&kv, "a", 4).await;
    compact(&kv, 5).await;
    let expected = [Events(0, 2, vec![2]), Events(0, 3, vec![3]), Compacted(0, 5)];
    assert_eq!(client.rest(), expected);
    put(&kv, "a").await;
    assert_eq!(client.rest(), []);
}

// X-F
#[tokio::test]
async fn compacted_watcher_keeps_its_id_until_it_is_cancelled() {
    let kv = MemKv::new();
    put_many(&kv, "a", 4).await;
    compact(&kv, 5).await;
    let client = Client::watching(&kv, [all(2)]);
    assert_eq!(client.rest(), [Compacted(0, 5)]);
    client.create(3, all(2));
    client.create(3, all(0));
    let duplicate = "mvcc: duplicate watch ID provided on the WatchStream";
    assert_eq!(client.rest(), [Created(3, 5), NotCreated(5, duplicate), Compacted(3, 5)]);
    client.cancel(3);
    client.create(3, all(0));
    assert_eq!(client.rest(), [Canceled(3, 5), Created(3, 5)]);
    client.cancel(0);
    client.cancel(0);
    assert_eq!(client.rest(), [Canceled(0, 5)]);
}

// X-F
#[tokio::test]
async fn compacted_watcher_silences_progress_of_its_stream_until_it_is_cancelled() {
    for version in ["3.4.31", "3.5.13", "3.5.30", "3.7"] {
        let kv = imitating(version).build();
        put_many(&kv, "a", 4).await;
        compact(&kv, 5).await;
        let client = Client::watching(&kv, [all(0), all(2)]);
        assert_eq!(client.rest(), [Compacted(1, 5)]);
        client.request_progress();
        assert_eq!(client.rest(), []);
        client.cancel(1);
        client.request_progress();
        assert_eq!(client.rest(), [Canceled(1, 5), Progress(-1, 5)]);
    }
}

// X-F
#[tokio::test]
async fn compacted_watcher_does_not_silence_progress_of_old_versions() {
    for version in ["3.4.23", "3.5.1"] {
        let kv = imitating(version).build();
        put_many(&kv, "a", 4).await;
        compact(&kv, 5).await;
        let client = Client::watching(&kv, [all(2)]);
        assert_eq!(client.rest(), [Compacted(0, 5)]);
        client.request_progress();
        assert_eq!(client.rest(), [Progress(-1, 5)]);
    }
}

// X-J
#[tokio::test]
async fn watcher_of_the_present_or_the_future_is_untouched_by_a_compaction() {
    let kv = MemKv::new();
    put(&kv, "a").await;
    let client = Client::watching(&kv, [all(0), all(5), one("b", 0)]);
    put_many(&kv, "b", 2).await;
    compact(&kv, 4).await;
    put(&kv, "a").await;
    let seen = client.rest();
    let of = |watcher| seen.iter().filter(move |s| matches!(s, Events(id, ..) if *id == watcher));
    assert_eq!(
        of(0).collect::<Vec<_>>(),
        [&Events(0, 3, vec![3]), &Events(0, 4, vec![4]), &Events(0, 5, vec![5])]
    );
    assert_eq!(of(1).collect::<Vec<_>>(), [&Events(1, 5, vec![5])]);
    assert_eq!(of(2).collect::<Vec<_>>(), [&Events(2, 3, vec![3]), &Events(2, 4, vec![4])]);
}
