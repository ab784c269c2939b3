use std::time::Duration;

use tailetc_core::backend::{KeyRange, KvBackend, WatchRequest};
use tailetc_memkv::MemKv;
use tokio::time::{Instant, advance};

use crate::support::{assert_silent, event_revisions, open, progress, rev, watch, write};

// W16
#[tokio::test(start_paused = true)]
async fn progress_of_an_idle_watch_is_the_current_revision() {
    let store = MemKv::new();
    let mut watcher = watch(&store, KeyRange::key("quiet"), 2).await;
    for _ in 0..5 {
        write(&store, "busy", "").await;
    }
    watcher.request_progress().await.unwrap();
    assert_eq!(progress(&mut *watcher).await, 6);
    assert_silent(&mut *watcher).await;
}

// W18
#[tokio::test]
async fn progress_comes_after_the_events_it_covers_and_before_later_ones() {
    let store = MemKv::new();
    let mut watcher = watch(&store, KeyRange::all(), 2).await;
    write(&store, "a", "").await;
    watcher.request_progress().await.unwrap();
    write(&store, "a", "").await;
    assert_eq!(event_revisions(&mut *watcher).await, (2, vec![2]));
    assert_eq!(progress(&mut *watcher).await, 2);
    assert_eq!(event_revisions(&mut *watcher).await, (3, vec![3]));
}

// W16
#[tokio::test(start_paused = true)]
async fn request_while_catching_up_is_dropped() {
    let store = MemKv::new();
    for _ in 0..3 {
        write(&store, "a", "").await;
    }
    let mut watcher = watch(&store, KeyRange::all(), 2).await;
    watcher.request_progress().await.unwrap();
    assert_eq!(event_revisions(&mut *watcher).await, (4, vec![2, 3, 4]));
    assert_silent(&mut *watcher).await;
    watcher.request_progress().await.unwrap();
    assert_eq!(progress(&mut *watcher).await, 4);
}

// W16
#[tokio::test]
async fn watch_with_nothing_to_catch_up_with_answers() {
    let store = MemKv::new();
    write(&store, "busy", "").await;
    write(&store, "busy", "").await;
    let mut watcher = watch(&store, KeyRange::key("quiet"), 1).await;
    watcher.request_progress().await.unwrap();
    assert_eq!(progress(&mut *watcher).await, 3);
}

// W16
#[tokio::test(start_paused = true)]
async fn request_before_the_start_is_dropped() {
    let store = MemKv::new();
    let mut watcher = watch(&store, KeyRange::key("quiet"), 3).await;
    watcher.request_progress().await.unwrap();
    write(&store, "busy", "").await;
    watcher.request_progress().await.unwrap();
    assert_silent(&mut *watcher).await;
    write(&store, "busy", "").await;
    watcher.request_progress().await.unwrap();
    assert_eq!(progress(&mut *watcher).await, 3);
}

// W16
#[tokio::test(start_paused = true)]
async fn watch_from_now_on_answers_at_once() {
    let store = MemKv::new();
    let mut watcher = watch(&store, KeyRange::all(), 0).await;
    watcher.request_progress().await.unwrap();
    assert_eq!(progress(&mut *watcher).await, 1);
}

// W16
#[tokio::test(start_paused = true)]
async fn requests_beyond_the_buffer_are_dropped() {
    let store = MemKv::builder().with_watch_buffer_revisions(2).build();
    let mut watcher = watch(&store, KeyRange::all(), 0).await;
    for _ in 0..9 {
        watcher.request_progress().await.unwrap();
    }
    assert_eq!(progress(&mut *watcher).await, 1);
    assert_eq!(progress(&mut *watcher).await, 1);
    assert_silent(&mut *watcher).await;
}

// W15
#[tokio::test(start_paused = true)]
async fn idle_watch_that_asked_for_it_is_told_at_every_tick() {
    let interval = Duration::from_secs(600);
    let store = MemKv::new();
    let request = WatchRequest::new(KeyRange::key("quiet"), rev(2)).with_progress_notify();
    let mut watcher = open(&store, request).await;
    let began = Instant::now();
    write(&store, "busy", "").await;
    assert_eq!(progress(&mut *watcher).await, 2);
    assert_eq!(progress(&mut *watcher).await, 2);
    assert_eq!(began.elapsed().as_secs(), 2 * interval.as_secs());

    advance(interval / 2).await;
    write(&store, "quiet", "").await;
    assert_eq!(event_revisions(&mut *watcher).await, (3, vec![3]));
    assert_eq!(progress(&mut *watcher).await, 3);
    // The tick after the events is left out.
    assert_eq!(began.elapsed().as_secs(), 4 * interval.as_secs());
}

// W15
#[tokio::test(start_paused = true)]
async fn unsolicited_progress_waits_for_the_start() {
    let store = MemKv::builder().with_progress_notify_interval(Duration::from_secs(1)).build();
    let request = WatchRequest::new(KeyRange::key("quiet"), rev(2)).with_progress_notify();
    let mut watcher = open(&store, request).await;
    let waited = tokio::time::timeout(Duration::from_secs(5), watcher.next()).await;
    assert!(waited.is_err());
    write(&store, "busy", "").await;
    assert_eq!(progress(&mut *watcher).await, 2);
}

// W17
#[tokio::test]
async fn progress_is_called_reliable_where_the_version_synchronises_it() {
    let reliable = [("3.4.30", false), ("3.4.31", true), ("3.5.12", false), ("3.5.13", true)];
    for (version, reliable) in reliable.into_iter().chain([("3.6.0", true), ("3.7.1", true)]) {
        let store = MemKv::builder().with_imitate(version.parse().unwrap()).build();
        assert_eq!(store.capabilities().reliable_progress, reliable, "{version}");
    }
}

// W17
#[tokio::test]
async fn unreliable_progress_overtakes_the_backlog() {
    let store = MemKv::builder().with_imitate("3.5.1".parse().unwrap()).build();
    write(&store, "a", "").await;
    let mut watcher = watch(&store, KeyRange::all(), 2).await;
    watcher.request_progress().await.unwrap();
    assert_eq!(progress(&mut *watcher).await, 2);
    assert_eq!(event_revisions(&mut *watcher).await, (2, vec![2]));
}
