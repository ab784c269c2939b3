//! Watchers that are up to date.

use bytes::Bytes;
use tailetc_core::backend::{Event, KeyRange, KvBackend, TxnRequest, WatchRequest};

use super::support::Seen::{Events, Progress};
use super::support::{Client, all, compact, delete, one, put, put_together, rev};
use crate::MemKv;

fn keys(events: &[Event]) -> Vec<&[u8]> {
    events.iter().map(|event| &event.kv.key[..]).collect()
}

// W4
#[tokio::test]
async fn start_in_the_future_waits() {
    let kv = MemKv::new();
    let client = Client::watching(&kv, [all(4)]);
    for _ in 0..3 {
        put(&kv, "a").await;
    }
    assert_eq!(client.rest(), [Events(0, 4, vec![4])]);
}

// W8
// W9
#[tokio::test]
async fn every_watcher_gets_its_part_of_a_revision_in_one_response_of_its_own() {
    let kv = MemKv::new();
    let range = WatchRequest::new(KeyRange::span("b", "d"), rev(0));
    let client = Client::watching(&kv, [one("a", 0), range, all(0), one("x", 0)]);
    put_together(&kv, &["c", "a", "b", "e"]).await;
    put(&kv, "b").await;
    let parts: [&[&str]; 5] = [&["a"], &["c", "b"], &["c", "a", "b", "e"], &["b"], &["b"]];
    for (id, part) in [0, 1, 2, 1, 2].into_iter().zip(parts) {
        let response = client.stream.try_next().expect("a response");
        assert_eq!(response.watch_id, id);
        assert_eq!(keys(&response.events), part.iter().map(|k| k.as_bytes()).collect::<Vec<_>>());
        assert!(response.events.iter().all(|e| e.revision() == response.header.revision));
    }
    assert_eq!(client.rest(), []);
}

// W9
#[tokio::test]
async fn ranges_end_where_they_say() {
    let kv = MemKv::new();
    let ranges = [("b", "d"), ("b", "c"), ("b", ""), ("c", "\0"), ("a", "b"), ("b", "b\0")];
    let requests =
        ranges.map(|(key, end)| WatchRequest::new(KeyRange::from_wire(key, end), rev(0)));
    let client = Client::watching(&kv, requests.clone());
    for key in ["a", "b", "b\0", "bz", "c", "d", "\u{ff}"] {
        put(&kv, key).await;
        let told: Vec<i64> = client
            .rest()
            .into_iter()
            .map(|seen| if let Events(id, ..) = seen { id } else { panic!("{seen:?}") })
            .collect();
        let concerned = (0..).zip(&requests).filter(|(_, r)| r.range.contains(key.as_bytes()));
        assert_eq!(told, concerned.map(|(id, _)| id).collect::<Vec<i64>>(), "{key}");
    }
}

// W13
#[tokio::test]
async fn filtered_events_are_left_out_and_a_response_of_nothing_else_is_not_sent() {
    let kv = MemKv::new();
    let no_put = all(0).with_no_put();
    let no_delete = all(0).with_no_delete();
    let neither = all(0).with_no_put().with_no_delete();
    let client = Client::watching(&kv, [no_put, no_delete, neither]);
    put(&kv, "a").await;
    assert_eq!(client.rest(), [Events(1, 2, vec![2])]);
    delete(&kv, "a").await;
    assert_eq!(client.rest(), [Events(0, 3, vec![3])]);
    put_together(&kv, &["a", "b"]).await;
    assert_eq!(client.rest(), [Events(1, 4, vec![4, 4])]);
}

// W13
#[tokio::test]
async fn watcher_is_synced_behind_filtered_events() {
    let kv = MemKv::builder().with_watch_buffer_revisions(1).build();
    let client = Client::watching(&kv, [all(0).with_no_put()]);
    for _ in 0..3 {
        put(&kv, "a").await;
    }
    client.request_progress();
    assert_eq!(client.rest(), [Progress(-1, 4)]);
    delete(&kv, "a").await;
    assert_eq!(client.rest(), [Events(0, 5, vec![5])]);
}

// W12
#[tokio::test]
async fn prev_kv_is_looked_up_when_the_response_is_sent() {
    let kv = MemKv::new();
    put(&kv, "a").await;
    let client = Client::watching(&kv, [all(0).with_prev_kv()]);
    put(&kv, "a").await;
    put(&kv, "a").await;
    let before = |events: Vec<Event>| events[0].prev_kv.clone().map(|kv| kv.mod_revision.get());
    assert_eq!(before(client.events()), Some(2));
    compact(&kv, 4).await;
    assert_eq!(before(client.events()), None);
}

// W11
// L7
#[tokio::test]
async fn deletions_of_every_kind_are_bare() {
    let kv = MemKv::new();
    let client = Client::watching(&kv, [all(0).with_no_put()]);
    let lease = kv.lease_grant(tailetc_core::LeaseId::NONE, 60).await.unwrap().id;
    for key in ["a", "b"] {
        let leased = tailetc_core::backend::PutRequest::new(key, "v").with_lease(lease);
        kv.txn(TxnRequest::new([leased.into()])).await.unwrap();
    }
    delete(&kv, "a").await;
    kv.lease_revoke(lease).await.unwrap();
    for (key, revision) in [("a", 4), ("b", 5)] {
        let expected = tailetc_core::backend::KeyValue {
            key: Bytes::from_static(key.as_bytes()),
            mod_revision: rev(revision),
            ..Default::default()
        };
        let events = client.events();
        assert_eq!((events.len(), &events[0].kv), (1, &expected));
    }
}
