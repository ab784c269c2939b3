//! Some servers drop the deletions made at exactly the revision at which they compact, and a watch
//! that has yet to be sent that revision goes on without them. The copy must not keep the keys.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test ends at the first thing that is not as expected"
)]

mod support;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use support::{Gate, Store, until, values_of, within};
use tailetc::backend::KvBackend;
use tailetc::{Db, Options, RAW, Revision};

on_every_backend! {
    deletion_at_the_compaction_revision_is_seen_by_a_resumed_watch,
    deletion_at_the_compaction_revision_is_seen_after_the_load,
    deletion_is_seen_that_is_compacted_while_the_watch_catches_up,
    deletion_is_seen_that_is_compacted_in_the_middle_of_a_backlog,
    idle_prefix_is_not_loaded_anew_for_compactions_elsewhere,
    what_a_watch_repeats_is_applied_once,
}

/// The same on what imitates servers that lose deletions, of which some also tell progress early.
mod memory_of_old_servers {
    use super::support::Store;

    macro_rules! on_old_servers {
        ($($case:ident),* $(,)?) => {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                for version in ["3.4.23", "3.4.33", "3.5.1", "3.5.15"] {
                    super::$case(Store::memory_of(version)).await;
                }
            })*
        };
    }

    on_old_servers! {
        deletion_at_the_compaction_revision_is_seen_by_a_resumed_watch,
        deletion_at_the_compaction_revision_is_seen_after_the_load,
        deletion_is_seen_that_is_compacted_while_the_watch_catches_up,
        deletion_is_seen_that_is_compacted_in_the_middle_of_a_backlog,
        idle_prefix_is_not_loaded_anew_for_compactions_elsewhere,
        what_a_watch_repeats_is_applied_once,
    }
}

fn loses_deletions(store: &Store) -> bool {
    !store.backend.capabilities().compaction_keeps_deletions
}

async fn delete(store: &Store, key: &str) -> Revision {
    assert_eq!(store.delete(key).await, 1);
    let at = store.backend.range(tailetc::backend::RangeRequest::new(
        tailetc::backend::KeyRange::key(key.to_owned()),
    ));
    at.await.unwrap().header.revision
}

/// The copy is what the store has, and says so.
async fn assert_equal(store: &Store, db: &Db) {
    within("fresh", async { while db.fresh().await.is_err() {} }).await;
    let next = store.put("/t/next", "1").await;
    until("the next change", || db.snapshot().revision() >= next).await;
    let check = within("self-check", db.self_check()).await.unwrap();
    assert_eq!(check.mismatches, 0, "{:?}", values_of(&db.snapshot()));
}

// D36
async fn deletion_at_the_compaction_revision_is_seen_by_a_resumed_watch(store: Store) {
    store.put_all(&[("/t/a", "1"), ("/t/b", "1")]).await;
    let gate = Gate::new(&store);
    let db = gate.builder().connect().await.unwrap();
    gate.hold_watches();
    let deleted = delete(&store, "/t/b").await;
    assert_eq!(deleted, db.snapshot().revision().next());
    store.backend.compact(deleted).await.unwrap();
    gate.cut_watches();
    gate.release_watches();
    until("the deletion", || !db.snapshot().contains(RAW, "b").unwrap()).await;
    // Where nothing can be lost, nothing is loaded anew.
    assert_eq!(db.stats().resyncs, u64::from(loses_deletions(&store)));
    assert_equal(&store, &db).await;
}

// D36
async fn deletion_at_the_compaction_revision_is_seen_after_the_load(store: Store) {
    let loaded = store.put_all(&[("/t/a", "1"), ("/t/b", "1")]).await;
    let gate = Gate::new(&store);
    let backend = Arc::clone(&store.backend);
    gate.after_next_page(move || async move {
        use tailetc::backend::{KeyRange, KvBackendExt};
        let (_, deleted) = backend.delete(KeyRange::key("/t/b")).await.unwrap();
        assert_eq!(deleted, loaded.next());
        backend.compact(deleted).await.unwrap();
    });
    let db = gate.builder().connect().await.unwrap();
    until("the deletion", || !db.snapshot().contains(RAW, "b").unwrap()).await;
    assert_equal(&store, &db).await;
}

