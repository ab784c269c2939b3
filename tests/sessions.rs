//! Sessions: keys that live as long as the program that put them.

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
use support::session::{SHORT, TTL, gated, live, lives, loss, metadata, open, put};
use support::{Gate, Store, until, within};
use tailetc::backend::KvBackend;
use tailetc::{
    Error, Key, LeaseId, LeaseLoss, OnLoss, Options, RAW, Session, SessionState, WatchMode,
};
use tailetc_testkit::faulty::FaultyBackend;
use tokio::time::{Instant, sleep, timeout};

on_every_backend! {
    session_outlives_its_time_and_its_keys_with_it,
    closing_deletes_the_keys_and_others_see_it,
    dropping_deletes_the_keys_and_leaves_no_task,
    closing_the_db_ends_the_session_and_deletes_the_keys,
    sessions_of_one_db_are_independent,
    revoked_lease_is_lost_and_stays_so,
    session_of_a_dead_program_ends_and_is_established_anew_where_nobody_took_its_place,
    leader_is_one_at_a_time,
    deleted_key_is_not_put_again,
}

async fn session_outlives_its_time_and_its_keys_with_it(store: Store) {
    let (db, other) = (store.db().await, store.db().await);
    let session = open(&db, OnLoss::Stop).await;
    put(&session, "a", "1").await;
    assert_eq!(metadata(&db, "a").unwrap().lease, live(&session));
    sleep(session.ttl() + Duration::from_secs(1)).await;
    assert!(session.state().is_live());
    assert_eq!(metadata(&other, "a").unwrap().lease, live(&session));
    assert_eq!(store.get("/t/a").await.unwrap(), "1");
}

async fn closing_deletes_the_keys_and_others_see_it(store: Store) {
    let (db, other) = (store.db().await, store.db().await);
    let session = open(&db, OnLoss::Reestablish).await;
    let (lease, mut states) = (live(&session), session.states());
    assert!(states.next().await.unwrap().is_live());
    put(&session, "a", "1").await;
    until("the other sees it", || metadata(&other, "a").is_some()).await;
    within("close", session.close()).await.unwrap();
    assert!(!lives(&store, lease).await);
    assert_eq!(states.next().await, Some(SessionState::Ended));
    assert_eq!(states.next().await, None);
    until("the other sees it go", || metadata(&other, "a").is_none()).await;
    assert!(db.health().is_tailing());
}

async fn dropping_deletes_the_keys_and_leaves_no_task(store: Store) {
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let outside = tasks();
    let db = store.db().await;
    let before = tasks();
    let session = open(&db, OnLoss::Reestablish).await;
    put(&session, "a", "1").await;
    drop(session);
    until("the key goes", || metadata(&db, "a").is_none()).await;
    until("the task ends", || tasks() <= before).await;
    // Without any other handle, the copy ends with the session.
    let session = open(&db, OnLoss::Stop).await;
    drop(db);
    put(&session, "a", "1").await;
    drop(session);
    until("all tasks end", || tasks() <= outside).await;
    assert!(store.get("/t/a").await.is_none());
}

async fn closing_the_db_ends_the_session_and_deletes_the_keys(store: Store) {
    let db = store.db().await;
    let session = open(&db, OnLoss::Reestablish).await;
    let lease = live(&session);
    put(&session, "a", "1").await;
    db.close();
    within("lost", session.lost()).await;
    assert_eq!((session.state(), session.lease()), (SessionState::Ended, None));
    within("close", session.close()).await.unwrap();
    assert!(!lives(&store, lease).await && store.get("/t/a").await.is_none());
    let refused = within("open", db.session(TTL).open()).await.unwrap_err();
    assert!(matches!(refused, Error::Closed { .. }), "{refused:?}");
}

async fn sessions_of_one_db_are_independent(store: Store) {
    let db = store.db().await;
    let (one, two) = (open(&db, OnLoss::Stop).await, open(&db, OnLoss::Stop).await);
    assert_ne!(live(&one), live(&two));
    put(&one, "one", "1").await;
    put(&two, "two", "2").await;
    within("close", one.close()).await.unwrap();
    until("one goes", || metadata(&db, "one").is_none()).await;
    assert!(two.state().is_live() && metadata(&db, "two").is_some());
}

