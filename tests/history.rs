//! Past revisions: what stays readable, the difference of two snapshots, and watches from there.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test ends at the first thing that is not as expected"
)]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use support::{
    Gate, Replica, Store, next, next_error, until, utf8, values_of, within, write_about,
};
use tailetc::{
    ChangeKind, Collection, Db, Error, Options, Prefix, RAW, Raw, Revision, Snapshot, WatchMode,
};
use tokio::time::sleep;

const ITEMS: Collection<Raw> = Collection::new("items/");

on_every_backend! {
    difference_leads_from_one_snapshot_to_the_other,
    snapshots_of_two_databases_are_not_compared,
    watch_from_a_kept_revision_has_no_gap_and_no_duplicate,
    watch_from_a_kept_revision_sees_its_range_alone,
    coalesced_watch_from_a_kept_revision_begins_with_the_difference,
    watch_from_a_revision_that_is_not_kept_is_refused,
    exact_watch_that_lagged_is_continued_from_the_history,
}

async fn with_history(store: &Store, revisions: usize) -> Db {
    store.builder().history(revisions).connect().await.unwrap()
}

async fn written(db: &Db, store: &Store, rounds: u32) -> Snapshot {
    let last = write_about(store, rounds).await;
    until("the changes arrive", || db.snapshot().revision() >= last).await;
    db.snapshot()
}

async fn difference_leads_from_one_snapshot_to_the_other(store: Store) {
    let db = with_history(&store, 1_000).await;
    let mut snapshots = vec![db.snapshot()];
    for rounds in [1, 30, 7] {
        snapshots.push(written(&db, &store, rounds).await);
    }
    for from in &snapshots {
        for to in &snapshots {
            let set = from.diff(to).unwrap();
            assert_eq!((set.kind(), set.token()), (ChangeKind::Coalesced, to.token()));
            let mut values = values_of(from);
            for change in set.of(RAW).unwrap() {
                let key = change.key().to_string();
                assert_eq!(change.before().unwrap().map(utf8), values.remove(&key));
                assert_ne!(
                    change.metadata_before().map(|m| m.mod_revision),
                    change.metadata_after().map(|m| m.mod_revision)
                );
                if let Some(after) = change.after().unwrap() {
                    values.insert(key, utf8(after));
                }
            }
            assert_eq!(values, values_of(to));
        }
    }
    assert!(db.snapshot().diff(&db.snapshot()).unwrap().is_empty());
}

async fn snapshots_of_two_databases_are_not_compared(store: Store) {
    let (one, two) = (store.db().await, store.db().await);
    let error = one.snapshot().diff(&two.snapshot()).unwrap_err();
    assert!(matches!(error, Error::ForeignSnapshot), "{error}");
}

async fn watch_from_a_kept_revision_has_no_gap_and_no_duplicate(store: Store) {
    let store = Arc::new(store);
    let db = with_history(&store, 100_000).await;
    let start = db.snapshot().revision();
    let stop = Arc::new(AtomicBool::new(false));
    let writer = tokio::spawn({
        let (store, stop) = (Arc::clone(&store), Arc::clone(&stop));
        async move {
            let mut last = Revision::ZERO;
            while !stop.load(Ordering::Relaxed) {
                last = write_about(&store, 20).await;
            }
            last
        }
    });
    let mut replicas = Vec::new();
    for back in 0..20 {
        let now = db.snapshot().revision();
        until("the writer goes on", || db.snapshot().revision() > now).await;
        // The present one, and others further and further in the past.
        let revision = Revision::new((now.get() - back * back).max(start.get()));
        let replica = Replica::of(&db.snapshot_at(revision).unwrap());
        let mode = WatchMode::Exact { buffer: 1 << 20 };
        replicas.push((db.watch_from(RAW, .., mode, revision).unwrap(), replica));
    }
    stop.store(true, Ordering::Relaxed);
    let last = writer.await.unwrap();
    for (watch, replica) in &mut replicas {
        let first = replica.revision;
        replica.follow(watch, last).await;
        replica.assert_is(&db);
        assert!(replica.updates.iter().all(|kind| *kind == ChangeKind::Transaction));
        // Each revision changed something here, but for the deletions of keys that were not there.
        assert!(replica.updates.len() as i64 <= last.get() - first.get());
    }
    let all = &replicas.first().unwrap().1;
    assert!(!all.updates.is_empty());
}

