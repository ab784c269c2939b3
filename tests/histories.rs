//! Promises P2, P3 and P6 when the store is replaced or restored, and when one's own commits meet a
//! reconnection. A restored cluster is the same cluster with another store behind it.

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
use support::{Gate, Store, until, within};
use tailetc::{Commit, Db, Error, Options, Phase, RAW, Revision, Token};

/// A store with `/t/a` at a revision of at least `writes` + 1, and a `Db` on it.
async fn followed(writes: usize) -> (Store, Gate, Db) {
    let (store, gate) = gated(writes).await;
    let db = gate.builder().connect().await.unwrap();
    (store, gate, db)
}

/// The same without the `Db`.
async fn gated(writes: usize) -> (Store, Gate) {
    let store = Store::memory();
    for round in 0..writes {
        store.put("/t/a", round.to_string()).await;
    }
    let gate = Gate::new(&store);
    gate.pretend_cluster(7);
    (store, gate)
}

async fn restored() -> Store {
    let store = Store::memory();
    store.put("/t/a", "restored").await;
    store
}

async fn put(db: &Db, key: &str) -> Commit {
    let put = db.transact(|txn| txn.put(RAW, key, Bytes::from("own")));
    within("commit", put).await.unwrap().1
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn own_commit_beside_a_reconnection_is_no_other_history() {
    let (_store, gate, db) = followed(1).await;
    let committing = db.clone();
    gate.after_next_header(async move || {
        put(&committing, "b").await;
    });
    gate.cut_watches();
    until("reconnected", || db.stats().reconnects == 1).await;
    assert_eq!(db.stats().resyncs, 0);
}

// D7
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn own_commit_beside_a_resync_leaves_no_ghost() {
    let (store, gate, db) = followed(1).await;
    gate.hold_watches();
    store.put("/t/a", "2").await;
    let last = store.put("/t/a", "3").await;
    store.backend.compact(last).await.unwrap();
    // Between the state that the difference is made to and the first page: a key of one's own that
    // another program deletes again.
    let (committing, store) = (db.clone(), Arc::new(store));
    let deleting = Arc::clone(&store);
    gate.before_next_page(async move || {
        let mut txn = committing.txn();
        txn.put(RAW, "ghost", Bytes::from("own")).unwrap();
        let commit = tokio::spawn(txn.commit());
        within("the commit", async {
            while deleting.delete("/t/ghost").await == 0 {
                tokio::task::yield_now().await;
            }
        })
        .await;
        drop(commit);
    });
    gate.cut_watches();
    gate.release_watches();
    until("reconnected", || db.stats().reconnects == 1).await;
    let fresh = within("fresh", db.fresh()).await.unwrap();
    assert!(!fresh.contains(RAW, "ghost").unwrap());
    assert_eq!(db.stats().resyncs, 1);
    put(&db, "ghost").await;
}

// D11
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answer_of_a_replaced_cluster_leaves_no_ghost() {
    let (_store, gate, db) = followed(1).await;
    let other = Store::memory();
    other.put("/t/new", "1").await;
    gate.hold_watches();
    gate.hold_answers();
    let mut txn = db.txn();
    txn.put(RAW, "ghost", Bytes::from("own")).unwrap();
    let commit = tokio::spawn(txn.commit());
    until("the commit is applied", || gate.answered() == 1).await;
    let answering = gate.clone();
    gate.before_next_page(async move || {
        answering.release_answers();
        tokio::time::sleep(Duration::from_millis(20)).await;
    });
    gate.swap_store(&other);
    gate.pretend_cluster(8);
    gate.cut_watches();
    gate.release_watches();
    until("loaded", || db.snapshot().contains(RAW, "new").unwrap()).await;
    assert!(!db.snapshot().contains(RAW, "ghost").unwrap());
    let error = within("commit", commit).await.unwrap().unwrap_err();
    assert!(error.committed().is_some(), "{error}");
}

// D11
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fresh_does_not_take_the_old_history_for_the_restored_one() {
    let (_store, gate, db) = followed(20).await;
    gate.swap_store(&restored().await);
    // Nothing has told the tail yet.
    let error = within("fresh", db.fresh()).await.unwrap_err();
    assert!(matches!(error, Error::HistoryLost { .. }) && error.is_transient(), "{error}");
    until("loaded", || db.stats().resyncs == 1).await;
    let fresh = within("fresh", db.fresh()).await.unwrap();
    assert_eq!(*fresh.get(RAW, "a").unwrap().unwrap(), "restored");
}

// D11
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commit_to_a_restored_cluster_is_not_reported_as_visible() {
    let (_store, gate, db) = followed(20).await;
    gate.swap_store(&restored().await);
    let mut txn = db.txn();
    txn.put(RAW, "b", Bytes::from("1")).unwrap();
    let error = within("commit", txn.commit()).await.unwrap_err();
    assert!(error.committed().is_some(), "{error}");
    until("loaded", || db.snapshot().contains(RAW, "b").unwrap()).await;
    assert_eq!(*db.get(RAW, "a").unwrap().unwrap(), "restored");
}

// D11
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_of_the_present_history_are_taken_and_those_of_a_lost_one_refused() {
    let (_store, gate, old) = followed(20).await;
    let lost = old.snapshot().token();
    gate.swap_store(&restored().await);
    gate.cut_watches();
    until("loaded", || old.stats().resyncs == 1).await;
    // A process that was started after the restore.
    let young = gate.builder().connect().await.unwrap();
    let token = put(&young, "b").await.token();
    let seen = within("token", old.at_least(&token)).await.unwrap();
    assert!(seen.contains(RAW, "b").unwrap());
    for db in [&old, &young] {
        let error = within("lost token", db.at_least(&lost)).await.unwrap_err();
        assert!(matches!(error, Error::TokenMismatch { .. }), "{error}");
    }
}

/// What `followed(20)` gives; a broken watch is not opened again within the test.
async fn followed_slowly() -> (Store, Gate, Db) {
    let (store, gate) = gated(20).await;
    let mut options = Options::default();
    options.backoff_min = Duration::from_secs(600);
    options.backoff_max = options.backoff_min;
    let db = gate.builder().options(options).connect().await.unwrap();
    (store, gate, db)
}

/// A token of the restored store that the copy of the lost history has passed, in revision and term.
async fn token_below(gate: &Gate, copy: &Db) -> Token {
    let young = gate.builder().connect().await.unwrap();
    let token = put(&young, "b").await.token();
    let of_copy = copy.snapshot().token();
    assert_eq!(token.raft_term(), of_copy.raft_term());
    assert!(token.revision() < of_copy.revision());
    token
}

// D11
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn copy_that_is_cut_off_does_not_take_its_history_for_that_of_a_token() {
    let (_store, gate, db) = followed_slowly().await;
    gate.swap_store(&restored().await);
    gate.cut_watches();
    until("cut off", || db.health().phase == Phase::Reconnecting).await;
    let token = token_below(&gate, &db).await;
    let error = within("token", db.at_least(&token)).await.unwrap_err();
    assert!(matches!(error, Error::HistoryLost { .. }) && error.is_transient(), "{error}");
    let error = within("transaction", db.transact_after(&token, |_| Ok(()))).await.unwrap_err();
    assert!(matches!(error, Error::HistoryLost { .. }), "{error}");
}

// D11
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn copy_of_a_lost_history_is_not_shown_for_a_token_while_it_is_loaded_anew() {
    let (_store, gate, db) = followed(20).await;
    let (resume, wait) = tokio::sync::oneshot::channel();
    let (loading, begun) = tokio::sync::oneshot::channel();
    gate.before_next_page(async move || {
        loading.send(()).unwrap();
        wait.await.unwrap();
    });
    gate.swap_store(&restored().await);
    gate.cut_watches();
    within("the load begins", begun).await.unwrap();
    assert_eq!(db.health().phase, Phase::Resyncing);
    let token = token_below(&gate, &db).await;
    let error = within("token", db.at_least(&token)).await.unwrap_err();
    assert!(matches!(error, Error::HistoryLost { .. }), "{error}");
    resume.send(()).unwrap();
    until("loaded", || db.stats().resyncs == 1).await;
    let seen = within("token", db.at_least(&token)).await.unwrap();
    assert!(seen.contains(RAW, "b").unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn copy_that_has_passed_a_token_answers_while_the_store_does_not() {
    let (_store, gate, db) = followed_slowly().await;
    let token = put(&db, "b").await.token();
    gate.cut_watches();
    until("cut off", || db.health().phase == Phase::Reconnecting).await;
    gate.hang();
    let seen = within("token", db.at_least(&token)).await.unwrap();
    assert!(seen.contains(RAW, "b").unwrap());
}

// D11
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn proof_of_a_lost_history_proves_nothing() {
    let (store, gate) = gated(20).await;
    // Before the tail can ask.
    gate.distrust_progress();
    let db = gate.builder().connect().await.unwrap();
    let at = db.snapshot().revision();
    for _ in 0..50 {
        store.put("/elsewhere", "x").await;
    }
    within("proof", db.fresh()).await.unwrap();
    assert!(db.snapshot().revision() == at && db.stats().proofs == 1);
    let store = restored().await;
    gate.swap_store(&store);
    gate.cut_watches();
    until("loaded", || db.stats().resyncs == 1).await;
    // The new history comes to the revision that the proof was made at.
    let mut last = Revision::ZERO;
    while last < at {
        last = store.put("/t/a", "y").await;
    }
    until("there", || db.snapshot().revision() == at).await;
    gate.hold_watches();
    store.put("/t/a", "newest").await;
    let reading = tokio::spawn({
        let db = db.clone();
        async move { db.fresh().await }
    });
    until("another proof is tried", || db.stats().proofs > 1 || reading.is_finished()).await;
    gate.release_watches();
    let fresh = within("fresh", reading).await.unwrap().unwrap();
    assert_eq!(*fresh.get(RAW, "a").unwrap().unwrap(), "newest");
}

// D5 D11
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_of_two_clusters_do_not_make_one_snapshot() {
    let store = Store::memory();
    let other = Store::memory();
    for key in ["/t/a", "/t/b", "/t/c", "/t/d"] {
        store.put(key, "old").await;
        other.put(key, "new").await;
    }
    let gate = Gate::new(&store);
    let swapping = gate.clone();
    gate.after_next_page(async move || {
        swapping.swap_store(&other);
        swapping.before_next_page({
            let swapping = swapping.clone();
            async move || swapping.pretend_cluster(8)
        });
    });
    let mut options = Options::default();
    options.page_keys = 2;
    let error = within("load", gate.builder().options(options).connect()).await.unwrap_err();
    assert!(error.is_transient(), "{error}");
}