async fn revoked_lease_is_lost_and_stays_so(store: Store) {
    let db = store.db().await;
    let session = open(&db, OnLoss::Stop).await;
    let lease = live(&session);
    put(&session, "a", "1").await;
    store.backend.lease_revoke(lease).await.unwrap();
    // The store refuses the lease, or the session knows already.
    let refused = within("put", session.put(RAW, "a", Bytes::new())).await.unwrap_err();
    let named = matches!(refused, Error::LeaseLost { lease: of, returns: false } if of == lease);
    assert!(named, "{refused:?}");
    within("lost", session.lost()).await;
    assert_eq!(loss(&session.state()), Some(LeaseLoss::Gone));
    let refused = within("put", session.put(RAW, "a", Bytes::new())).await.unwrap_err();
    let named = matches!(refused, Error::LeaseLost { lease: of, returns: false } if of == lease);
    assert!(named && !refused.is_transient(), "{refused:?}");
    within("close", session.close()).await.unwrap();
    assert!(metadata(&db, "a").is_none());
}

async fn session_of_a_dead_program_ends_and_is_established_anew_where_nobody_took_its_place(
    store: Store,
) {
    let faulty = FaultyBackend::new(Arc::clone(&store.backend));
    let db = support::builder_on(Arc::new(faulty.clone())).connect().await.unwrap();
    let other = store.db().await;
    let session = db.session(SHORT).on_loss(OnLoss::Reestablish).open().await.unwrap();
    let lease = live(&session);
    for key in ["m/a", "m/b", "m/c"] {
        put(&session, key, "ours").await;
    }
    other.fresh().await.unwrap();
    let mut watch = other.watch(RAW, "m/a".."m/b", WatchMode::EXACT).unwrap();
    let mut seen = async || {
        let update = within("update", watch.next()).await.unwrap().unwrap();
        let changes: Vec<_> =
            update.changes().map(|change| change.after().unwrap().is_some()).collect();
        changes
    };
    assert_eq!(seen().await, [true]);

    faulty.disconnect();
    within("lost", session.lost()).await;
    assert_eq!(loss(&session.state()), Some(LeaseLoss::NotRenewed));
    let refused = within("put", session.put(RAW, "m/a", Bytes::new())).await.unwrap_err();
    assert!(matches!(refused, Error::LeaseLost { returns: true, .. }), "{refused:?}");
    assert_eq!(seen().await, [false], "the others see it go");
    store.put("/t/m/b", "theirs").await;
    faulty.reconnect();

    let mut states = session.states();
    let back = within("live again", async {
        loop {
            if let state @ SessionState::Live { .. } = states.next().await.unwrap() {
                return state;
            }
        }
    });
    let back = back.await;
    let SessionState::Live { lease: second, taken, .. } = &back else { panic!("{back:?}") };
    assert_ne!(*second, lease);
    assert_eq!(**taken, [Key::from("/t/m/b")]);
    assert_eq!(seen().await, [true], "and come back");
    for (key, value) in [("/t/m/a", "ours"), ("/t/m/b", "theirs"), ("/t/m/c", "ours")] {
        assert_eq!(store.get(key).await.unwrap(), value);
    }
    assert_eq!(metadata(&db, "m/c").unwrap().lease, *second);
    // It is ours again once we write it.
    put(&session, "m/b", "ours").await;
    assert!(matches!(session.state(), SessionState::Live { taken, .. } if taken.is_empty()));
    within("close", session.close()).await.unwrap();
    assert!(store.get("/t/m/b").await.is_none());
}

async fn leader_is_one_at_a_time(store: Store) {
    let (db, other) = (store.db().await, store.db().await);
    let (one, two) = (open(&db, OnLoss::Stop).await, open(&other, OnLoss::Stop).await);
    let elect = async |session: &Session, name: &'static str| {
        let election = session.transact(|txn, lease| {
            let free = !txn.contains(RAW, "leader")?;
            if free {
                txn.put_with_lease(RAW, "leader", Bytes::from(name), lease)?;
            }
            Ok::<_, Error>(free)
        });
        within("election", election).await.unwrap().0
    };
    let (first, second) = tokio::join!(elect(&one, "one"), elect(&two, "two"));
    assert!(first != second, "one wins: {first} {second}");
    let (winner, loser, name) = if first { (one, two, "two") } else { (two, one, "one") };
    within("close", winner.close()).await.unwrap();
    for db in [&db, &other] {
        until("the leader is gone", || metadata(db, "leader").is_none()).await;
    }
    assert!(elect(&loser, name).await);
    assert_eq!(store.get("/t/leader").await.unwrap(), name);
}

async fn deleted_key_is_not_put_again(store: Store) {
    let db = store.db().await;
    let session = open(&db, OnLoss::Reestablish).await;
    let lease = live(&session);
    put(&session, "kept", "1").await;
    put(&session, "kept", "2").await;
    put(&session, "deleted", "1").await;
    put(&session, "detached", "1").await;
    within("delete", session.delete(RAW, "deleted")).await.unwrap();
    // Written without the lease, it is nobody's session key any more.
    let detach = session.transact(|txn, _| txn.put(RAW, "detached", Bytes::from("2")));
    within("detach", detach).await.unwrap();
    store.backend.lease_revoke(lease).await.unwrap();
    let renewed = || session.lease().is_some_and(|now| now != lease);
    until("established anew", renewed).await;
    assert_eq!(store.get("/t/kept").await.unwrap(), "2");
    assert!(store.get("/t/deleted").await.is_none());
    assert_eq!(metadata(&db, "detached").unwrap().lease, LeaseId::NONE);
}

