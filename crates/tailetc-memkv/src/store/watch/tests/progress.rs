//! How far a stream has come.

use std::time::Duration;

use tokio::time::advance;

use super::support::Seen::{Canceled, Created, Events, Progress};
use super::support::{Client, all, delete, imitating, one, put, put_many};
use crate::{MemKv, MemKvOptions};

const SYNCHRONISED: [&str; 6] = ["3.4.31", "3.4", "3.5.13", "3.5.30", "3.6", "3.7"];
const DEFERRED: [&str; 4] = ["3.4.25", "3.4.30", "3.5.8", "3.5.12"];
const AT_ONCE: [&str; 4] = ["3.4.0", "3.4.24", "3.5.1", "3.5.7"];

const SECOND: Duration = Duration::from_secs(1);

fn every_second(options: MemKvOptions) -> MemKv {
    options.with_progress_notify_interval(SECOND).build()
}

// W16
// W18
#[tokio::test]
async fn progress_comes_behind_what_it_covers() {
    for version in SYNCHRONISED.into_iter().chain(DEFERRED) {
        let kv = imitating(version).build();
        let client = Client::watching(&kv, [all(0), one("a", 0)]);
        put(&kv, "a").await;
        client.request_progress();
        put(&kv, "b").await;
        let expected =
            [Events(0, 2, vec![2]), Events(1, 2, vec![2]), Progress(-1, 2), Events(0, 3, vec![3])];
        assert_eq!(client.rest(), expected, "{version}");
    }
}

// W16
#[tokio::test]
async fn request_is_lost_while_a_watcher_is_behind() {
    for version in SYNCHRONISED {
        let kv = imitating(version).build();
        put(&kv, "a").await;
        let client = Client::watching(&kv, [all(0), all(2)]);
        client.request_progress();
        assert_eq!(client.rest(), [Events(1, 2, vec![2])], "{version}");
        client.request_progress();
        assert_eq!(client.rest(), [Progress(-1, 2)], "{version}");
    }
}

// W16
#[tokio::test]
async fn stream_without_watchers_has_no_progress() {
    for version in SYNCHRONISED.into_iter().chain(DEFERRED) {
        let client = Client::of(&imitating(version).build());
        client.request_progress();
        assert_eq!(client.rest(), [], "{version}");
    }
}

// W16
#[tokio::test]
async fn request_to_a_full_stream_is_lost() {
    let kv = MemKv::builder().with_watch_buffer_revisions(1).build();
    let client = Client::watching(&kv, [all(0)]);
    put(&kv, "a").await;
    client.request_progress();
    assert_eq!(client.rest(), [Events(0, 2, vec![2])]);
}

// W16
// W4
#[tokio::test]
async fn watcher_from_the_future_silences_the_progress_of_its_stream() {
    for version in ["3.4.38", "3.5.22", "3.5.30", "3.6.2", "3.7"] {
        let kv = imitating(version).build();
        let client = Client::watching(&kv, [all(0), one("b", 3)]);
        put(&kv, "a").await;
        client.request_progress();
        assert_eq!(client.rest(), [Events(0, 2, vec![2])], "{version}");
        put(&kv, "a").await;
        client.request_progress();
        assert_eq!(client.rest(), [Events(0, 3, vec![3]), Progress(-1, 3)], "{version}");
    }
}

// W16
// W4
#[tokio::test]
async fn old_version_has_progress_below_the_start_of_a_watcher() {
    for version in ["3.4.37", "3.5.16", "3.5.21", "3.6.1", "3.5.8"] {
        let client = Client::watching(&imitating(version).build(), [all(0), all(5)]);
        client.request_progress();
        assert_eq!(client.rest(), [Progress(-1, 1)], "{version}");
    }
}

// W17
#[tokio::test]
async fn first_versions_answer_at_once_whatever_the_watchers_have_seen() {
    for version in AT_ONCE {
        let kv = imitating(version).build();
        let client = Client::of(&kv);
        client.request_progress();
        assert_eq!(client.rest(), [Progress(-1, 1)], "{version}");
        put_many(&kv, "a", 1001).await;
        client.create(0, all(2));
        client.create(0, all(5000));
        client.request_progress();
        let seen = client.rest();
        assert_eq!(seen[..3], [Created(0, 1002), Created(1, 1002), Progress(-1, 1002)]);
        assert_eq!(seen[3..].len(), 2, "{version}");
    }
}

