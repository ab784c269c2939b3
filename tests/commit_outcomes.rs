//! Promise P4: a commit is committed, in conflict, or of unknown outcome, and never hangs.

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
use tailetc::{Error, LeaseId, Limit, Options, RAW};

on_every_backend! {
    delete_of_an_absent_key_returns_while_others_write_elsewhere,
    put_of_an_equal_value_is_a_change,
    lost_reply_is_an_unknown_outcome_and_is_not_sent_again,
    commit_without_an_answer_ends_by_its_deadline,
    committed_but_not_caught_up_says_both,
    too_many_writes_are_refused_before_they_are_sent,
    too_many_guards_are_refused_before_they_are_sent,
    too_large_a_transaction_is_refused_before_it_is_sent,
    transaction_at_the_limits_is_taken,
    unknown_lease_is_refused_and_nothing_is_written,
    conflicts_are_retried_by_transact_until_it_gives_up,
    error_of_the_body_is_returned_and_nothing_is_written,
    dropped_commit_leaves_the_db_usable,
}

async fn delete_of_an_absent_key_returns_while_others_write_elsewhere(store: Store) {
    let store = Arc::new(store);
    let db = store.db().await;
    for round in 0..20_u32 {
        store.put("/elsewhere", round.to_string()).await;
        let mut txn = db.txn();
        txn.delete(RAW, "absent").unwrap();
        let commit = within("no-op commit", txn.commit()).await.unwrap();
        assert!(!commit.changed() && db.snapshot().revision() >= commit.revision());
    }
    let mut txn = db.txn();
    txn.delete(RAW, "absent").unwrap();
    txn.put(RAW, "present", Bytes::new()).unwrap();
    assert!(within("commit", txn.commit()).await.unwrap().changed());
    db.close();
}

async fn put_of_an_equal_value_is_a_change(store: Store) {
    let first = store.put("/t/a", "1").await;
    let db = store.db().await;
    let mut txn = db.txn();
    txn.put(RAW, "a", Bytes::from("1")).unwrap();
    let commit = within("commit", txn.commit()).await.unwrap();
    assert!(commit.changed() && commit.revision() > first);
    assert_eq!(db.snapshot().metadata(RAW, "a").unwrap().unwrap().version, 2);
}

// D6
async fn lost_reply_is_an_unknown_outcome_and_is_not_sent_again(store: Store) {
    let gate = Gate::new(&store);
    let db = gate.builder().connect().await.unwrap();
    gate.lose_next_reply();
    let error = db.transact(|txn| txn.put(RAW, "a", Bytes::from("1")));
    let error = within("commit", error).await.unwrap_err();
    assert!(error.is_outcome_unknown() && !error.is_conflict(), "{error}");
    assert_eq!(gate.txns(), 1);
    // It was applied, once, and the copy finds out.
    let fresh = within("fresh", db.fresh()).await.unwrap();
    assert_eq!(fresh.metadata(RAW, "a").unwrap().unwrap().version, 1);
    assert_eq!(db.stats().unknown_outcomes, 1);
}

const SHORT: Duration = Duration::from_millis(300);

// D6 D13
async fn commit_without_an_answer_ends_by_its_deadline(store: Store) {
    let gate = Gate::new(&store);
    let mut options = Options::default();
    options.commit_timeout = SHORT;
    let db = gate.builder().options(options).connect().await.unwrap();
    gate.swallow_next_txn();
    let mut txn = db.txn();
    txn.put(RAW, "a", Bytes::from("1")).unwrap();
    let error = within("commit", txn.commit()).await.unwrap_err();
    assert!(error.is_outcome_unknown(), "{error}");
    assert_eq!(store.get("/t/a").await, None);
}