#[tokio::test(start_paused = true)]
async fn lease_is_renewed_when_a_third_of_its_time_is_over() {
    let (store, _gate, db) = gated().await;
    let session = db.session(Duration::from_secs(60)).open().await.unwrap();
    for _ in 0..1_000 {
        sleep(Duration::from_secs(1)).await;
        let left = store.backend.lease_time_to_live(live(&session), false).await.unwrap();
        assert!(left.unwrap().ttl_seconds >= 39);
    }
}

#[tokio::test(start_paused = true)]
async fn loss_is_told_when_the_time_is_over_and_the_store_does_not_answer() {
    for hangs in [true, false] {
        let mut store = Store::memory();
        let faulty = FaultyBackend::new(Arc::clone(&store.backend));
        store.backend = Arc::new(faulty.clone());
        let gate = Gate::new(&store);
        let db = gate.builder().connect().await.unwrap();
        let opened = Instant::now();
        let session = db.session(Duration::from_secs(10)).open().await.unwrap();
        if hangs {
            gate.hang()
        } else {
            faulty.disconnect()
        }
        session.lost().await;
        let after = opened.elapsed();
        assert!(after >= Duration::from_secs(10) && after < Duration::from_millis(10_010));
        assert_eq!(loss(&session.state()), Some(LeaseLoss::NotRenewed));
        // What hangs does not hold the end up.
        let closing = Instant::now();
        session.close().await.unwrap();
        assert!(closing.elapsed() < Duration::from_secs(1));
    }
}

#[tokio::test]
async fn loss_is_told_when_the_task_of_the_session_has_ended_with_its_runtime() {
    let db = Store::memory().db().await;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let opening = db.session(SHORT).open();
    let session = runtime.spawn(opening).await.unwrap().unwrap();
    let mut states = session.states();
    assert!(within("live", states.next()).await.unwrap().is_live());
    runtime.shutdown_background();
    within("lost", session.lost()).await;
    assert_eq!(loss(&session.state()), Some(LeaseLoss::NotRenewed));
    let told = within("told", states.next()).await.unwrap();
    assert_eq!(loss(&told), Some(LeaseLoss::NotRenewed));
    // Nobody revokes the lease; it ends by itself.
    within("close", session.close()).await.unwrap();
    assert_eq!(within("told", states.next()).await, Some(SessionState::Ended));
    assert_eq!(states.next().await, None);
}

#[tokio::test(start_paused = true)]
async fn failed_renewals_are_tried_again_before_the_time_is_over() {
    let (_store, gate, db) = gated().await;
    let session = db.session(Duration::from_secs(10)).open().await.unwrap();
    let lease = live(&session);
    for _ in 0..10 {
        gate.hang();
        sleep(Duration::from_secs(6)).await;
        gate.hang_no_more();
        sleep(Duration::from_secs(2)).await;
        assert_eq!(session.lease(), Some(lease));
    }
}

#[tokio::test(start_paused = true)]
async fn session_that_cannot_be_revoked_ends_in_time() {
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let (_store, gate, db) = gated().await;
    let before = tasks();
    let session = db.session(Duration::from_secs(600)).open().await.unwrap();
    gate.hang();
    let closing = Instant::now();
    let failed = session.close().await.unwrap_err();
    assert!(failed.is_transient(), "{failed:?}");
    assert!(closing.elapsed() <= Options::default().commit_timeout);
    assert_eq!(tasks(), before);
}

#[tokio::test(start_paused = true)]
async fn transaction_that_is_not_polled_holds_nothing_up_if_nothing_is_remembered() {
    let (_store, gate, db) = gated().await;
    let session = db.session(TTL).open().await.unwrap();
    gate.hold_answers();
    let mut first = std::pin::pin!(session.put(RAW, "a", Bytes::new()));
    timeout(Duration::from_millis(1), &mut first).await.unwrap_err();
    gate.release_answers();
    put(&session, "b", "1").await;
    first.await.unwrap();
}

#[tokio::test]
async fn session_without_time_is_refused() {
    let db = Store::memory().db().await;
    let refused = db.session(Duration::ZERO).open().await.unwrap_err();
    assert!(matches!(refused, Error::InvalidOption { option: "ttl", .. }), "{refused:?}");
    let refused = db.session(Duration::MAX).open().await.unwrap_err();
    assert!(matches!(refused, Error::Backend { .. }), "{refused:?}");
}
