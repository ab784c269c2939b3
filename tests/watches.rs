//! Promise P5, watches: the present state and every change after it, without a gap or a duplicate.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test ends at the first thing that is not as expected"
)]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use support::{Gate, Replica, Store, until, within, write_about};
use tailetc::{
    ChangeKind, Collection, Error, Only, Prefix, RAW, Raw, Revision, Shared, Update, Watch,
    WatchMode,
};

const ITEMS: Collection<Raw> = Collection::new("items/");

on_every_backend! {
    initial_state_and_changes_meet_without_gap_or_duplicate,
    watch_of_a_key_and_of_a_range_see_nothing_else,
    exact_watch_that_is_too_slow_is_told_and_then_shown_the_state,
    coalesced_watch_shows_the_difference_and_the_final_state,
    watch_ends_when_the_db_is_closed,
    next_that_is_dropped_loses_nothing,
    watches_share_the_one_that_the_db_has_on_the_store,
    raw_watch_gets_no_updates_of_typed_collections,
}

// D29
async fn watches_share_the_one_that_the_db_has_on_the_store(store: Store) {
    let gate = Gate::new(&store);
    let db = gate.builder().connect().await.unwrap();
    let open = |_| db.watch(RAW, .., WatchMode::EXACT).unwrap();
    let mut watches: Vec<_> = (0..50).map(open).collect();
    let last = store.put("/t/a", "1").await;
    for watch in &mut watches {
        while within("an update", watch.next()).await.unwrap().unwrap().revision() < last {}
    }
    assert_eq!(gate.watches(), 1);
}

// D4
async fn initial_state_and_changes_meet_without_gap_or_duplicate(store: Store) {
    let store = Arc::new(store);
    let db = store.db().await;
    let stop = Arc::new(AtomicBool::new(false));
    let writer = tokio::spawn({
        let (store, stop) = (Arc::clone(&store), Arc::clone(&stop));
        async move {
            let mut last = Revision::ZERO;
            while !stop.load(Ordering::Relaxed) {
                last = write_about(&store, 20).await;
                tokio::task::yield_now().await;
            }
            last
        }
    });
    let mut replicas = Vec::new();
    // Watches that begin at many different moments of the same history.
    let mut begun = db.snapshot().revision();
    for _ in 0..20 {
        until("the writer goes on", || db.snapshot().revision() > begun).await;
        begun = db.snapshot().revision();
        let mode = WatchMode::Exact { buffer: 1 << 20 };
        replicas.push((db.watch(RAW, .., mode).unwrap(), Replica::default()));
    }
    stop.store(true, Ordering::Relaxed);
    let last = writer.await.unwrap();
    for (watch, replica) in &mut replicas {
        replica.follow(watch, last).await;
        replica.assert_is(&db);
        let initial = replica.updates.iter().filter(|kind| **kind == ChangeKind::Initial).count();
        assert_eq!((initial, replica.updates[0]), (1, ChangeKind::Initial));
    }
}

async fn watch_of_a_key_and_of_a_range_see_nothing_else(store: Store) {
    store.put_all(&[("/t/items/a", "1"), ("/t/items/b", "1"), ("/t/items2/a", "1")]).await;
    let db = store.builder().collection(ITEMS).connect().await.unwrap();
    let keys = |update: Update<Raw, Shared>| -> Vec<String> {
        update.changes().map(|change| change.key().to_string()).collect()
    };
    let mut one = db.watch(ITEMS, Only("a"), WatchMode::EXACT).unwrap();
    let mut some = db.watch(ITEMS, Prefix("b"), WatchMode::EXACT).unwrap();
    let mut all = db.watch(ITEMS, .., WatchMode::EXACT).unwrap();
    let mut raw = db.watch(RAW, .., WatchMode::EXACT).unwrap();
    assert_eq!(keys(within("an update", one.next()).await.unwrap().unwrap()), ["a"]);
    assert_eq!(keys(within("an update", some.next()).await.unwrap().unwrap()), ["b"]);
    assert_eq!(keys(within("an update", all.next()).await.unwrap().unwrap()), ["a", "b"]);
    assert_eq!(keys(within("an update", raw.next()).await.unwrap().unwrap()), ["items2/a"]);

    store.put("/t/items/b", "2").await;
    store.put("/t/items/c", "2").await;
    store.put("/t/items2/a", "2").await;
    store.put_all(&[("/t/items/a", "3"), ("/t/items/ba", "3"), ("/t/items2/b", "3")]).await;
    let next = async |watch: &mut Watch<Raw, Shared>| {
        keys(within("update", watch.next()).await.unwrap().unwrap())
    };
    assert_eq!(next(&mut one).await, ["a"]);
    assert_eq!(next(&mut some).await, ["b"]);
    assert_eq!(next(&mut some).await, ["ba"]);
    for expected in [vec!["b"], vec!["c"], vec!["a", "ba"]] {
        assert_eq!(next(&mut all).await, expected);
    }
    for expected in ["items2/a", "items2/b"] {
        assert_eq!(next(&mut raw).await, [expected]);
    }
}