// W17
#[tokio::test]
async fn middle_versions_defer_progress_until_the_next_response() {
    for version in DEFERRED {
        let kv = imitating(version).build();
        put_many(&kv, "a", 1001).await;
        let client = Client::watching(&kv, [all(2)]);
        client.request_progress();
        client.request_progress();
        let seen = client.rest();
        assert_eq!(seen.len(), 3, "{version}");
        assert_eq!(seen[1..], [Events(0, 1002, vec![1002]), Progress(-1, 1002)], "{version}");
        assert_eq!(client.rest(), []);
    }
}

// W17
#[tokio::test]
async fn middle_versions_leave_a_quiet_watcher_without_progress() {
    let kv = imitating("3.5.12").build();
    put_many(&kv, "a", 3).await;
    let client = Client::watching(&kv, [all(2)]);
    client.request_progress();
    client.cancel(0);
    client.create(0, all(0));
    client.request_progress();
    assert_eq!(client.rest(), [Canceled(0, 4), Created(1, 4)]);
    put(&kv, "a").await;
    assert_eq!(client.rest(), [Events(1, 5, vec![5]), Progress(-1, 5)]);
}

// W15
#[tokio::test(start_paused = true)]
async fn tick_is_for_those_who_asked_and_got_no_events_since_the_last_one() {
    let kv = every_second(MemKv::builder());
    let asked = || one("a", 0).with_progress_notify();
    let client = Client::watching(&kv, [asked(), one("b", 0).with_progress_notify(), one("b", 0)]);
    put(&kv, "a").await;
    assert_eq!(client.rest(), [Events(0, 2, vec![2])]);
    advance(SECOND).await;
    assert_eq!(client.rest(), [Progress(1, 2)]);
    assert_eq!(client.rest(), []);
    advance(SECOND).await;
    assert_eq!(client.rest(), [Progress(0, 2), Progress(1, 2)]);
    client.cancel(0);
    advance(SECOND).await;
    assert_eq!(client.rest(), [Canceled(0, 2), Progress(1, 2)]);
}

// W15
#[tokio::test(start_paused = true)]
async fn ticks_are_those_of_the_stream() {
    let kv = every_second(MemKv::builder());
    let client = Client::of(&kv);
    advance(SECOND * 5 / 2).await;
    client.create(0, all(0).with_progress_notify());
    assert_eq!(client.rest(), [Created(0, 1)]);
    advance(SECOND / 2).await;
    assert_eq!(client.rest(), [Progress(0, 1)]);
    advance(SECOND * 10).await;
    assert_eq!(client.rest(), [Progress(0, 1)]);
    advance(SECOND - Duration::from_millis(1)).await;
    assert_eq!(client.rest(), []);
    advance(Duration::from_millis(1)).await;
    assert_eq!(client.rest(), [Progress(0, 1)]);
}

// W15
#[tokio::test(start_paused = true)]
async fn tick_waits_for_the_start_of_a_watcher_except_in_old_versions() {
    for (version, expected) in [
        ("3.4.38", vec![]),
        ("3.5.22", vec![]),
        ("3.6.2", vec![]),
        ("3.4.37", vec![Progress(0, 1)]),
        ("3.5.21", vec![Progress(0, 1)]),
        ("3.6.1", vec![Progress(0, 1)]),
        ("3.4.0", vec![Progress(0, 1)]),
    ] {
        let kv = every_second(imitating(version));
        let client = Client::watching(&kv, [all(3).with_progress_notify()]);
        advance(SECOND).await;
        assert_eq!(client.rest(), expected, "{version}");
    }
}

// W15
#[tokio::test(start_paused = true)]
async fn interval_is_not_below_a_tenth_of_a_second() {
    let kv = MemKv::builder().with_progress_notify_interval(Duration::ZERO).build();
    let client = Client::watching(&kv, [all(0).with_progress_notify()]);
    advance(Duration::from_millis(99)).await;
    assert_eq!(client.rest(), []);
    advance(Duration::from_millis(1)).await;
    assert_eq!(client.rest(), [Progress(0, 1)]);
}

// W13
// W15
#[tokio::test(start_paused = true)]
async fn tick_passes_over_filtered_events() {
    let kv = every_second(MemKv::builder());
    let client = Client::watching(&kv, [all(0).with_no_put().with_progress_notify()]);
    put(&kv, "a").await;
    advance(SECOND).await;
    assert_eq!(client.rest(), [Progress(0, 2)]);
    delete(&kv, "a").await;
    advance(SECOND).await;
    assert_eq!(client.rest(), [Events(0, 3, vec![3])]);
}
