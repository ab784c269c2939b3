//! Promise P5, watches of differences: how long a change waits, and that nothing is lost meanwhile.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test ends at the first thing that is not as expected"
)]

mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use support::{Replica, Store, next, next_error, until, utf8, values_of, within, write_about};
use tailetc::backend::{PutRequest, TxnRequest};
use tailetc::{ChangeKind, Db, Error, RAW, Raw, Revision, Shared, Watch, WatchMode};
use tokio::time::{Instant, sleep, timeout};

const DELAY: Duration = Duration::from_secs(1);

on_every_backend! {
    debounced_watch_shows_the_difference_and_the_final_state,
    consumer_that_sleeps_wakes_to_the_exact_difference,
}

async fn debounced_watch_shows_the_difference_and_the_final_state(store: Store) {
    let db = store.db().await;
    let delay = Duration::from_millis(20);
    let mut watch = db.watch(RAW, .., WatchMode::Debounced { delay }).unwrap();
    let mut replica = Replica::default();
    replica.apply(&next(&mut watch).await);
    for _ in 0..3 {
        let last = write_about(&store, 50).await;
        replica.follow(&mut watch, last).await;
        replica.assert_is(&db);
    }
    let differences = &replica.updates[1..];
    assert!(differences.iter().all(|kind| *kind == ChangeKind::Coalesced), "{differences:?}");
}

/// (before, after) by key.
type Difference = BTreeMap<String, (Option<String>, Option<String>)>;

/// What is different between two snapshots, by a look at every key.
fn naive_difference(before: &tailetc::Snapshot, after: &tailetc::Snapshot) -> Difference {
    let (old, new) = (values_of(before), values_of(after));
    let keys = old.keys().chain(new.keys());
    let written = keys.filter(|key| {
        let written =
            |of: &tailetc::Snapshot| of.metadata(RAW, key).unwrap().map(|m| m.mod_revision);
        written(before) != written(after)
    });
    written.map(|key| (key.clone(), (old.get(key).cloned(), new.get(key).cloned()))).collect()
}

fn difference(update: &tailetc::Update<Raw, Shared>) -> Difference {
    let changes = update.changes().map(|change| {
        let (before, after) = (change.before().unwrap(), change.after().unwrap());
        (change.key().to_string(), (before.map(utf8), after.map(utf8)))
    });
    changes.collect()
}

async fn consumer_that_sleeps_wakes_to_the_exact_difference(store: Store) {
    write_about(&store, 50).await;
    let db = store.db().await;
    let mut watch = db.watch(RAW, .., WatchMode::Coalesced).unwrap();
    for _ in 0..3 {
        // The first is the initial state, the others leave nothing behind.
        let seen = next(&mut watch).await.revision();
        let before = db.snapshot();
        assert_eq!(before.revision(), seen);
        let last = write_about(&store, 500).await;
        until("the changes arrive", || db.snapshot().revision() >= last).await;
        let update = next(&mut watch).await;
        let after = db.snapshot();
        assert_eq!((update.kind(), update.revision()), (ChangeKind::Coalesced, last));
        assert_eq!(difference(&update), naive_difference(&before, &after));
        store.put("/t/again", last.to_string()).await;
    }
}

/// 5,000 writes/s for 10 s, in transactions of 10, with a clock that does not wait.
#[tokio::test(start_paused = true)]
async fn consumer_that_sleeps_ten_seconds_wakes_to_the_exact_difference() {
    let store = Store::memory();
    let db = store.db().await;
    let mut watch = db.watch(RAW, .., WatchMode::Coalesced).unwrap();
    next(&mut watch).await;
    let before = db.snapshot();
    let started = Instant::now();
    let writer = tokio::spawn(async move {
        for round in 0..5_000_u32 {
            let puts = (0..10).map(|i| {
                let key = format!("/t/{}", (round * 10 + i) * 7919 % 3_000);
                PutRequest::new(key, round.to_string()).into()
            });
            store.backend.txn(TxnRequest::new(puts)).await.unwrap();
            sleep(Duration::from_millis(2)).await;
        }
    });
    sleep(Duration::from_secs(10)).await;
    within("the writer", writer).await.unwrap();
    assert!(started.elapsed() >= Duration::from_secs(10));
    let update = next(&mut watch).await;
    let after = db.snapshot();
    assert_eq!(update.revision(), after.revision());
    let found = difference(&update);
    assert_eq!(found.len(), 3_000);
    assert_eq!(found, naive_difference(&before, &after));
}

