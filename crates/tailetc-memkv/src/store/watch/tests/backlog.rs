//! Watchers that catch up.

use tailetc_core::backend::{KeyRange, WatchRequest};

use super::support::Seen::{Created, Events};
use super::support::{
    Client, Seen, all, compact, delete, imitating, one, put, put_many, put_together, rev,
};
use crate::{Fault, MemKv};

fn revisions(from: i64, to: i64) -> Vec<i64> {
    (from..=to).collect()
}

// W10
// X-N
#[tokio::test]
async fn batch_has_a_thousand_revisions_that_concern_the_watcher() {
    let kv = MemKv::new();
    for _ in 0..1001 {
        put(&kv, "a").await;
        put(&kv, "b").await;
    }
    let client = Client::watching(&kv, [one("a", 1)]);
    let of_a: Vec<i64> = (0..1001).map(|n| 2 + 2 * n).collect();
    assert_eq!(
        client.rest(),
        [Events(0, 2003, of_a[..1000].to_vec()), Events(0, 2003, of_a[1000..].to_vec())]
    );
}

// W10
// X-N
#[tokio::test]
async fn writes_during_the_catch_up_are_in_its_last_batch() {
    let kv = MemKv::new();
    put_many(&kv, "a", 1500).await;
    let client = Client::watching(&kv, [all(2)]);
    assert_eq!(client.next(), Some(Events(0, 1501, revisions(2, 1001))));
    put_many(&kv, "a", 2).await;
    assert_eq!(client.next(), Some(Events(0, 1503, revisions(1002, 1503))));
    put(&kv, "a").await;
    assert_eq!(client.rest(), [Events(0, 1504, vec![1504])]);
}

// W10
#[tokio::test]
async fn watchers_of_a_stream_catch_up_in_turns() {
    let kv = MemKv::new();
    put_many(&kv, "a", 1500).await;
    let client = Client::watching(&kv, []);
    client.create(0, all(2));
    client.create(0, all(502));
    assert_eq!(
        client.rest(),
        [
            Created(0, 1501),
            Created(1, 1501),
            Events(0, 1501, revisions(2, 1001)),
            Events(1, 1501, revisions(502, 1501)),
            Events(0, 1501, revisions(1002, 1501)),
        ]
    );
}

// W10
// W13
#[tokio::test]
async fn batch_counts_revisions_before_the_filters() {
    let kv = MemKv::new();
    for _ in 0..600 {
        put(&kv, "a").await;
        delete(&kv, "a").await;
    }
    let client = Client::watching(&kv, [all(1).with_no_put()]);
    let batches: Vec<usize> = client
        .rest()
        .into_iter()
        .map(|seen| if let Events(_, 1201, of) = seen { of.len() } else { panic!("{seen:?}") })
        .collect();
    assert_eq!(batches, [500, 100]);
}

// W22
// X-O
#[tokio::test]
async fn full_stream_has_its_single_revisions_and_then_the_rest_at_once() {
    let kv = MemKv::new();
    let client = Client::watching(&kv, [all(0)]);
    put_many(&kv, "a", 300).await;
    for revision in 2..130 {
        assert_eq!(client.next(), Some(Events(0, revision, vec![revision])));
    }
    put(&kv, "a").await;
    assert_eq!(client.next(), Some(Events(0, 302, revisions(130, 302))));
    put(&kv, "a").await;
    assert_eq!(client.rest(), [Events(0, 303, vec![303])]);
}

// W22
#[tokio::test]
async fn watchers_of_a_stream_share_its_buffer() {
    let kv = MemKv::new();
    let client = Client::watching(&kv, [all(0), all(0), one("b", 0)]);
    put_many(&kv, "a", 64).await;
    put(&kv, "b").await;
    let seen = client.rest();
    assert_eq!(seen.len(), 128 + 3);
    let rest = [0, 1, 2].map(|id| Events(id, 66, vec![66]));
    assert_eq!(seen[128..], rest);
}

// W22
// W7
#[tokio::test]
async fn stream_that_is_full_of_others_is_behind_a_compaction_for_all() {
    let kv = MemKv::builder().with_watch_buffer_revisions(2).build();
    let client = Client::watching(&kv, [one("a", 0), one("b", 0)]);
    put_many(&kv, "a", 2).await;
    put(&kv, "b").await;
    put(&kv, "a").await;
    compact(&kv, 5).await;
    let seen = client.rest();
    let singles = [Events(0, 2, vec![2]), Events(0, 3, vec![3])];
    assert_eq!(seen[..2], singles);
    // Watcher 0 lost nothing below the compaction.
    assert_eq!(seen[2..], [Seen::Compacted(1, 5), Events(0, 5, vec![5])]);
}

// X-L
#[tokio::test]
async fn start_at_the_compaction_has_its_deletion_except_in_old_versions() {
    let deletion = || vec![Events(0, 3, vec![3])];
    for (version, expected) in [("3.7", deletion()), ("3.5.30", deletion()), ("3.4.23", vec![])] {
        let kv = imitating(version).build();
        put(&kv, "a").await;
        delete(&kv, "a").await;
        compact(&kv, 3).await;
        let client = Client::watching(&kv, [all(3)]);
        assert_eq!(client.rest(), expected, "{version}");
    }
}

// X-M
#[tokio::test]
async fn prev_kv_is_absent_at_the_compaction_and_present_above() {
    let kv = MemKv::new();
    put_many(&kv, "a", 4).await;
    compact(&kv, 4).await;
    let client = Client::watching(&kv, [all(4).with_prev_kv()]);
    let before: Vec<_> = client.events().into_iter().map(|event| event.prev_kv).collect();
    assert_eq!(before.len(), 2);
    assert!(before[0].is_none() && before[1].is_some());
}

/// The fault, so that the tests of the tests have something to find.
#[tokio::test]
async fn faulty_catch_up_splits_the_last_revision() {
    let kv = MemKv::builder().with_fault(Fault::SplitRevision).build();
    put_together(&kv, &["a", "b"]).await;
    put_together(&kv, &["a", "b", "c"]).await;
    let whole = WatchRequest::new(KeyRange::key("a"), rev(1));
    let client = Client::watching(&kv, [all(1), whole]);
    assert_eq!(
        client.rest(),
        [Events(0, 3, vec![2, 2, 3, 3]), Events(0, 3, vec![3]), Events(1, 3, vec![2, 3]),]
    );
}
