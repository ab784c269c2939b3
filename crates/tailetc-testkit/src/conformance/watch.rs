//! Following changes: what is delivered, in which order, and to whom.

use std::sync::Arc;

use tailetc_core::Revision;
use tailetc_core::backend::{
    BackendErrorKind, Event, KeyRange, KvBackend, TxnOp, TxnRequest, WatchRequest, WatchResponse,
};

use super::support::{
    Store, delete, delete_event, delete_key, exists, joined, nested, pair, put, put_event, read,
    rev, with_prev, within,
};

/// Each write is one event with the pair as written, each deletion one with key and revision only.
///
/// Rules: W11.
pub async fn watch_delivers_writes_and_deletions(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    let mut follow = store.follow(KeyRange::key("a"), 2).await;
    store.put("a", "1").await;
    store.put("a", "2").await;
    store.delete(KeyRange::key("a")).await;
    let last = store.put("a", "3").await;
    let expected = [
        put_event(pair("a", "1", 2, 2, 1)),
        put_event(pair("a", "2", 2, 3, 2)),
        delete_event("a", 4),
        put_event(pair("a", "3", 5, 5, 1)),
    ];
    assert_eq!(follow.until(last).await, expected);
}

/// An event shows the lease of its pair.
///
/// Rules: W11.
pub async fn watch_event_shows_the_lease(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    let lease = store.grant(0, 60).await.id;
    let mut follow = store.follow(KeyRange::key("a"), 2).await;
    let last = store.put_with_lease("a", lease).await;
    assert_eq!(follow.until(last).await[0].kv.lease, lease);
}

/// Writing the same value again is an event.
///
/// Rules: R4, W11.
pub async fn watch_delivers_a_write_of_the_same_value(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    let mut follow = store.follow(KeyRange::key("a"), 2).await;
    store.put("a", "1").await;
    let last = store.put("a", "1").await;
    let expected = [put_event(pair("a", "1", 2, 2, 1)), put_event(pair("a", "1", 2, 3, 2))];
    assert_eq!(follow.until(last).await, expected);
}

/// What changes nothing is no event.
///
/// Rules: R3, W8.
pub async fn watch_delivers_nothing_for_requests_without_change(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    let mut follow = store.follow(KeyRange::all(), 2).await;
    store.delete(KeyRange::key("a")).await;
    store.run([read("a"), delete_key("b")]).await;
    store.put("a", "1").await;
    assert_eq!(follow.events(1).await, [put_event(pair("a", "1", 2, 2, 1))]);
}

/// The events of a transaction come together, in the order of its operations.
///
/// Rules: W8.
pub async fn watch_delivers_a_txn_whole_and_in_its_order(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    store.put("m", "").await;
    let mut follow = store.follow(KeyRange::all(), 3).await;
    let ops = [put("z", "1"), delete_key("m"), put("y", "2"), put("x", "3"), put("a", "4")];
    let last = store.run(ops).await.header.revision;
    let expected = [
        put_event(pair("z", "1", 3, 3, 1)),
        delete_event("m", 3),
        put_event(pair("y", "2", 3, 3, 1)),
        put_event(pair("x", "3", 3, 3, 1)),
        put_event(pair("a", "4", 3, 3, 1)),
    ];
    assert_eq!(follow.until(last).await, expected);
}

/// Deletions of a range come in key order, whatever the order of creation.
///
/// Rules: P5, W8.
pub async fn watch_delivers_the_deletion_of_a_range_in_key_order(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    for key in ["c", "a", "d", "b"] {
        store.put(key, "").await;
    }
    let mut follow = store.follow(KeyRange::all(), 6).await;
    let (_, last) = store.delete(KeyRange::all()).await;
    let expected = ["a", "b", "c", "d"].map(|key| delete_event(key, 6));
    assert_eq!(follow.until(last).await, expected);
}

/// With the pair before asked for, each event carries it: none for a creation.
///
/// Rules: W12.
pub async fn watch_with_prev_kv_shows_the_pair_before(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    let request = WatchRequest::new(KeyRange::all(), rev(2)).with_prev_kv();
    let mut follow = store.follow_request(request).await;
    store.put("a", "1").await;
    store.put("a", "2").await;
    store.delete(KeyRange::key("a")).await;
    let last = store.put("a", "3").await;
    let (one, two) = (pair("a", "1", 2, 2, 1), pair("a", "2", 2, 3, 2));
    let expected = [
        put_event(one.clone()),
        with_prev(put_event(two.clone()), one),
        with_prev(delete_event("a", 4), two),
        put_event(pair("a", "3", 5, 5, 1)),
    ];
    assert_eq!(follow.until(last).await, expected);
}

