//! Opening watchers.

use tailetc_core::backend::{KeyRange, WatchRequest};

use super::support::Seen::{Canceled, Compacted, Created, Events, NotCreated, Progress};
use super::support::{Client, all, compact, imitating, one, put, put_many, rev};
use crate::MemKv;

const DUPLICATE: &str = "mvcc: duplicate watch ID provided on the WatchStream";
const EMPTY: &str = "mvcc: watcher range is empty";
const COMPACTED: &str = "etcdserver: mvcc: required revision has been compacted";

fn span(key: &'static str, end: &'static str, start: i64) -> WatchRequest {
    WatchRequest::new(KeyRange::from_wire(key, end), rev(start))
}

// W1
#[tokio::test]
async fn created_answer_has_the_current_revision_and_the_next_id() {
    let kv = MemKv::new();
    let client = Client::of(&kv);
    client.create(0, all(7));
    put(&kv, "a").await;
    client.create(0, all(1));
    client.create(0, all(0));
    let created = [Created(0, 1), Created(1, 2), Created(2, 2), Events(1, 2, vec![2])];
    assert_eq!(client.rest(), created);
}

// W1
#[tokio::test]
async fn id_of_the_client_that_is_taken_is_refused() {
    let kv = MemKv::new();
    let client = Client::of(&kv);
    client.create(7, all(0));
    client.create(7, one("a", 0));
    assert_eq!(client.rest(), [Created(7, 1), NotCreated(1, DUPLICATE)]);
    put(&kv, "a").await;
    assert_eq!(client.rest(), [Events(7, 2, vec![2])]);
}

// W1
#[tokio::test]
async fn ids_of_another_stream_are_free() {
    let kv = MemKv::new();
    for _ in 0..2 {
        let client = Client::of(&kv);
        client.create(7, all(0));
        client.create(0, all(0));
        assert_eq!(client.rest(), [Created(7, 1), Created(0, 1)]);
    }
}

// W2
#[tokio::test]
async fn range_without_keys_is_refused() {
    let client = Client::of(&MemKv::new());
    for (key, end) in [("a", "a"), ("b", "a")] {
        client.create(0, span(key, end, 0));
        assert_eq!(client.rest(), [NotCreated(1, EMPTY)]);
    }
}

// W2
#[tokio::test]
async fn empty_key_is_the_smallest_one() {
    let kv = MemKv::new();
    let client = Client::watching(&kv, [span("", "", 0), span("", "b", 0), span("", "\0", 0)]);
    put(&kv, "\0").await;
    assert_eq!(
        client.rest(),
        [Events(0, 2, vec![2]), Events(1, 2, vec![2]), Events(2, 2, vec![2])]
    );
    put(&kv, "b").await;
    assert_eq!(client.rest(), [Events(2, 3, vec![3])]);
}

// X-B
#[tokio::test]
async fn range_is_tested_before_the_id() {
    let client = Client::of(&MemKv::new());
    client.create(7, all(0));
    client.create(7, span("a", "a", 0));
    assert_eq!(client.rest(), [Created(7, 1), NotCreated(1, EMPTY)]);
}

// W5
#[tokio::test]
async fn start_below_zero_is_refused_before_the_range_and_the_id() {
    for version in ["3.4.38", "3.5.24", "3.6.6", "3.7"] {
        let client = Client::of(&imitating(version).build());
        client.create(7, all(0));
        client.create(7, span("a", "a", -1));
        assert_eq!(client.rest(), [Created(7, 1), NotCreated(1, COMPACTED)]);
    }
}

// W5
#[tokio::test]
async fn old_version_takes_a_start_of_minus_one_for_the_present() {
    for version in ["3.4.37", "3.5.23", "3.6.5"] {
        let kv = imitating(version).build();
        put(&kv, "a").await;
        let client = Client::of(&kv);
        client.create(0, all(-1));
        assert_eq!(client.rest(), [Created(0, 2)]);
        put(&kv, "a").await;
        assert_eq!(client.rest(), [Events(0, 3, vec![3])]);
    }
}

