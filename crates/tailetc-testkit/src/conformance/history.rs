//! Following from the past: replay, long backlogs, resuming, and what compaction takes away.

use std::sync::Arc;

use tailetc_core::Revision;
use tailetc_core::backend::{
    BackendErrorKind, Event, KeyRange, KvBackend, WatchRequest, WatchResponse,
};

use super::follow::{Follow, compacted_at};
use super::support::{
    Store, accepted, delete_event, joined, pair, put, put_event, rev, with_prev, within,
};

/// More than twice the 1,000 revisions that etcd sends in one response of a catch-up
/// (`server/storage/mvcc/watcher_group.go`, `watchBatchMaxRevs`).
const BACKLOG: i64 = 2_500;

/// Writes `a` and `b` at every revision up to `last`, from several tasks at a time.
async fn write_until(store: &Store, last: i64) {
    let missing = last - store.revision().await.get();
    let writers = (0..8).map(|n| {
        let (store, share) = (store.clone(), (missing + 7 - n) / 8);
        tokio::spawn(async move {
            for _ in 0..share {
                store.run([put("a", ""), put("b", "")]).await;
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        joined("a writer", writer).await;
    }
    assert_eq!(store.revision().await, rev(last));
}

/// Fails the case unless `events` are two for every revision from `first` to `last`, in order.
fn are_all_pairs(events: &[Event], first: i64, last: i64) {
    let revisions: Vec<i64> = events.iter().map(|event| event.revision().get()).collect();
    let expected: Vec<i64> = (first..=last).flat_map(|n| [n, n]).collect();
    assert!(
        revisions == expected,
        "{} events, expected two for each of {first}..={last}",
        revisions.len()
    );
}

/// A watch from the past replays every change since, then goes on with the new ones.
///
/// Rules: W4, W10.
pub async fn watch_from_the_past_replays_and_goes_on(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    store.put("a", "1").await;
    store.put("b", "1").await;
    store.delete(KeyRange::key("a")).await;
    let mut follow = store.follow(KeyRange::all(), 3).await;
    let replayed = [put_event(pair("b", "1", 3, 3, 1)), delete_event("a", 4)];
    assert_eq!(follow.until(rev(4)).await, replayed);
    let last = store.put("c", "1").await;
    let new = [put_event(pair("c", "1", 5, 5, 1))];
    assert_eq!(follow.until(last).await, new);
}

/// A replay from the very first revision shows the pairs before as they were.
///
/// Rules: W12.
pub async fn watch_from_the_past_shows_the_pairs_before(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    store.put("a", "1").await;
    store.put("a", "2").await;
    let last = store.put("a", "3").await;
    let request = WatchRequest::new(KeyRange::all(), rev(1)).with_prev_kv();
    let mut follow = store.follow_request(request).await;
    let [one, two, three] =
        [pair("a", "1", 2, 2, 1), pair("a", "2", 2, 3, 2), pair("a", "3", 2, 4, 3)];
    let expected = [
        put_event(one.clone()),
        with_prev(put_event(two.clone()), one),
        with_prev(put_event(three), two),
    ];
    assert_eq!(follow.until(last).await, expected);
}

/// A backlog of 2,500 revisions is delivered in order, each once, no transaction split.
///
/// Rules: W8, W10, X-N.
pub async fn watch_with_a_long_backlog_delivers_each_revision_once(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    write_until(&store, BACKLOG + 1).await;
    let mut follow = store.follow(KeyRange::all(), 2).await;
    let events = follow.until(rev(BACKLOG + 1)).await;
    are_all_pairs(&events, 2, BACKLOG + 1);
}

/// What is written while a watch catches up comes after the backlog, each once.
///
/// Rules: W10, X-N.
pub async fn watch_catching_up_delivers_what_is_written_meanwhile(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    write_until(&store, 1_500).await;
    let mut follow = store.follow(KeyRange::all(), 2).await;
    let ((), events) = tokio::join!(write_until(&store, 2_000), follow.until(rev(2_000)));
    are_all_pairs(&events, 2, 2_000);
}

/// A watch that few of many revisions concern finds them all.
///
/// Rules: W10, X-N.
pub async fn watch_of_a_rare_key_finds_it_in_a_long_backlog(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    let mut expected = Vec::new();
    for part in 1..=4 {
        write_until(&store, part * 300).await;
        let revision = store.put("rare", "").await;
        expected.push(revision);
    }
    let mut follow = store.follow(KeyRange::key("rare"), 2).await;
    let events = follow.until(expected[3]).await;
    let found: Vec<_> = events.iter().map(Event::revision).collect();
    assert_eq!(found, expected);
}

/// A watch may begin exactly at the compaction revision. The pair before an event of that revision
/// is gone; that before later ones is there.
///
/// Rules: W6, W12, X-M.
pub async fn watch_from_the_compaction_revision_delivers_it(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    for value in ["1", "2", "3"] {
        store.put("a", value).await;
    }
    store.compact(3).await;
    let request = WatchRequest::new(KeyRange::all(), rev(3)).with_prev_kv();
    let mut follow = store.follow_request(request).await;
    let (two, three) = (pair("a", "2", 2, 3, 2), pair("a", "3", 2, 4, 3));
    let expected = [put_event(two.clone()), with_prev(put_event(three), two)];
    assert_eq!(follow.until(rev(4)).await, expected);
}

/// A watch from below the compaction revision fails and names that revision.
///
/// Rules: W6, X-D.
pub async fn watch_from_below_the_compaction_revision_is_refused(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    for value in ["1", "2", "3"] {
        store.put("a", value).await;
    }
    store.compact(4).await;
    for start in [1, 2, 3] {
        let request = WatchRequest::new(KeyRange::all(), rev(start));
        compacted_at(&store.watch_failure(request).await, 4);
    }
}

/// A refused watch does not block a new one.
///
/// Rules: W6, X-F.
pub async fn watch_after_a_refused_one_works(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    store.put("a", "1").await;
    store.put("a", "2").await;
    store.compact(3).await;
    let request = WatchRequest::new(KeyRange::all(), rev(2));
    compacted_at(&store.watch_failure(request).await, 3);
    let mut follow = store.follow(KeyRange::all(), 4).await;
    let last = store.put("a", "3").await;
    assert_eq!(follow.until(last).await.len(), 1);
}

/// A watch that is up to date goes on over a compaction of the current revision.
///
/// Rules: X-J.
pub async fn watch_up_to_date_survives_a_compaction(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    let mut follow = store.follow(KeyRange::all(), 2).await;
    for round in 2..12 {
        let last = store.put("a", "").await;
        assert_eq!(follow.until(last).await.len(), 1);
        store.compact(round).await;
    }
}

/// A watch from the future goes on over compactions before its start.
///
/// Rules: X-J.
pub async fn watch_from_the_future_survives_a_compaction(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    let mut follow = store.follow(KeyRange::all(), 5).await;
    for revision in 2..=4 {
        store.put("a", "").await;
        store.compact(revision).await;
    }
    let last = store.put("a", "5").await;
    let expected = [put_event(pair("a", "5", 2, 5, 4))];
    assert_eq!(follow.until(last).await, expected);
}

/// A watch that a compaction overtakes during its catch-up delivers everything, or the first part
/// without a gap and then that it is compacted, with the revision.
///
/// Rules: W7.
pub async fn watch_overtaken_by_compaction_ends_without_a_gap(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    write_until(&store, 2_200).await;
    let mut follow = store.follow(KeyRange::all(), 2).await;
    store.compact(2_200).await;
    let mut events = Vec::new();
    let failure = loop {
        match follow.next().await {
            Ok(WatchResponse::Events { events: more, .. }) => events.extend(more),
            Ok(_) => {}
            Err(error) => break Some(error),
        }
        if events.last().map(Event::revision) == Some(rev(2_200)) {
            break None;
        }
    };
    let reached = events.last().map_or(1, |event| event.revision().get());
    are_all_pairs(&events, 2, reached);
    match failure {
        Some(error) => compacted_at(&error, 2_200),
        None => assert_eq!(reached, 2_200),
    }
}

/// A consumer that does not read while much is written, and history is compacted, loses nothing
/// unnoticed.
///
/// Rules: W7, W22, X-O.
pub async fn watch_of_a_slow_consumer_ends_without_a_gap(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    let mut follow = store.follow(KeyRange::all(), 2).await;
    let value = vec![b'x'; 64 * 1024];
    let mut last = Revision::ZERO;
    for _ in 0..400 {
        last = store.put("a", value.clone()).await;
    }
    store.compact(last.get()).await;
    let mut expected = 2;
    while expected <= last.get() {
        match follow.next().await {
            Ok(WatchResponse::Events { events, .. }) => {
                for event in events {
                    assert_eq!(event.revision(), rev(expected));
                    expected += 1;
                }
            }
            Ok(_) => {}
            Err(error) => return compacted_at(&error, last.get()),
        }
    }
}

/// A watch opened anew at the revision after the last delivered one neither repeats nor misses
/// anything, while the store is written all the time.
///
/// Rules: W4.
pub async fn watch_resumed_after_the_last_revision_is_gapless(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    let (writer, last) = (store.clone(), 400);
    let writing = tokio::spawn(async move { write_until(&writer, last).await });
    let mut events: Vec<Event> = Vec::new();
    let mut next = 2;
    while next <= last {
        let mut follow = store.follow(KeyRange::all(), next).await;
        for _ in 0..3 {
            if next <= last {
                events.extend(some_events(&mut follow).await);
                next = events.last().map_or(2, |event| event.revision().get() + 1);
            }
        }
    }
    are_all_pairs(&events, 2, last);
    joined("the writer", writing).await;
}

async fn some_events(follow: &mut Follow) -> Vec<Event> {
    match accepted("the watch", follow.next().await) {
        WatchResponse::Events { events, .. } => events,
        _ => Vec::new(),
    }
}

/// After its first error a watch fails again or delivers nothing, but does not panic.
///
/// Rules: B4.
pub async fn watch_after_its_first_error_does_not_panic(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    store.put("a", "1").await;
    store.put("a", "2").await;
    store.compact(3).await;
    let request = WatchRequest::new(KeyRange::all(), rev(2));
    let opened = within("a watch to open", store.backend().watch(request)).await;
    let error = match opened {
        Err(error) => error,
        Ok(mut watcher) => {
            let first = within("the refusal", watcher.next()).await;
            for _ in 0..3 {
                // What an ended watch does is unspecified; it may wait for ever.
                drop(
                    tokio::time::timeout(std::time::Duration::from_millis(5), watcher.next()).await,
                );
            }
            match first {
                Err(error) => error,
                Ok(response) => panic!("the watch must fail, delivered {response:?}"),
            }
        }
    };
    assert!(matches!(error.kind(), BackendErrorKind::Compacted { .. }), "{error}");
}

/// A backlog of just under, exactly, and just over what etcd sends in one response.
///
/// Rules: W10, X-N.
pub async fn watch_with_a_backlog_of_about_one_batch_delivers_all_of_it(
    backend: Arc<dyn KvBackend>,
) {
    let store = Store::new(backend);
    write_until(&store, 1_003).await;
    for start in [5, 4, 3] {
        let events = store.follow(KeyRange::all(), start).await.until(rev(1_003)).await;
        are_all_pairs(&events, start, 1_003);
    }
}

/// The header of each response of a long backlog is at or above its last event, does not go back,
/// and is never ahead of the store. It is no position: to resume from it would lose events.
///
/// Rules: R9, W10.
pub async fn watch_with_a_long_backlog_has_headers_ahead_of_its_events(
    backend: Arc<dyn KvBackend>,
) {
    let store = Store::new(backend);
    write_until(&store, BACKLOG).await;
    let mut follow = store.follow(KeyRange::all(), 2).await;
    let (mut reached, mut last_header) = (1, Revision::ZERO);
    while reached < BACKLOG {
        if let WatchResponse::Events { header, events } = accepted("the watch", follow.next().await)
        {
            let next = events.last().map_or(reached, |event| event.revision().get());
            are_all_pairs(&events, reached + 1, next);
            reached = next;
            assert!(header.revision >= last_header, "{header:?} after {last_header}");
            assert!(header.revision <= rev(BACKLOG), "{header:?}");
            last_header = header.revision;
        }
    }
}

/// A backlog of several megabytes, more than etcd puts into one message (it sends fragments),
/// arrives whole: no transaction is split, no value cut.
///
/// Rules: W8, W14, X-K.
pub async fn watch_with_a_backlog_of_megabytes_delivers_each_revision_whole(
    backend: Arc<dyn KvBackend>,
) {
    let store = Store::new(backend);
    let size = store.capabilities().max_request_bytes.min(1_572_864) / 3;
    for byte in [b'1', b'2', b'3', b'4', b'5', b'6'] {
        let value = vec![byte; size];
        store.run([put("a", value.clone()), put("b", value)]).await;
    }
    let request = WatchRequest::new(KeyRange::all(), rev(2)).with_prev_kv();
    let events = store.follow_request(request).await.until(rev(7)).await;
    are_all_pairs(&events, 2, 7);
    for event in &events {
        let byte = b'0' + event.revision().get() as u8 - 1;
        assert!(event.kv.value == vec![byte; size], "at {}", event.revision());
        let before = event.prev_kv.as_ref().map(|kv| kv.value.len());
        assert_eq!(before, (byte > b'1').then_some(size));
    }
}