async fn committed_but_not_caught_up_says_both(store: Store) {
    let gate = Gate::new(&store);
    let mut options = Options::default();
    options.catch_up_timeout = SHORT;
    let db = gate.builder().options(options).connect().await.unwrap();
    gate.hold_watches();
    store.put("/t/foreign", "1").await;
    let mut txn = db.txn();
    txn.put(RAW, "a", Bytes::from("1")).unwrap();
    let error = within("commit", txn.commit()).await.unwrap_err();
    let Error::NotCaughtUp { target, applied, .. } = error else { panic!("{error}") };
    assert!(!error.is_transient() && applied < target);
    let commit = error.committed().unwrap();
    assert!(commit.changed() && commit.revision() == target);
    assert_eq!(store.get("/t/a").await.unwrap(), "1");
}

/// What a refused transaction says, after checking that nothing was sent.
async fn refusal(store: &Store, keys: usize, bytes: usize) -> (Limit, usize, usize) {
    let gate = Gate::new(store);
    let db = gate.builder().connect().await.unwrap();
    let mut txn = db.txn();
    for key in 0..keys {
        txn.put(RAW, format!("{key:04}"), Bytes::from(vec![b'x'; bytes])).unwrap();
    }
    let error = within("commit", txn.commit()).await.unwrap_err();
    assert_eq!(gate.txns(), 0, "nothing is sent");
    let Error::LimitExceeded { what, actual, limit } = error else { panic!("{error}") };
    (what, actual, limit)
}

// D32
async fn too_many_writes_are_refused_before_they_are_sent(store: Store) {
    assert_eq!(refusal(&store, 129, 1).await, (Limit::Operations, 129, 128));
}

// D22 D32
async fn too_many_guards_are_refused_before_they_are_sent(store: Store) {
    for batch in 0..2 {
        let keys: Vec<_> = (0..64).map(|i| format!("/t/{batch}/{i:03}")).collect();
        let puts: Vec<_> = keys.iter().map(|key| (key.as_str(), "1")).collect();
        store.put_all(&puts).await;
    }
    let gate = Gate::new(&store);
    let db = gate.builder().connect().await.unwrap();
    let mut txn = db.txn();
    assert_eq!(txn.range(RAW, ..).unwrap().len(), 128);
    txn.put(RAW, "sum", Bytes::from("128")).unwrap();
    let error = within("commit", txn.commit()).await.unwrap_err();
    assert_eq!(gate.txns(), 0, "nothing is sent");
    // 128 keys of the range, the range itself, and the key written.
    assert!(
        matches!(error, Error::LimitExceeded { what: Limit::Guards, actual: 130, limit: 128 }),
        "{error}"
    );
}

// D32
async fn too_large_a_transaction_is_refused_before_it_is_sent(store: Store) {
    let (what, actual, limit) = refusal(&store, 2, 800_000).await;
    assert_eq!((what, limit), (Limit::RequestBytes, 1_572_864));
    assert!((1_600_000..1_600_200).contains(&actual), "{actual}");
}

async fn transaction_at_the_limits_is_taken(store: Store) {
    let db = store.db().await;
    let mut txn = db.txn();
    for key in 0..128 {
        txn.put(RAW, format!("{key:04}"), Bytes::from(vec![b'x'; 12_000])).unwrap();
    }
    within("commit", txn.commit()).await.unwrap();
    assert_eq!(db.snapshot().len(), 128);
}

// D33
async fn unknown_lease_is_refused_and_nothing_is_written(store: Store) {
    let db = store.db().await;
    let mut txn = db.txn();
    txn.put_with_lease(RAW, "a", Bytes::from("1"), LeaseId::new(4711)).unwrap();
    txn.put(RAW, "b", Bytes::from("1")).unwrap();
    let error = within("commit", txn.commit()).await.unwrap_err();
    assert!(matches!(error, Error::Backend { .. }) && !error.is_outcome_unknown(), "{error}");
    assert!(within("fresh", db.fresh()).await.unwrap().is_empty());

    let lease = store.backend.lease_grant(LeaseId::NONE, 60).await.unwrap().id;
    let mut txn = db.txn();
    txn.put_with_lease(RAW, "a", Bytes::from("1"), lease).unwrap();
    within("commit", txn.commit()).await.unwrap();
    assert_eq!(db.snapshot().metadata(RAW, "a").unwrap().unwrap().lease, lease);
    store.backend.lease_revoke(lease).await.unwrap();
    assert!(within("fresh", db.fresh()).await.unwrap().is_empty(), "gone with its lease");
}