/// On one thread, where whose turn it is does not depend on speed.
#[tokio::test]
async fn exact_watch_that_keeps_up_does_not_lag() {
    let store = Store::memory();
    let gate = Gate::new(&store);
    let db = gate.builder().connect().await.unwrap();
    let mut watch = db.watch(RAW, .., WatchMode::EXACT).unwrap();
    gate.hold_watches();
    // Far more transactions than the buffer holds.
    let last = write_about(&store, 3000).await;
    let follower = tokio::spawn(async move {
        let mut replica = Replica::default();
        replica.follow(&mut watch, last).await;
        replica
    });
    gate.release_watches();
    within("the backlog", follower).await.unwrap().assert_is(&db);
}

async fn raw_watch_gets_no_updates_of_typed_collections(store: Store) {
    let db = store.builder().collection(ITEMS).connect().await.unwrap();
    for mode in [WatchMode::EXACT, WatchMode::Coalesced] {
        let mut raw = db.watch(RAW, .., mode).unwrap();
        within("initial", raw.next()).await.unwrap().unwrap();
        store.put("/t/items/a", "1").await;
        let last = store.put("/t/raw", format!("{mode:?}")).await;
        let update = within("an update", raw.next()).await.unwrap().unwrap();
        assert_eq!((update.revision(), update.changes().count()), (last, 1));
    }
}

// D27
async fn exact_watch_that_is_too_slow_is_told_and_then_shown_the_state(store: Store) {
    let db = store.db().await;
    let mut watch = db.watch(RAW, .., WatchMode::Exact { buffer: 3 }).unwrap();
    let mut replica = Replica::default();
    replica.apply(&within("an update", watch.next()).await.unwrap().unwrap());
    let last = write_about(&store, 50).await;
    until("the changes arrive", || db.snapshot().revision() >= last).await;
    // What was buffered is still delivered, in order.
    for _ in 0..3 {
        replica.apply(&within("an update", watch.next()).await.unwrap().unwrap());
    }
    let error = within("an update", watch.next()).await.unwrap().unwrap_err();
    assert!(matches!(error, Error::Lagged { after } if after == replica.revision), "{error}");
    replica.follow(&mut watch, last).await;
    replica.assert_is(&db);
    let last = store.put("/t/after", "1").await;
    replica.follow(&mut watch, last).await;
    replica.assert_is(&db);
    let mut kinds = vec![ChangeKind::Transaction; 6];
    (kinds[0], kinds[4]) = (ChangeKind::Initial, ChangeKind::Initial);
    assert_eq!((replica.updates, db.stats().lagged_watches), (kinds, 1));
}

// D27
async fn coalesced_watch_shows_the_difference_and_the_final_state(store: Store) {
    let db = store.db().await;
    let mut watch = db.watch(RAW, .., WatchMode::Coalesced).unwrap();
    let mut replica = Replica::default();
    replica.apply(&within("an update", watch.next()).await.unwrap().unwrap());
    for _ in 0..3 {
        let last = write_about(&store, 50).await;
        until("the changes arrive", || db.snapshot().revision() >= last).await;
        replica.follow(&mut watch, last).await;
        replica.assert_is(&db);
    }
    assert_eq!(replica.updates.len(), 4, "one difference for each burst");
    assert_eq!(replica.updates[1], ChangeKind::Coalesced);
}

async fn watch_ends_when_the_db_is_closed(store: Store) {
    let db = store.db().await;
    let mut exact = db.watch(RAW, .., WatchMode::EXACT).unwrap();
    let mut coalesced = db.watch(RAW, .., WatchMode::Coalesced).unwrap();
    let mut dropped = db.watch(RAW, .., WatchMode::EXACT).unwrap();
    within("an update", exact.next()).await.unwrap().unwrap();
    within("an update", coalesced.next()).await.unwrap().unwrap();
    drop(db);
    for watch in [&mut exact, &mut coalesced] {
        let error = within("the end", watch.next()).await.unwrap().unwrap_err();
        assert!(matches!(error, Error::Closed { .. }), "{error}");
        assert!(within("the end", watch.next()).await.is_none());
    }
    // The state at its beginning is still delivered.
    assert!(within("initial", dropped.next()).await.unwrap().is_ok());
    assert!(within("the end", dropped.next()).await.unwrap().is_err());
}

// D27
async fn next_that_is_dropped_loses_nothing(store: Store) {
    let store = Arc::new(store);
    let gate = Gate::new(&store);
    let db = gate.builder().connect().await.unwrap();
    let writer = tokio::spawn({
        let store = Arc::clone(&store);
        async move { write_about(&store, 200).await }
    });
    let mut watch = db.watch(RAW, .., WatchMode::EXACT).unwrap();
    let mut replica = Replica::default();
    let mut dropped = 0;
    while !writer.is_finished() || dropped == 0 {
        let next = tokio::select! {
            biased;
            next = watch.next() => next,
            () = tokio::task::yield_now() => None,
        };
        match next {
            Some(update) => replica.apply(&update.unwrap()),
            None => dropped += 1,
        }
    }
    let last = writer.await.unwrap();
    replica.follow(&mut watch, last).await;
    replica.assert_is(&db);
}
