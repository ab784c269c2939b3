//! Dropping futures at every point where they wait, and what is left behind; and that no wait goes
//! on past its deadline.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test ends at the first thing that is not as expected"
)]

mod support;

use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use support::{Gate, Store, within};
use tailetc::backend::{KeyRange, RangeRequest};
use tailetc::{Builder, ChangeSet, Db, Error, Options, RAW, Revision, Staleness};

on_every_backend! {
    commit_dropped_at_any_point_leaves_a_true_copy,
    commit_with_a_marker_dropped_at_any_point_leaves_a_true_copy,
    commit_behind_other_writes_dropped_at_any_point_leaves_a_true_copy,
    barrier_dropped_at_any_point_leaves_nothing_behind,
    every_wait_ends_by_its_deadline,
}

/// Polls `future` at most `polls` times, with time between for what it waits for; none if it was
/// not done by then, and is dropped.
async fn poll_at_most<T>(polls: usize, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    for _ in 0..polls {
        if let Poll::Ready(done) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return Some(done);
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    None
}

/// Checks that a linearizable read of the copy is what the store holds.
async fn assert_true_copy(store: &Store, db: &Db) {
    let fresh = within("fresh", db.fresh()).await.unwrap();
    // A commit that was dropped under way may still reach the store after that.
    let range = RangeRequest::new(KeyRange::prefix("/t/")).with_revision(fresh.revision());
    let stored = store.backend.range(range).await.unwrap();
    assert_eq!(fresh.len(), stored.kvs.len());
    for kv in stored.kvs {
        let metadata = fresh.metadata_of(&kv.key).unwrap().unwrap();
        let of_copy = (metadata.create_revision, metadata.mod_revision, metadata.version);
        assert_eq!(of_copy, (kv.create_revision, kv.mod_revision, kv.version));
        let value = fresh.get(RAW, &kv.key[3..]).unwrap().unwrap();
        assert_eq!(*value, kv.value);
    }
}

/// Commits with futures that are dropped after one poll more each time, until one is not.
async fn drop_commits(store: Store, build: impl FnOnce(Builder) -> Builder, foreign: bool) {
    let gate = Gate::new(&store);
    let db = build(gate.builder()).connect().await.unwrap();
    let seen = Arc::new(Mutex::new(Vec::<Revision>::new()));
    let theirs = Arc::clone(&seen);
    let observed = db.observe(move |set: &ChangeSet| theirs.lock().unwrap().push(set.revision()));
    gate.yield_often();
    let mut polls = 0;
    let done = loop {
        let mut txn = db.txn();
        txn.put(RAW, "a", Bytes::from(polls.to_string())).unwrap();
        txn.delete(RAW, "b").unwrap();
        if foreign {
            store.put("/t/foreign", polls.to_string()).await;
        }
        let outcome = poll_at_most(polls, txn.commit()).await;
        assert_true_copy(&store, &db).await;
        if let Some(outcome) = outcome {
            break outcome;
        }
        polls += 1;
    };
    assert!(polls > 3, "{polls} polls are too few to be dropped in between");
    assert!(done.unwrap().changed());
    drop(observed);
    let seen = seen.lock().unwrap();
    assert!(seen.is_sorted_by(|earlier, later| earlier < later), "{seen:?}");
}

// D6
async fn commit_dropped_at_any_point_leaves_a_true_copy(store: Store) {
    drop_commits(store, |builder| builder, false).await;
}

// D6
async fn commit_with_a_marker_dropped_at_any_point_leaves_a_true_copy(store: Store) {
    drop_commits(store, |builder| builder.commit_markers("/m/"), false).await;
}

// D6
async fn commit_behind_other_writes_dropped_at_any_point_leaves_a_true_copy(store: Store) {
    drop_commits(store, |builder| builder, true).await;
}

async fn barrier_dropped_at_any_point_leaves_nothing_behind(store: Store) {
    let gate = Gate::new(&store);
    let db = gate.builder().connect().await.unwrap();
    gate.yield_often();
    let mut polls = 0;
    loop {
        store.put("/elsewhere", polls.to_string()).await;
        if let Some(fresh) = poll_at_most(polls, db.fresh()).await {
            fresh.unwrap();
            break;
        }
        polls += 1;
    }
    assert!(polls > 2, "{polls} polls are too few to be dropped in between");
    assert_true_copy(&store, &db).await;
}

/// Tries again until it succeeds.
async fn until_ok<T, F: Future<Output = Result<T, Error>>>(mut attempt: impl FnMut() -> F) -> T {
    within("success", async {
        loop {
            if let Ok(success) = attempt().await {
                return success;
            }
        }
    })
    .await
}

// D6 D13
async fn every_wait_ends_by_its_deadline(store: Store) {
    store.put("/t/a", "1").await;
    let gate = Gate::new(&store);
    let mut options = Options::default();
    let short = Duration::from_millis(200);
    options.commit_timeout = short;
    options.catch_up_timeout = short;
    options.request_timeout = short;
    let builder = || gate.builder().options(options.clone()).commit_markers("/m/");
    // What the store answers may come too late for such deadlines.
    let db = until_ok(|| builder().connect()).await;
    let put = || db.transact(|txn| txn.put(RAW, "b", Bytes::new()));
    let token = until_ok(put).await.1.token();
    let behind = store.db().await;
    gate.hang();
    let put = db.transact(|txn| txn.put(RAW, "a", Bytes::from("2")));
    assert!(within("transact", put).await.unwrap_err().is_outcome_unknown());
    let mut txn = db.txn();
    txn.get(RAW, "a").unwrap();
    txn.validate();
    let is_timeout = |error: Error| matches!(error, Error::Backend { .. }) && error.is_transient();
    assert!(is_timeout(within("validation", txn.commit()).await.unwrap_err()));
    assert!(is_timeout(within("fresh", db.fresh()).await.unwrap_err()));
    let old = Staleness::MaxAge(Duration::ZERO);
    assert!(matches!(within("read", db.read(old)).await, Err(Error::TooStale { .. })));
    // The second commit meets a marker that must be settled first.
    let put = db.transact(|txn| txn.put(RAW, "a", Bytes::from("3")));
    assert!(is_timeout(within("transact", put).await.unwrap_err()));
    assert!(is_timeout(within("self-check", db.self_check()).await.unwrap_err()));
    assert!(is_timeout(within("connecting", builder().connect()).await.unwrap_err()));
    gate.hang_no_more();
    within("token", behind.at_least(&token)).await.unwrap();
    // The first may find the watch dead, and say that it is committed and not seen yet.
    until_ok(|| db.transact(|txn| txn.put(RAW, "a", Bytes::from("4")))).await;
}