// D36
async fn deletion_is_seen_that_is_compacted_while_the_watch_catches_up(store: Store) {
    store.put_all(&[("/t/a", "1"), ("/t/b", "1")]).await;
    let gate = Gate::new(&store);
    let db = gate.builder().connect().await.unwrap();
    gate.hold_watches();
    let deleted = delete(&store, "/t/b").await;
    gate.cut_watches();
    until("another watch", || db.stats().reconnects == 1).await;
    store.backend.compact(deleted).await.unwrap();
    gate.release_watches();
    until("the deletion", || !db.snapshot().contains(RAW, "b").unwrap()).await;
    assert_equal(&store, &db).await;
}

fn impatient() -> Options {
    let mut options = Options::default();
    options.progress_interval = Duration::from_millis(50);
    options.backoff_min = Duration::from_millis(5);
    options.backoff_max = Duration::from_millis(100);
    options
}

// D36
async fn deletion_is_seen_that_is_compacted_in_the_middle_of_a_backlog(store: Store) {
    store.put_all(&[("/t/a", "1"), ("/t/b", "1")]).await;
    let gate = Gate::new(&store);
    let mut options = impatient();
    options.progress_timeout = Duration::from_secs(1);
    let db = gate.builder().options(options).connect().await.unwrap();
    gate.hold_watches();
    let first = db.snapshot().revision();
    // Servers put the first 1,000 revisions that a watch has yet to be sent into one response. It
    // may begin with what is known.
    let more = 1000 - i64::from(loses_deletions(&store));
    let mut last = first;
    for round in 0..more {
        last = store.put("/t/a", round.to_string()).await;
    }
    let deleted = delete(&store, "/t/b").await;
    assert_eq!((deleted, deleted.get()), (last.next(), first.get() + more + 1));
    let backend = Arc::clone(&store.backend);
    gate.after_next_response(move || async move {
        backend.compact(deleted).await.unwrap();
    });
    gate.cut_watches();
    gate.release_watches();
    until("the deletion", || !db.snapshot().contains(RAW, "b").unwrap()).await;
    assert_eq!(*db.get(RAW, "a").unwrap().unwrap(), (more - 1).to_string());
    assert_equal(&store, &db).await;
}

// D36 D8
async fn idle_prefix_is_not_loaded_anew_for_compactions_elsewhere(store: Store) {
    store.put("/t/a", "1").await;
    let db = store.builder().options(impatient()).connect().await.unwrap();
    // Until then the watch may still be below the first compaction.
    let caught_up = store.put("/t/a", "2").await;
    until("the watch has caught up", || db.snapshot().revision() >= caught_up).await;
    for round in 0..5_u32 {
        let last = store.put("/elsewhere", round.to_string()).await;
        store.backend.compact(last).await.unwrap();
        until("a look at the store", || {
            let health = db.health();
            health.store_revision >= last && health.age < Duration::from_millis(500)
        })
        .await;
    }
    let stats = db.stats();
    assert_eq!((stats.resyncs, stats.reconnects), (0, 0), "{stats:?}");
    assert_equal(&store, &db).await;
}

// D36 D10
async fn what_a_watch_repeats_is_applied_once(store: Store) {
    let gate = Gate::new(&store);
    let db = gate.builder().connect().await.unwrap();
    for round in 1..6_u32 {
        let put = db.transact(|txn| txn.put(RAW, "a", Bytes::from(round.to_string())));
        within("commit", put).await.unwrap();
        gate.cut_watches();
        until("reconnected", || db.stats().reconnects == u64::from(round)).await;
        assert_eq!(db.stats().revisions, u64::from(round));
    }
    assert_equal(&store, &db).await;
    assert_eq!(db.stats().revisions, 6);
}