async fn watch_from_a_kept_revision_sees_its_range_alone(store: Store) {
    let db = store.builder().collection(ITEMS).history(100).connect().await.unwrap();
    let start = db.snapshot().revision();
    store.put("/t/items/a", "1").await;
    store.put("/t/raw", "1").await;
    let both = store.put_all(&[("/t/items/b", "2"), ("/t/items/a", "2"), ("/t/raw", "2")]).await;
    until("the changes arrive", || db.snapshot().revision() >= both).await;
    let mut watch = db.watch_from(ITEMS, Prefix("a"), WatchMode::EXACT, start).unwrap();
    let live = store.put_all(&[("/t/items/a", "3"), ("/t/raw", "3")]).await;
    let (one, two, three) =
        (next(&mut watch).await, next(&mut watch).await, next(&mut watch).await);
    assert_eq!((two.revision(), three.revision()), (both, live));
    for update in [&one, &two, &three] {
        let keys: Vec<_> = update.changes().map(|change| change.key().to_string()).collect();
        assert_eq!(keys, ["a"]);
    }
    // The whole transaction, of the past as of the present.
    assert_eq!((one.change_set().len(), two.change_set().len()), (1, 3));
    assert_eq!(three.change_set().len(), 2);
}

async fn coalesced_watch_from_a_kept_revision_begins_with_the_difference(store: Store) {
    let db = with_history(&store, 1_000).await;
    let start = db.snapshot();
    let now = written(&db, &store, 30).await;
    // Much longer than the first item may take.
    let delay = Duration::from_secs(3_600);
    for mode in [WatchMode::Coalesced, WatchMode::Debounced { delay }] {
        let mut replica = Replica::of(&start);
        let mut watch = db.watch_from(RAW, .., mode, start.revision()).unwrap();
        replica.apply(&next(&mut watch).await);
        assert_eq!(replica.updates, [ChangeKind::Coalesced]);
        assert_eq!(replica.revision, now.revision());
        replica.assert_is(&db);
    }
    let mut watch = db.watch_from(RAW, .., WatchMode::Coalesced, now.revision()).unwrap();
    let last = store.put("/t/a", "new").await;
    assert_eq!(next(&mut watch).await.revision(), last);
}

async fn watch_from_a_revision_that_is_not_kept_is_refused(store: Store) {
    let db = with_history(&store, 4).await;
    let start = db.snapshot().revision();
    let now = written(&db, &store, 30).await.revision();
    let future = Revision::new(now.get() + 1);
    for revision in [start, future] {
        let error = db.watch_from(RAW, .., WatchMode::EXACT, revision).unwrap_err();
        let Error::RevisionNotKept { requested, oldest, newest } = error else {
            panic!("{error}");
        };
        assert_eq!((requested, newest), (revision, now));
        db.watch_from(RAW, .., WatchMode::EXACT, oldest).unwrap();
    }
    // Without a history there is still the present.
    let db = store.db().await;
    db.watch_from(RAW, .., WatchMode::EXACT, db.snapshot().revision()).unwrap();
    db.watch_from(RAW, .., WatchMode::EXACT, start).unwrap_err();
}

async fn exact_watch_that_lagged_is_continued_from_the_history(store: Store) {
    let db = with_history(&store, 1_000).await;
    let mode = WatchMode::Exact { buffer: 3 };
    let mut watch = db.watch(RAW, .., mode).unwrap();
    let mut replica = Replica::default();
    replica.apply(&next(&mut watch).await);
    written(&db, &store, 50).await;
    let after = loop {
        match within("an item", watch.next()).await.unwrap() {
            Ok(update) => replica.apply(&update),
            Err(Error::Lagged { after }) => break after,
            Err(error) => panic!("{error}"),
        }
    };
    assert_eq!(after, replica.revision);
    let mut watch = db.watch_from(RAW, .., mode, after).unwrap();
    let last = store.put("/t/after", "1").await;
    replica.follow(&mut watch, last).await;
    replica.assert_is(&db);
    assert!(!replica.updates[1..].contains(&ChangeKind::Initial));
}

