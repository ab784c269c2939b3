//! The self-check: a copy that differs from the store, because a server dropped what it should have
//! delivered, is found out and repaired.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test ends at the first thing that is not as expected"
)]

mod support;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use support::{Gate, Store, until, within};
use tailetc::{ChangeKind, ChangeSet, Db, Options, RAW};

on_every_backend! {
    lost_events_are_found_and_repaired_by_the_difference,
    lost_events_are_found_without_being_asked,
    check_beside_writes_and_compactions_raises_no_false_alarm,
}

fn pages(keys: usize) -> Options {
    let mut options = Options::default();
    options.page_keys = keys;
    options.backoff_min = Duration::from_millis(5);
    options
}

/// Makes the copy miss an update, a creation and a deletion.
async fn damage(store: &Store, gate: &Gate, db: &Db) {
    for (key, write) in [("/t/b", true), ("/t/new", true), ("/t/c", false)] {
        gate.lose_events_of(Some(key));
        if write {
            store.put(key, "2").await;
        } else {
            store.delete(key).await;
        }
        let last = store.put("/t/a", "told").await;
        until("the next change arrives", || db.snapshot().revision() >= last).await;
    }
    gate.lose_events_of(None);
}

async fn followed(store: &Store, gate: &Gate, options: Options) -> Db {
    store.put_all(&[("/t/a", "1"), ("/t/b", "1"), ("/t/c", "1"), ("/t/d", "1")]).await;
    gate.builder().options(options).connect().await.unwrap()
}

fn assert_repaired(db: &Db) {
    let snapshot = db.snapshot();
    let values: Vec<_> =
        snapshot.range(RAW, ..).unwrap().map(|(k, v)| format!("{k}={v:?}")).collect();
    assert_eq!(values, ["a=b\"told\"", "b=b\"2\"", "d=b\"1\"", "new=b\"2\""]);
}

// D12
async fn lost_events_are_found_and_repaired_by_the_difference(store: Store) {
    let gate = Gate::new(&store);
    let db = followed(&store, &gate, pages(2)).await;
    let check = within("check", db.self_check()).await.unwrap();
    assert_eq!((check.keys, check.mismatches), (4, 0));
    damage(&store, &gate, &db).await;
    assert_eq!(*db.get(RAW, "b").unwrap().unwrap(), "1");
    let untouched = db.get(RAW, "d").unwrap().unwrap();
    let resyncs = Arc::new(Mutex::new(Vec::new()));
    let theirs = Arc::clone(&resyncs);
    let _observer = db.observe(move |set: &ChangeSet| {
        if set.kind() == ChangeKind::Resync {
            theirs.lock().unwrap().push(set.keys().map(ToString::to_string).collect::<Vec<_>>());
        }
    });
    let check = within("check", db.self_check()).await.unwrap();
    assert_eq!(check.mismatches, 3);
    until("repaired", || db.stats().resyncs == 1).await;
    until("tailing", || db.health().is_tailing()).await;
    assert_repaired(&db);
    assert_eq!(*resyncs.lock().unwrap(), [["/t/b", "/t/c", "/t/new"]]);
    assert!(Arc::ptr_eq(&untouched, &db.get(RAW, "d").unwrap().unwrap()));
    let check = within("check", db.self_check()).await.unwrap();
    let stats = db.stats();
    assert_eq!((check.mismatches, stats.self_checks, stats.self_check_mismatches), (0, 3, 3));
}

// D12
async fn lost_events_are_found_without_being_asked(store: Store) {
    let gate = Gate::new(&store);
    let mut options = pages(100);
    options.self_check_interval = Some(Duration::from_secs(1));
    let db = followed(&store, &gate, options).await;
    damage(&store, &gate, &db).await;
    until("found", || db.stats().self_check_mismatches > 0).await;
    until("repaired", || db.snapshot().contains(RAW, "new").unwrap()).await;
    // The first check may have come in the middle of the damage.
    until("all of it", || {
        let snapshot = db.snapshot();
        !snapshot.contains(RAW, "c").unwrap() && *snapshot.get(RAW, "b").unwrap().unwrap() == "2"
    })
    .await;
    assert_repaired(&db);
}

// D12
async fn check_beside_writes_and_compactions_raises_no_false_alarm(store: Store) {
    let gate = Gate::new(&store);
    let store = Arc::new(store);
    let db = followed(&store, &gate, pages(2)).await;
    let done = Arc::new(AtomicBool::new(false));
    let writing = tokio::spawn({
        let (store, db, done) = (Arc::clone(&store), db.clone(), Arc::clone(&done));
        async move {
            let mut round = 0_u32;
            while !done.load(Ordering::SeqCst) {
                round += 1;
                let last = store.put(&format!("/t/{}", round % 9), round.to_string()).await;
                store.delete(&format!("/t/{}", (round + 4) % 9)).await;
                let own = db.transact(|txn| txn.put(RAW, "own", Bytes::from(round.to_string())));
                own.await.unwrap();
                if round.is_multiple_of(5) {
                    store.backend.compact(last).await.unwrap();
                }
            }
        }
    });
    for _ in 0..30 {
        // A check that compaction overtakes too often fails; it never lies.
        if let Ok(check) = within("check", db.self_check()).await {
            assert_eq!(check.mismatches, 0);
        }
    }
    done.store(true, Ordering::SeqCst);
    within("the writer", writing).await.unwrap();
    let check = within("check", db.self_check()).await.unwrap();
    assert_eq!((check.mismatches, db.stats().self_check_mismatches), (0, 0));
}