async fn debounced(db: &Db) -> Watch<Raw, Shared> {
    let mut watch = db.watch(RAW, .., WatchMode::Debounced { delay: DELAY }).unwrap();
    assert_eq!(next(&mut watch).await.kind(), ChangeKind::Initial);
    watch
}

async fn put(db: &Db, key: &str) -> Revision {
    let put = db.transact(|txn| txn.put(RAW, key, Bytes::new()));
    within("commit", put).await.unwrap().1.revision()
}

#[tokio::test(start_paused = true)]
async fn change_waits_for_its_delay_and_no_longer_under_a_steady_stream() {
    let db = Store::memory().db().await;
    let mut watch = debounced(&db).await;
    let writer = tokio::spawn({
        let db = db.clone();
        async move {
            loop {
                put(&db, "a").await;
                sleep(DELAY * 3 / 10).await;
            }
        }
    });
    let mut before = Instant::now();
    for changes in [4, 4, 4] {
        let revision = db.snapshot().revision().get();
        assert_eq!(next(&mut watch).await.revision().get(), revision + changes);
        // From the first change on, which is the first thing that the writer does after an item.
        assert_eq!(before.elapsed().as_millis(), DELAY.as_millis());
        sleep(DELAY * 2 / 10).await;
        before = Instant::now();
    }
    writer.abort();
}

#[tokio::test(start_paused = true)]
async fn next_that_is_dropped_does_not_begin_the_delay_anew() {
    let db = Store::memory().db().await;
    let mut watch = debounced(&db).await;
    let last = put(&db, "a").await;
    let written = Instant::now();
    let update = loop {
        if let Ok(update) = timeout(DELAY * 3 / 10, watch.next()).await {
            break update.unwrap().unwrap();
        }
    };
    assert_eq!(update.revision(), last);
    assert_eq!(written.elapsed().as_millis(), DELAY.as_millis());
}

#[tokio::test(start_paused = true)]
async fn change_that_has_waited_long_enough_is_given_at_once() {
    let db = Store::memory().db().await;
    let mut watch = debounced(&db).await;
    put(&db, "a").await;
    sleep(DELAY * 5).await;
    let last = put(&db, "b").await;
    let now = Instant::now();
    assert_eq!(next(&mut watch).await.revision(), last);
    assert_eq!(now.elapsed(), Duration::ZERO);
    // Nothing is left to wait for.
    assert!(timeout(DELAY * 5, watch.next()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn closed_watch_gives_what_it_has_without_delay() {
    let db = Store::memory().db().await;
    let mut watch = debounced(&db).await;
    let last = put(&db, "a").await;
    assert!(timeout(DELAY / 2, watch.next()).await.is_err());
    db.close();
    let now = Instant::now();
    assert_eq!(next(&mut watch).await.revision(), last);
    assert!(matches!(next_error(&mut watch).await, Error::Closed { .. }));
    assert!(within("the end", watch.next()).await.is_none());
    assert_eq!(now.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn delay_without_end_harms_nobody() {
    let db = Store::memory().db().await;
    let mode = WatchMode::Debounced { delay: Duration::MAX };
    let mut watch = db.watch(RAW, .., mode).unwrap();
    next(&mut watch).await;
    let last = put(&db, "a").await;
    assert!(timeout(DELAY * 1_000, watch.next()).await.is_err());
    db.close();
    assert_eq!(next(&mut watch).await.revision(), last);
}

#[tokio::test]
async fn watches_that_could_hold_nothing_are_refused() {
    let db = Store::memory().db().await;
    for mode in [WatchMode::Debounced { delay: Duration::ZERO }, WatchMode::Exact { buffer: 0 }] {
        let error = db.watch(RAW, .., mode).unwrap_err();
        assert!(matches!(error, Error::InvalidOption { .. }), "{error}");
    }
}