async fn conflicts_are_retried_by_transact_until_it_gives_up(store: Store) {
    let store = Arc::new(store);
    let mut options = Options::default();
    options.transact_attempts = 3;
    let db = store.builder().options(options).connect().await.unwrap();
    let mut attempts = 0;
    // Each attempt reads a key that is changed before it commits.
    let outcome = db.transact(|txn| {
        attempts += 1;
        txn.get(RAW, "a")?;
        txn.put(RAW, "b", Bytes::from("1"))?;
        tokio::task::block_in_place(|| {
            tokio::runtime::Handle::current().block_on(store.put("/t/a", "x"))
        });
        Ok::<_, Error>(())
    });
    let error = within("transact", outcome).await.unwrap_err();
    assert!(matches!(error, Error::TooManyConflicts { attempts: 3, .. }), "{error}");
    assert!(error.is_conflict());
    assert_eq!((attempts, store.get("/t/b").await), (3, None));
}

async fn error_of_the_body_is_returned_and_nothing_is_written(store: Store) {
    #[derive(Debug)]
    enum Failure {
        Mine,
        Theirs(#[expect(dead_code, reason = "shown by Debug")] Error),
    }
    impl From<Error> for Failure {
        fn from(error: Error) -> Self {
            Self::Theirs(error)
        }
    }
    let db = store.db().await;
    let outcome = db.transact(|txn| {
        txn.put(RAW, "a", Bytes::from("1"))?;
        Err::<(), _>(Failure::Mine)
    });
    let error = within("transact", outcome).await.unwrap_err();
    assert!(matches!(error, Failure::Mine), "{error:?}");

    let mut txn = db.txn();
    txn.put(RAW, "a", Bytes::from("1")).unwrap();
    txn.fail("changed my mind");
    let error = txn.put(RAW, "b", Bytes::from("1")).unwrap_err();
    assert!(matches!(error, Error::Abandoned { .. }), "{error}");
    assert!(matches!(within("commit", txn.commit()).await, Err(Error::Abandoned { .. })));
    assert!(within("fresh", db.fresh()).await.unwrap().is_empty());
}

// D6
async fn dropped_commit_leaves_the_db_usable(store: Store) {
    let gate = Gate::new(&store);
    let db = gate.builder().connect().await.unwrap();
    for round in 0..10_u64 {
        gate.hold_answers();
        let mut txn = db.txn();
        txn.put(RAW, "a", Bytes::from(round.to_string())).unwrap();
        let answers = gate.answered() + 1;
        tokio::select! {
            _ = txn.commit() => panic!("the answer is held"),
            () = until("the commit is applied", || gate.answered() == answers) => {}
        }
        // Applied all the same, and the copy finds out.
        gate.release_answers();
        until("the event arrives", || {
            db.get(RAW, "a").unwrap().is_some_and(|value| *value == round.to_string())
        })
        .await;
    }
    let (_, commit) = within("transact", db.transact(|txn| txn.put(RAW, "a", Bytes::from("last"))))
        .await
        .unwrap();
    let fresh = within("fresh", db.fresh()).await.unwrap();
    assert!(fresh.revision() >= commit.revision());
    let theirs = store.db().await.snapshot();
    assert_eq!(fresh.metadata(RAW, "a").unwrap(), theirs.metadata(RAW, "a").unwrap());
    assert_eq!(store.get("/t/a").await.unwrap(), "last");
}