// W5
#[tokio::test]
async fn old_version_cancels_a_start_below_minus_one_as_compacted() {
    let client = Client::of(&imitating("3.5.1").build());
    client.create(0, all(-2));
    assert_eq!(client.rest(), [Created(0, 1), Compacted(0, -1)]);
}

// W5
#[tokio::test]
async fn old_version_does_not_say_that_it_cancels_behind_a_compaction_at_zero() {
    let kv = imitating("3.4.23").build();
    compact(&kv, 0).await;
    let client = Client::of(&kv);
    client.create(0, all(-1));
    assert_eq!(client.rest(), [Created(0, 1), Progress(0, 0)]);
    put(&kv, "a").await;
    assert_eq!(client.rest(), []);
    client.cancel(0);
    assert_eq!(client.rest(), [Canceled(0, 2)]);
}

// W6
#[tokio::test]
async fn start_behind_a_compaction_is_created_and_then_cancelled() {
    let kv = MemKv::new();
    put_many(&kv, "a", 5).await;
    compact(&kv, 4).await;
    let client = Client::of(&kv);
    client.create(0, all(3));
    assert_eq!(client.rest(), [Created(0, 6), Compacted(0, 4)]);
    client.create(0, all(4));
    assert_eq!(client.rest(), [Created(1, 6), Events(1, 6, vec![4, 5, 6])]);
}

// X-E
#[tokio::test]
async fn chosen_ids_skip_those_taken_and_are_not_used_again() {
    let client = Client::of(&MemKv::new());
    client.create(1, all(0));
    client.create(0, all(0));
    client.create(0, all(0));
    client.cancel(2);
    client.cancel(1);
    client.create(0, all(0));
    client.create(1, all(0));
    let ids = [0, 2].map(|id| Created(id, 1));
    assert_eq!(client.next(), Some(Created(1, 1)));
    assert_eq!([client.next(), client.next()], ids.map(Some));
    assert_eq!(client.rest(), [Canceled(2, 1), Canceled(1, 1), Created(3, 1), Created(1, 1)]);
}

// X-E
#[tokio::test]
async fn id_of_the_client_may_be_negative() {
    let kv = MemKv::new();
    let client = Client::of(&kv);
    client.create(-1, all(0));
    client.create(i64::MIN, all(0));
    assert_eq!(client.rest(), [Created(-1, 1), Created(i64::MIN, 1)]);
    put(&kv, "a").await;
    assert_eq!(client.rest(), [Events(i64::MIN, 2, vec![2]), Events(-1, 2, vec![2])]);
    client.cancel(-1);
    assert_eq!(client.rest(), [Canceled(-1, 2)]);
}

// X-E
#[tokio::test]
async fn refusal_leaves_the_watcher_minus_one_alone_except_in_old_versions() {
    for (version, withheld) in
        [("3.4.21", true), ("3.4.22", false), ("3.5.5", true), ("3.5.6", false), ("3.7", false)]
    {
        let kv = imitating(version).build();
        let client = Client::of(&kv);
        client.create(-1, all(0));
        client.create(-1, all(0));
        assert_eq!(client.rest(), [Created(-1, 1), NotCreated(1, DUPLICATE)]);
        put_many(&kv, "a", 2).await;
        let events = [Events(-1, 2, vec![2]), Events(-1, 3, vec![3])];
        if !withheld {
            assert_eq!(client.rest(), events, "{version}");
            continue;
        }
        assert_eq!(client.rest(), [], "{version}");
        client.cancel(-1);
        client.create(-1, all(0));
        let [first, second] = events;
        assert_eq!(client.rest(), [Canceled(-1, 3), Created(-1, 3), first, second], "{version}");
        put(&kv, "a").await;
        assert_eq!(client.rest(), [Events(-1, 4, vec![4])], "{version}");
    }
}