/// What a resync hides cannot be the past of a watch.
#[tokio::test]
async fn resync_begins_the_history_anew() {
    let store = Store::memory();
    let gate = Gate::new(&store);
    let db = gate.builder().history(1_000).connect().await.unwrap();
    let before = written(&db, &store, 5).await;
    gate.hold_watches();
    let last = write_about(&store, 20).await;
    store.backend.compact(last).await.unwrap();
    gate.cut_watches();
    gate.release_watches();
    until("the resync", || db.snapshot().revision() >= last).await;
    let error = db.watch_from(RAW, .., WatchMode::EXACT, before.revision()).unwrap_err();
    assert!(matches!(error, Error::RevisionNotKept { .. }), "{error}");
    // A snapshot that somebody holds can still be compared.
    let set = before.diff(&db.snapshot()).unwrap();
    assert_eq!((set.kind(), set.revision()), (ChangeKind::Coalesced, db.snapshot().revision()));
}

async fn commit(db: &Db) -> Revision {
    let put = db.transact(|txn| txn.put(RAW, "a", Bytes::new()));
    within("commit", put).await.unwrap().1.revision()
}

#[tokio::test(start_paused = true)]
async fn what_was_present_within_the_age_stays_readable_and_nothing_older() {
    const SECOND: Duration = Duration::from_secs(1);
    let mut options = Options::default();
    (options.history, options.history_age) = (100, Some(10 * SECOND));
    let db = Store::memory().builder().options(options).connect().await.unwrap();
    let mut revisions = Vec::new();
    for _ in 0..10 {
        revisions.push(commit(&db).await);
        sleep(4 * SECOND).await;
    }
    // They took their places 40, 36, .. 4 seconds ago: that of 12 s ago was the present until 8 s
    // ago, the one before until 12 s ago.
    let is_kept = |revision: &Revision| db.snapshot_at(*revision).is_ok();
    let kept: Vec<bool> = revisions.iter().map(is_kept).collect();
    assert_eq!(kept, [false, false, false, false, false, false, false, true, true, true]);
    let oldest = revisions[7];
    assert_eq!(db.snapshot_at(oldest).unwrap().revision(), oldest);
    sleep(2 * SECOND).await;
    assert!(is_kept(&oldest), "until exactly 10 s ago");
    sleep(Duration::from_millis(1)).await;
    let error = db.watch_from(RAW, .., WatchMode::EXACT, oldest).unwrap_err();
    assert!(matches!(error, Error::RevisionNotKept { oldest, .. } if oldest == revisions[8]));
    // Without any change for long, the present one is all that is left.
    sleep(100 * SECOND).await;
    let kept: Vec<bool> = revisions.iter().map(is_kept).collect();
    assert_eq!(kept.iter().filter(|kept| **kept).count(), 1);
    assert!(kept[9]);
}

#[tokio::test]
async fn age_that_means_nothing_is_refused() {
    for (history, age) in [(0, Duration::from_secs(1)), (10, Duration::ZERO)] {
        let mut options = Options::default();
        (options.history, options.history_age) = (history, Some(age));
        let error = Store::memory().builder().options(options).connect().await.unwrap_err();
        assert!(matches!(error, Error::InvalidOption { option: "history_age", .. }), "{error}");
    }
}

#[tokio::test]
async fn watch_from_ends_when_the_db_is_closed() {
    let store = Store::memory();
    let db = with_history(&store, 100).await;
    let start = db.snapshot();
    let now = written(&db, &store, 10).await;
    let mut replica = Replica::of(&start);
    let mut watch = db.watch_from(RAW, .., WatchMode::EXACT, start.revision()).unwrap();
    db.close();
    replica.follow(&mut watch, now.revision()).await;
    assert_eq!(replica.values, values_of(&now));
    assert!(matches!(next_error(&mut watch).await, Error::Closed { .. }));
}
