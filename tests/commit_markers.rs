//! Promise P4 with commit markers: an outcome is unknown only while the store cannot be reached.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test ends at the first thing that is not as expected"
)]

mod support;

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Waker};
use std::time::Duration;

use bytes::Bytes;
use support::{Gate, Store, until, within};
use tailetc::backend::{BackendErrorKind, KeyRange, KeyValue, RangeRequest};
use tailetc::{Commit, Db, Error, LeaseId, Limit, Options, RAW};

on_every_backend! {
    lost_reply_is_resolved_to_the_commit,
    lost_request_is_resolved_to_certainly_not_applied,
    commit_that_arrives_after_it_was_resolved_is_refused,
    lost_replies_to_fences_change_nothing,
    outcome_stays_unknown_while_the_store_cannot_be_reached,
    commit_that_was_dropped_cannot_disturb_a_later_one,
    commits_at_once_do_not_conflict_on_their_markers,
    ended_lease_costs_no_commit,
    lease_of_the_caller_that_does_not_exist_is_still_an_error,
    marker_counts_against_the_limits,
    markers_hang_on_a_lease_and_are_not_seen,
    validation_needs_no_marker,
    place_within_the_prefix_is_refused,
}

async fn open(gate: &Gate) -> Db {
    gate.builder().commit_markers("/m/").connect().await.unwrap()
}

/// For commits that get no answer. Those that get one must still have it in time.
async fn open_impatient(gate: &Gate) -> Db {
    let mut options = Options::default();
    options.commit_timeout = Duration::from_secs(1);
    gate.builder().options(options).commit_markers("/m/").connect().await.unwrap()
}

async fn put(db: &Db, key: &str, value: &str) -> Result<Commit, Error> {
    let mut txn = db.txn();
    txn.put(RAW, key, Bytes::from(value.to_owned())).unwrap();
    within("commit", txn.commit()).await
}

async fn markers(store: &Store) -> Vec<KeyValue> {
    store.backend.range(RangeRequest::new(KeyRange::prefix("/m/"))).await.unwrap().kvs
}

fn assert_not_applied(error: &Error) {
    assert!(matches!(error, Error::Backend { .. }) && !error.is_outcome_unknown(), "{error}");
    assert!(error.is_transient(), "{error}");
}

// D6
async fn lost_reply_is_resolved_to_the_commit(store: Store) {
    let gate = Gate::new(&store);
    let db = open(&gate).await;
    for round in 1..=3 {
        gate.lose_next_reply();
        let commit = put(&db, "a", &round.to_string()).await.unwrap();
        assert!(commit.changed());
        let snapshot = db.snapshot();
        let metadata = snapshot.metadata(RAW, "a").unwrap().unwrap();
        assert_eq!((metadata.mod_revision, metadata.version), (commit.revision(), round));
        let stats = db.stats();
        assert_eq!((stats.resolved_outcomes, stats.unknown_outcomes), (round as u64, 0));
        put(&db, "b", "answered").await.unwrap();
    }
}

// D6
async fn lost_request_is_resolved_to_certainly_not_applied(store: Store) {
    let gate = Gate::new(&store);
    let db = open_impatient(&gate).await;
    for round in 1..=3 {
        gate.swallow_next_txn();
        assert_not_applied(&put(&db, "a", "1").await.unwrap_err());
        assert_eq!(db.stats().resolved_outcomes, round);
        assert_eq!(store.get("/t/a").await, None);
        put(&db, "b", "1").await.unwrap();
    }
}

// D6
async fn commit_that_arrives_after_it_was_resolved_is_refused(store: Store) {
    let gate = Gate::new(&store);
    let db = open_impatient(&gate).await;
    for round in 0..3_u32 {
        gate.swallow_next_txn();
        assert_not_applied(&put(&db, "a", "late").await.unwrap_err());
        if round == 1 {
            put(&db, "b", "between").await.unwrap();
        }
        assert!(!gate.deliver_late().await.succeeded);
        assert_eq!(store.get("/t/a").await, None);
    }
}

// D6
async fn lost_replies_to_fences_change_nothing(store: Store) {
    let gate = Gate::new(&store);
    let db = open_impatient(&gate).await;
    gate.lose_next_replies(3);
    let commit = put(&db, "a", "1").await.unwrap();
    assert_eq!(db.snapshot().metadata(RAW, "a").unwrap().unwrap().mod_revision, commit.revision());
    gate.swallow_next_txn();
    gate.lose_next_replies(2);
    assert_not_applied(&put(&db, "a", "late").await.unwrap_err());
    assert!(!gate.deliver_late().await.succeeded);
    assert_eq!(store.get("/t/a").await.unwrap(), "1");
    put(&db, "a", "2").await.unwrap();
}

// D6
async fn outcome_stays_unknown_while_the_store_cannot_be_reached(store: Store) {
    let gate = Gate::new(&store);
    let db = open_impatient(&gate).await;
    put(&db, "a", "1").await.unwrap();
    gate.lose_requests(true);
    let error = put(&db, "a", "2").await.unwrap_err();
    assert!(error.is_outcome_unknown(), "{error}");
    let stats = db.stats();
    assert_eq!((stats.resolved_outcomes, stats.unknown_outcomes), (0, 1));
    gate.lose_requests(false);
    put(&db, "a", "3").await.unwrap();
}

