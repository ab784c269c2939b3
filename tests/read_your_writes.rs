//! Promise P3: when a commit returns, this `Db` shows it; a token carries that to another one.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test ends at the first thing that is not as expected"
)]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use support::{Gate, Store, until, within};
use tailetc::{Error, RAW, Token};

on_every_backend! {
    commit_is_visible_when_it_returns,
    commit_waits_for_what_came_before_it,
    sequential_transactions_see_each_other,
    token_carries_a_commit_to_another_db,
    token_of_another_cluster_is_refused,
    fresh_sees_what_was_committed_before_it,
    fresh_on_an_idle_prefix_of_a_busy_cluster_returns,
    fresh_works_where_progress_cannot_be_trusted,
    fresh_with_a_stalled_watch_ends_by_its_deadline,
    own_values_are_published_without_decoding,
    commit_waits_for_its_event_although_a_proof_covers_it,
}

async fn commit_is_visible_when_it_returns(store: Store) {
    let db = store.db().await;
    for round in 0..50_u32 {
        let value = Bytes::from(round.to_string());
        let mut txn = db.txn();
        txn.put(RAW, "a", value.clone()).unwrap();
        let commit = within("commit", txn.commit()).await.unwrap();
        let snapshot = db.snapshot();
        assert!(commit.changed() && snapshot.revision() >= commit.revision());
        assert_eq!(*snapshot.get(RAW, "a").unwrap().unwrap(), value);
        let metadata = snapshot.metadata(RAW, "a").unwrap().unwrap();
        assert_eq!(metadata.mod_revision, commit.revision());
        assert_eq!(metadata.version, i64::from(round) + 1);
    }
    // What was published from the answers is what the store holds.
    let (ours, theirs) = (db.snapshot(), store.db().await.snapshot());
    assert_eq!(ours.metadata(RAW, "a").unwrap(), theirs.metadata(RAW, "a").unwrap());
}

async fn commit_waits_for_what_came_before_it(store: Store) {
    let gate = Gate::new(&store);
    let db = gate.builder().connect().await.unwrap();
    gate.hold_watches();
    let foreign = store.put("/t/foreign", "1").await;
    let mut txn = db.txn();
    txn.put(RAW, "own", Bytes::from("1")).unwrap();
    let commit = tokio::spawn(txn.commit());
    until("the commit is in the store", || gate.txns() == 1).await;
    // It cannot be shown yet: what happened at the revision before it is not known.
    assert!(db.snapshot().revision() < foreign && !db.snapshot().contains(RAW, "own").unwrap());
    gate.release_watches();
    let commit = within("commit", commit).await.unwrap().unwrap();
    assert!(commit.revision() > foreign);
    let snapshot = db.snapshot();
    assert!(snapshot.contains(RAW, "own").unwrap() && snapshot.contains(RAW, "foreign").unwrap());
}

async fn sequential_transactions_see_each_other(store: Store) {
    let (one, two) = (store.db().await, store.db().await);
    for round in 0..20_u8 {
        let (writer, reader) = if round % 2 == 0 { (&one, &two) } else { (&two, &one) };
        let mut txn = writer.txn();
        let seen = txn.get(RAW, "log").unwrap().map_or(0, |log| log.len());
        assert_eq!(seen, usize::from(round));
        txn.put(RAW, "log", Bytes::from(vec![b'x'; seen + 1])).unwrap();
        let commit = within("commit", txn.commit()).await.unwrap();
        within("token", reader.at_least(&commit.token())).await.unwrap();
    }
}

// D10 D24
async fn token_carries_a_commit_to_another_db(store: Store) {
    let gate = Gate::new(&store);
    let (writer, reader) = (store.db().await, gate.builder().connect().await.unwrap());
    gate.hold_watches();
    let mut txn = writer.txn();
    txn.put(RAW, "a", Bytes::from("1")).unwrap();
    let token = within("commit", txn.commit()).await.unwrap().token();
    assert!(!reader.snapshot().contains(RAW, "a").unwrap());
    // As a header would carry it.
    let token: Token = token.to_string().parse().unwrap();
    let reading = tokio::spawn({
        let reader = reader.clone();
        async move { reader.at_least(&token).await }
    });
    gate.release_watches();
    let snapshot = within("token", reading).await.unwrap().unwrap();
    assert!(snapshot.contains(RAW, "a").unwrap());
}

// D11
async fn token_of_another_cluster_is_refused(store: Store) {
    let db = store.db().await;
    let token = db.snapshot().token();
    let cluster = token.cluster_id().wrapping_add(1);
    let foreign: Token = format!("{cluster:x}-0-1").parse().unwrap();
    let error = within("token", db.at_least(&foreign)).await.unwrap_err();
    assert!(matches!(error, Error::TokenMismatch { .. }), "{error}");
}

async fn fresh_sees_what_was_committed_before_it(store: Store) {
    let db = store.db().await;
    for round in 0..30_u32 {
        let revision = store.put("/t/a", round.to_string()).await;
        let fresh = within("fresh", db.fresh()).await.unwrap();
        assert!(fresh.revision() >= revision);
        assert_eq!(*fresh.get(RAW, "a").unwrap().unwrap(), round.to_string());
    }
}