/// A key put and then deleted in one transaction is two events of one revision; the pair before
/// both is that before the transaction.
///
/// Rules: T11, W12.
pub async fn watch_delivers_put_then_delete_of_a_key_in_one_txn(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    let request = WatchRequest::new(KeyRange::all(), rev(2)).with_prev_kv();
    let mut follow = store.follow_request(request).await;
    let both = || [nested([put("a", "2")]), nested([delete_key("a")])];
    store.run(both()).await;
    store.put("a", "1").await;
    let last = store.run(both()).await.header.revision;
    let before = pair("a", "1", 3, 3, 1);
    let expected = [
        put_event(pair("a", "2", 2, 2, 1)),
        delete_event("a", 2),
        put_event(before.clone()),
        with_prev(put_event(pair("a", "2", 3, 4, 2)), before.clone()),
        with_prev(delete_event("a", 4), before),
    ];
    assert_eq!(follow.until(last).await, expected);
}

/// A key deleted and then put in one transaction is two events of one revision; the put creates
/// the key anew and has no pair before it.
///
/// Rules: T11, W12.
pub async fn watch_delivers_delete_then_put_of_a_key_in_one_txn(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    store.put("a", "1").await;
    let request = WatchRequest::new(KeyRange::all(), rev(3)).with_prev_kv();
    let mut follow = store.follow_request(request).await;
    let ops = [delete(KeyRange::from_key("a")), put("a", "2")];
    let last = store.run(ops).await.header.revision;
    let expected = [
        with_prev(delete_event("a", 3), pair("a", "1", 2, 2, 1)),
        put_event(pair("a", "2", 3, 3, 1)),
    ];
    assert_eq!(follow.until(last).await, expected);
}

/// A watch delivers the changes of its range and no other, a transaction's part included.
///
/// Rules: W2, W8.
pub async fn watch_delivers_only_its_range(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    let ranges = [
        KeyRange::key("b"),
        KeyRange::span("b", "d"),
        KeyRange::from_key("c"),
        KeyRange::prefix("b"),
        KeyRange::prefix(&b"\xff"[..]),
        KeyRange::all(),
    ];
    let mut follows = Vec::new();
    for range in ranges {
        follows.push((store.follow(range.clone(), 2).await, range));
    }
    let keys: [&[u8]; 8] = [b"a", b"b", b"b\0", b"bb", b"c", b"d", b"\xff", b"\xff\xff"];
    store.run(keys.map(|key| put(key, "together"))).await;
    for key in keys {
        store.put(key, "alone").await;
    }
    store.delete(KeyRange::all()).await;
    for (mut follow, range) in follows {
        let expected: Vec<&[u8]> = keys.into_iter().filter(|key| range.contains(key)).collect();
        let events = follow.events(3 * expected.len()).await;
        let seen: Vec<&[u8]> = events.iter().map(|event| &event.kv.key[..]).collect();
        assert_eq!(seen, expected.repeat(3), "{range:?}");
    }
}

/// An empty key stands for the key of one zero byte (etcd: `server/etcdserver/api/v3rpc/watch.go`).
///
/// Rules: W2.
pub async fn watch_of_an_empty_key_is_that_of_the_zero_byte(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    let mut single = store.follow(KeyRange::key(""), 2).await;
    let mut every = store.follow(KeyRange::from_wire("", "\0"), 2).await;
    store.put("a", "1").await;
    let last = store.put("\0", "2").await;
    let zero = put_event(pair("\0", "2", 3, 3, 1));
    assert_eq!(single.until(last).await, [zero]);
    assert_eq!(every.until(last).await.len(), 2);
}

/// A range that cannot hold a key is refused.
///
/// Rules: W2.
pub async fn watch_of_an_empty_range_is_refused(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    for range in [KeyRange::span("b", "a"), KeyRange::from_wire("a", "a")] {
        let refusal = store.watch_failure(WatchRequest::new(range, rev(2))).await;
        assert_eq!(refusal.kind(), BackendErrorKind::EmptyRange, "{refusal}");
    }
}

/// A watch from zero on begins after its registration: it delivers everything that is written
/// once it is confirmed, and nothing from before it was asked for.
///
/// Rules: W3.
pub async fn watch_from_zero_delivers_what_follows_its_confirmation(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    store.put("a", "before").await;
    let mut follow = store.follow(KeyRange::all(), 0).await;
    let last = store.put("a", "after").await;
    let after = put_event(pair("a", "after", 2, 3, 2));
    assert_eq!(follow.until(last).await, [after]);
}

/// A watch from a revision still to come waits for it and delivers nothing older.
///
/// Rules: W4.
pub async fn watch_from_the_future_delivers_nothing_older(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    let mut follow = store.follow(KeyRange::all(), 5).await;
    let mut last = Revision::ZERO;
    for value in ["2", "3", "4", "5", "6"] {
        last = store.put("a", value).await;
    }
    let events = follow.until(last).await;
    let values: Vec<_> = events.iter().map(|event| &event.kv.value[..]).collect();
    assert_eq!(values, [b"5", b"6"]);
}