// D6
async fn commit_that_was_dropped_cannot_disturb_a_later_one(store: Store) {
    let gate = Gate::new(&store);
    let db = open(&gate).await;
    for round in 0..3_u32 {
        let mut txn = db.txn();
        txn.put(RAW, "dropped", Bytes::from("late")).unwrap();
        gate.swallow_next_txn();
        let sent = gate.txns() + 1;
        {
            let mut commit = pin!(txn.commit());
            until("the commit is sent", || {
                let _ = commit.as_mut().poll(&mut Context::from_waker(Waker::noop()));
                gate.txns() >= sent
            })
            .await;
        }
        put(&db, "a", &round.to_string()).await.unwrap();
        assert!(!gate.deliver_late().await.succeeded);
        gate.lose_next_reply();
        put(&db, "b", &round.to_string()).await.unwrap();
    }
    assert_eq!(store.get("/t/dropped").await, None);
    assert_eq!(markers(&store).await.len(), 1, "the marker of a dropped commit is used again");
}

async fn commits_at_once_do_not_conflict_on_their_markers(store: Store) {
    let gate = Gate::new(&store);
    let db = open(&gate).await;
    for _ in 0..3 {
        let commits: Vec<_> = (0..16)
            .map(|key| {
                let db = db.clone();
                tokio::spawn(async move { put(&db, &key.to_string(), "1").await })
            })
            .collect();
        for commit in commits {
            commit.await.unwrap().unwrap();
        }
    }
    assert_eq!((db.stats().conflicts, db.snapshot().len()), (0, 16));
    assert!(markers(&store).await.len() <= 16);
}

async fn ended_lease_costs_no_commit(store: Store) {
    let gate = Gate::new(&store);
    let db = open(&gate).await;
    put(&db, "a", "1").await.unwrap();
    for _ in 0..2 {
        let lease = markers(&store).await[0].lease;
        store.backend.lease_revoke(lease).await.unwrap();
        put(&db, "a", "2").await.unwrap();
        gate.lose_next_reply();
        put(&db, "a", "3").await.unwrap();
    }
    // Also the very first use of a marker finds that the lease is gone.
    let other = open(&gate).await;
    store.backend.lease_revoke(gate.last_lease()).await.unwrap();
    put(&other, "b", "1").await.unwrap();
    assert_eq!(db.stats().conflicts + other.stats().conflicts, 0);
}

async fn lease_of_the_caller_that_does_not_exist_is_still_an_error(store: Store) {
    let gate = Gate::new(&store);
    let db = open(&gate).await;
    let mut txn = db.txn();
    txn.put_with_lease(RAW, "a", Bytes::new(), LeaseId::new(4711)).unwrap();
    let error = within("commit", txn.commit()).await.unwrap_err();
    assert_eq!(error.backend_kind(), Some(BackendErrorKind::LeaseNotFound));
    assert_eq!(gate.txns(), 1);
    put(&db, "a", "1").await.unwrap();
}

// D32
async fn marker_counts_against_the_limits(store: Store) {
    let gate = Gate::new(&store);
    let db = open(&gate).await;
    let commit = |keys: usize| {
        let mut txn = db.txn();
        for key in 0..keys {
            txn.put(RAW, format!("{key:04}"), Bytes::new()).unwrap();
        }
        within("commit", txn.commit())
    };
    let error = commit(128).await.unwrap_err();
    assert!(
        matches!(error, Error::LimitExceeded { what: Limit::Operations, actual: 129, limit: 128 }),
        "{error}"
    );
    assert_eq!(gate.txns(), 0, "nothing is sent");
    commit(127).await.unwrap();
}

async fn markers_hang_on_a_lease_and_are_not_seen(store: Store) {
    let gate = Gate::new(&store);
    let db = open(&gate).await;
    for _ in 0..5 {
        put(&db, "a", "1").await.unwrap();
    }
    let markers = markers(&store).await;
    assert_eq!((markers.len(), db.snapshot().len()), (1, 1));
    assert!(!markers[0].lease.is_none() && markers[0].version == 5, "{markers:?}");
}

async fn validation_needs_no_marker(store: Store) {
    let gate = Gate::new(&store);
    let db = open(&gate).await;
    let mut txn = db.txn();
    txn.get(RAW, "a").unwrap();
    txn.validate();
    within("commit", txn.commit()).await.unwrap();
    assert!(markers(&store).await.is_empty());
    // What changes nothing cannot be of unknown outcome.
    gate.lose_next_reply();
    let mut txn = db.txn();
    txn.delete(RAW, "a").unwrap();
    assert_not_applied(&within("commit", txn.commit()).await.unwrap_err());
}

async fn place_within_the_prefix_is_refused(store: Store) {
    for place in ["/t/m/", "/t/", "/", "/m", ""] {
        let error = store.builder().commit_markers(place).connect().await.unwrap_err();
        assert!(matches!(error, Error::InvalidOption { option: "commit_markers", .. }), "{error}");
    }
}

/// The marker went with the history that it was in: nobody can know.
// D6 D11
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn outcome_in_a_lost_history_stays_unknown() {
    let (store, other) = (Store::memory(), Store::memory());
    let gate = Gate::new(&store);
    gate.pretend_cluster(7);
    let db = open(&gate).await;
    gate.hold_answers();
    let committing = db.clone();
    let commit = tokio::spawn(async move { put(&committing, "a", "1").await });
    until("the commit is applied", || gate.answered() == 1).await;
    gate.swap_store(&other);
    gate.lose_next_reply();
    gate.release_answers();
    let error = within("commit", commit).await.unwrap().unwrap_err();
    assert!(error.is_outcome_unknown(), "{error}");
}