/// Keeps the cluster's revision moving outside of the prefix while `run` runs.
async fn beside_foreign_writes<T>(store: &Arc<Store>, run: impl Future<Output = T>) -> T {
    let stop = Arc::new(AtomicBool::new(false));
    let writer = tokio::spawn({
        let (store, stop) = (Arc::clone(store), Arc::clone(&stop));
        async move {
            while !stop.load(Ordering::Relaxed) {
                store.put("/elsewhere", "x").await;
            }
        }
    });
    let outcome = run.await;
    stop.store(true, Ordering::Relaxed);
    writer.await.unwrap();
    outcome
}

// D2 D8
async fn fresh_on_an_idle_prefix_of_a_busy_cluster_returns(store: Store) {
    store.put("/t/a", "1").await;
    let store = Arc::new(store);
    let db = store.db().await;
    beside_foreign_writes(&store, async {
        for _ in 0..5 {
            let fresh = within("fresh", db.fresh()).await.unwrap();
            assert_eq!(fresh.len(), 1);
        }
    })
    .await;
    // And when the cluster is quiet again.
    within("fresh", db.fresh()).await.unwrap();
}

// D1 D9
async fn fresh_works_where_progress_cannot_be_trusted(store: Store) {
    store.put("/t/a", "1").await;
    let store = Arc::new(store);
    let gate = Gate::new(&store);
    gate.distrust_progress();
    let db = gate.builder().connect().await.unwrap();
    store.put("/elsewhere", "x").await;
    within("idle", db.fresh()).await.unwrap();
    assert_eq!(db.stats().progress_requests, 0);
    assert!(db.stats().proofs > 0, "nothing else can have told");

    // With a change under way there is nothing to prove; the watch must deliver it first.
    for (change, len) in [("creation", 2), ("update", 2), ("deletion", 1)] {
        gate.hold_watches();
        match change {
            "deletion" => drop(store.delete("/t/a").await),
            _ => drop(store.put("/t/b", change).await),
        }
        store.put("/elsewhere", "x").await;
        let proofs = db.stats().proofs;
        let reading = tokio::spawn({
            let db = db.clone();
            async move { db.fresh().await }
        });
        until("proofs are tried", || db.stats().proofs > proofs + 1).await;
        assert!(!reading.is_finished(), "a {change} was missed");
        gate.release_watches();
        let fresh = within("fresh", reading).await.unwrap().unwrap();
        assert_eq!(fresh.len(), len, "after the {change}");
    }

    beside_foreign_writes(&store, async {
        for _ in 0..5 {
            within("busy", db.fresh()).await.unwrap();
        }
    })
    .await;
}

// D13
async fn fresh_with_a_stalled_watch_ends_by_its_deadline(store: Store) {
    let gate = Gate::new(&store);
    let mut options = tailetc::Options::default();
    // Enough for the store to say where it is.
    options.catch_up_timeout = std::time::Duration::from_secs(1);
    let db = gate.builder().options(options).connect().await.unwrap();
    gate.hold_watches();
    let target = store.put("/t/a", "1").await;
    let error = within("fresh", db.fresh()).await.unwrap_err();
    assert!(matches!(error, Error::NotCaughtUp { committed: None, .. }), "{error}");
    assert!(error.is_transient() && db.snapshot().revision() < target);
}

async fn own_values_are_published_without_decoding(store: Store) {
    let gate = Gate::new(&store);
    // Else the answer to the tail's first question may cover the foreign write below.
    gate.distrust_progress();
    let db = gate.builder().connect().await.unwrap();
    let commit = async || {
        let value = Arc::new(Bytes::from("a value of its own"));
        let mut txn = db.txn();
        txn.put(RAW, "a", Arc::clone(&value)).unwrap();
        within("commit", txn.commit()).await.unwrap();
        let read = db.get(RAW, "a").unwrap().unwrap();
        assert!(Arc::ptr_eq(&read, &value));
    };
    // Only the answer can have told.
    gate.hold_watches();
    commit().await;
    gate.release_watches();
    assert_eq!(db.stats().applied_from_answer, 1);
    // The answer does not follow on the last revision known: the event is waited for.
    store.put("/elsewhere", "x").await;
    commit().await;
    let stats = db.stats();
    assert_eq!((stats.applied_from_answer, stats.applied_without_decoding), (1, 1));
}

// D9
async fn commit_waits_for_its_event_although_a_proof_covers_it(store: Store) {
    store.put("/t/a", "1").await;
    let gate = Gate::new(&store);
    gate.distrust_progress();
    let db = gate.builder().connect().await.unwrap();
    gate.hold_watches();
    store.put("/elsewhere", "x").await;
    let mut txn = db.txn();
    txn.put(RAW, "b", Bytes::from("1")).unwrap();
    let commit = tokio::spawn(txn.commit());
    until("the commit is applied", || gate.answered() == 1).await;
    // The state is now as before the commit, and a proof says so. But observers have not seen it.
    assert_eq!(store.delete("/t/b").await, 1);
    within("proof", db.fresh()).await.unwrap();
    tokio::task::yield_now().await;
    assert!(!commit.is_finished());
    gate.release_watches();
    let commit = within("commit", commit).await.unwrap().unwrap();
    assert!(db.snapshot().revision() >= commit.revision());
}