/// Watches do not disturb each other: each of many, from different revisions and on different
/// keys, delivers what it should.
///
/// Rules: W4, B3.
pub async fn watches_of_one_store_are_independent(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    let write_all = async |value: &'static str| {
        for n in 0..10 {
            store.put(format!("k{n}"), value).await;
        }
    };
    write_all("old").await;
    let mut follows = Vec::new();
    for start in [2, 12] {
        for n in 0..10 {
            let key = format!("k{n}");
            let follow = store.follow(KeyRange::key(key.clone()), start).await;
            follows.push((follow, key, start));
        }
        follows.push((store.follow(KeyRange::all(), start).await, "".into(), start));
    }
    write_all("new").await;
    for (mut follow, key, start) in follows {
        let per_round = if key.is_empty() { 10 } else { 1 };
        let rounds = if start == 2 { 2 } else { 1 };
        let events = follow.events(rounds * per_round).await;
        let mine = |event: &Event| key.is_empty() || event.kv.key == key;
        assert!(events.iter().all(mine), "watch of {key:?}: {events:?}");
        assert!(events.iter().all(|event| event.revision() >= rev(start)));
    }
}

/// Dropping one watch leaves the others and the store alone.
///
/// Rules: W19, B3.
pub async fn watch_dropped_does_not_disturb_another(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    let mut stays = store.follow(KeyRange::all(), 2).await;
    for round in 0..10 {
        let goes = store.follow(KeyRange::all(), 2).await;
        store.put("a", round.to_string()).await;
        drop(goes);
    }
    let last = store.put("a", "last").await;
    assert_eq!(stays.until(last).await.len(), 11);
}

/// Dropping a `next` that is not ready, again and again while the store is written, loses nothing.
///
/// Rules: B3.
pub async fn watch_next_dropped_midway_loses_nothing(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    let mut follow = store.follow(KeyRange::all(), 2).await;
    let writer = store.clone();
    let writing = tokio::spawn(async move {
        for n in 0..200 {
            writer.put("a", n.to_string()).await;
        }
    });
    let mut values = Vec::new();
    while values.len() < 200 {
        let response = within("the next event, with every poll dropped at once", async {
            loop {
                if let Some(response) = follow.poll_and_drop().await {
                    break response;
                }
            }
        });
        if let WatchResponse::Events { events, .. } = response.await {
            values.extend(events.into_iter().map(|event| event.kv.value));
        }
    }
    let expected: Vec<_> = (0..200).map(|n: i32| n.to_string()).collect();
    assert_eq!(values, expected);
    joined("the writer", writing).await;
}

/// A large transaction of large values is delivered whole.
///
/// Rules: W8, W14.
pub async fn watch_delivers_a_txn_of_a_megabyte_whole(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    let request = WatchRequest::new(KeyRange::all(), rev(2)).with_prev_kv();
    let mut follow = store.follow_request(request).await;
    let count = store.capabilities().max_txn_ops.min(100);
    let size = store.capabilities().max_request_bytes / 2 / count;
    let all = |byte| (0..count).map(move |n| put(format!("k{n:03}"), vec![byte; size]));
    for byte in [b'1', b'2', b'3'] {
        store.run(all(byte)).await;
    }
    let last = store.run(all(b'4')).await.header.revision;
    let events = follow.until(last).await;
    assert_eq!(events.len(), 4 * count);
    for (n, event) in events.iter().enumerate() {
        let round = n / count;
        assert_eq!(event.kv.key, format!("k{:03}", n % count));
        assert_eq!(event.revision(), rev(2 + round as i64));
        assert!(event.kv.value == vec![b'1' + round as u8; size]);
        assert_eq!(event.prev_kv.is_some(), round > 0);
    }
}

/// A key deleted, put and deleted again in one transaction is three events of one revision. The
/// pair before each deletion is that before the transaction.
///
/// Rules: R2, T11, W11, W12.
pub async fn watch_delivers_three_changes_of_a_key_in_one_txn(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    store.put("a", "1").await;
    let request = WatchRequest::new(KeyRange::all(), rev(3)).with_prev_kv();
    let mut follow = store.follow_request(request).await;
    let from_a = || delete(KeyRange::from_key("a"));
    let ops = [from_a(), nested([put("a", "2")]), nested([from_a()])];
    let last = store.run(ops).await.header.revision;
    let before = pair("a", "1", 2, 2, 1);
    let expected = [
        with_prev(delete_event("a", 3), before.clone()),
        put_event(pair("a", "2", 3, 3, 1)),
        with_prev(delete_event("a", 3), before),
    ];
    assert_eq!(follow.until(last).await, expected);
    assert_eq!(store.all().await.count, 0);
}

/// Operations of the failure branch are events like any other; a branch that changes nothing is
/// none.
///
/// Rules: R3, T15, W8.
pub async fn watch_delivers_what_the_failure_branch_does(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    let mut follow = store.follow(KeyRange::all(), 2).await;
    let txn = |failure: Vec<TxnOp>| {
        TxnRequest::new([put("yes", "")]).when([exists("x")]).otherwise(failure)
    };
    store.txn(txn(vec![])).await;
    store.txn(txn(vec![delete_key("x")])).await;
    let last = store.txn(txn(vec![put("no", "1")])).await.header.revision;
    assert_eq!(follow.until(last).await, [put_event(pair("no", "1", 2, 2, 1))]);
}
