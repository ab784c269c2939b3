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
use support::{Gate, Store, until, within};
use tailetc::backend::KvBackend;
use tailetc::memkv::MemKv;
use tailetc::{
    Collection, Db, Error, Index, Key, LeaseId, LeaseLoss, Metadata, OnLoss, Options, RAW, Raw,
    Session, SessionState, WatchMode,
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

/// Long enough that a machine that stands still for some seconds costs no session.
const TTL: Duration = Duration::from_secs(10);

/// For tests that wait until it is over.
const SHORT: Duration = Duration::from_secs(2);

async fn open(db: &Db, on_loss: OnLoss) -> Session {
    within("open", db.session(TTL).on_loss(on_loss).open()).await.unwrap()
}

async fn put(session: &Session, key: &str, value: &'static str) {
    within("put", session.put(RAW, key, Bytes::from(value))).await.unwrap();
}

fn metadata(db: &Db, key: &str) -> Option<Metadata> {
    metadata_of(db, RAW, key)
}

fn metadata_of(db: &Db, collection: Collection<Raw>, key: &str) -> Option<Metadata> {
    db.snapshot().metadata(collection, key).unwrap()
}

fn live(session: &Session) -> LeaseId {
    session.lease().expect("the session is live")
}

async fn lives(store: &Store, lease: LeaseId) -> bool {
    store.backend.lease_time_to_live(lease, false).await.unwrap().is_some()
}

fn loss(state: &SessionState) -> Option<LeaseLoss> {
    match state {
        SessionState::Lost { reason, .. } => Some(*reason),
        _ => None,
    }
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

/// A store in memory behind a gate, on a clock that stands still while anything can be done.
async fn gated() -> (Store, Gate, Db) {
    let store = Store::memory();
    let gate = Gate::new(&store);
    let db = gate.builder().connect().await.unwrap();
    (store, gate, db)
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
async fn many_keys_are_put_again_in_transactions_within_the_limits() {
    let (store, _gate, db) = gated().await;
    let session = db.session(TTL).on_loss(OnLoss::Reestablish).open().await.unwrap();
    let lease = live(&session);
    let name = |index: usize| format!("many/{index:04}");
    for keys in (0..300).collect::<Vec<_>>().chunks(100) {
        let put = session.transact(|txn, lease| {
            for &index in keys {
                txn.put_with_lease(RAW, name(index), Bytes::from(vec![b'x'; 9_000]), lease)?;
            }
            Ok::<_, Error>(())
        });
        put.await.unwrap();
    }
    store.backend.lease_revoke(lease).await.unwrap();
    let renewed = || session.lease().is_some_and(|now| now != lease);
    until("established anew", renewed).await;
    assert_eq!(db.fresh().await.unwrap().len(), 300);
    assert_eq!(metadata(&db, &name(299)).unwrap().lease, live(&session));
}

#[tokio::test(start_paused = true)]
async fn what_may_have_been_overwritten_is_not_put_again() {
    let (store, gate, db) = gated().await;
    let session = db.session(TTL).on_loss(OnLoss::Reestablish).open().await.unwrap();
    let lease = live(&session);
    for key in ["deleted", "put", "refused", "dropped", "kept"] {
        put(&session, key, "1").await;
    }
    gate.lose_next_reply();
    let unknown = session.delete(RAW, "deleted").await.unwrap_err();
    assert!(unknown.is_outcome_unknown(), "{unknown:?}");
    gate.lose_next_reply();
    let unknown = session.put(RAW, "put", Bytes::from("2")).await.unwrap_err();
    assert!(unknown.is_outcome_unknown(), "{unknown:?}");
    gate.hold_answers();
    let dropped = timeout(Duration::from_secs(1), session.delete(RAW, "dropped")).await;
    dropped.unwrap_err();
    gate.release_answers();
    // What was certainly not applied changes nothing.
    let refused = session.put(RAW, "refused", Bytes::from(vec![0; 4 << 20])).await.unwrap_err();
    assert!(matches!(refused, Error::LimitExceeded { .. }), "{refused:?}");
    store.backend.lease_revoke(lease).await.unwrap();
    assert!(taken_anew(&session, lease).await.is_empty());
    for (key, value) in [
        ("/t/deleted", None),
        ("/t/put", None),
        ("/t/dropped", None),
        ("/t/refused", Some("1")),
        ("/t/kept", Some("1")),
    ] {
        assert_eq!(store.get(key).await.as_deref(), value.map(str::as_bytes), "{key}");
    }
    // Written anew, they are the session's again.
    put(&session, "put", "3").await;
    let second = live(&session);
    store.backend.lease_revoke(second).await.unwrap();
    assert!(taken_anew(&session, second).await.is_empty());
    assert_eq!(store.get("/t/put").await.unwrap(), "3");
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

/// The keys that a session has given up, once it is live with another lease.
async fn taken_anew(session: &Session, lease: LeaseId) -> Vec<String> {
    let mut states = session.states();
    within("established anew", async {
        loop {
            match states.next().await.unwrap() {
                SessionState::Live { lease: now, taken, .. } if now != lease => {
                    return taken.iter().map(Key::to_string).collect();
                }
                _ => {}
            }
        }
    })
    .await
}

const NAMED: Collection<Raw> = Collection::new("named/");
const BY_NAME: Index<Raw, Vec<u8>> =
    NAMED.unique_index("name", |_, name, keys| keys.add(name.to_vec()));

async fn put_named(db: &Db, lease: LeaseId, named: &[(&str, &'static str)]) {
    let put = db.transact(|txn| {
        for (key, name) in named {
            txn.put_with_lease(NAMED, key, Bytes::from(*name), lease)?;
        }
        Ok::<_, Error>(())
    });
    put.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn key_whose_index_key_is_taken_does_not_keep_the_others_away() {
    let store = Store::memory();
    let open = || store.builder().collection(NAMED).index(BY_NAME).connect();
    let (db, other) = (open().await.unwrap(), open().await.unwrap());
    let session = db.session(TTL).on_loss(OnLoss::Reestablish).open().await.unwrap();
    let lease = live(&session);
    session.put(NAMED, "a", Bytes::from("ann")).await.unwrap();
    session.put(NAMED, "b", Bytes::from("bob")).await.unwrap();
    store.backend.lease_revoke(lease).await.unwrap();
    other.fresh().await.unwrap();
    put_named(&other, LeaseId::NONE, &[("c", "ann")]).await;
    assert_eq!(taken_anew(&session, lease).await, ["/t/named/a"]);
    assert!(store.get("/t/named/a").await.is_none());
    assert_eq!(metadata_of(&db, NAMED, "b").unwrap().lease, live(&session));
}

#[tokio::test(start_paused = true)]
async fn keys_that_exchanged_index_keys_are_put_again_together() {
    let store = Store::memory();
    let gate = Gate::new(&store);
    let db = gate.builder().collection(NAMED).index(BY_NAME).connect().await.unwrap();
    let session = db.session(TTL).on_loss(OnLoss::Reestablish).open().await.unwrap();
    let lease = live(&session);
    let put = async |first: usize, last: usize| {
        let put = session.transact(|txn, lease| {
            for index in first..last {
                // More than fit into one transaction.
                let (key, name) = (format!("{index:03}"), format!("name {index}"));
                txn.put_with_lease(NAMED, key, Bytes::from(name), lease)?;
            }
            Ok::<_, Error>(())
        });
        put.await.unwrap();
    };
    for first in (0..200).step_by(50) {
        put(first, first + 50).await;
    }
    let exchange = session.transact(|txn, lease| {
        txn.put_with_lease(NAMED, "000", Bytes::from("name 199"), lease)?;
        txn.put_with_lease(NAMED, "199", Bytes::from("name 0"), lease)
    });
    exchange.await.unwrap();
    // A backup from before the exchange.
    let restored = Store::memory();
    restored.backend.lease_grant(lease, 60).await.unwrap();
    let old = restored.builder().collection(NAMED).index(BY_NAME).connect().await.unwrap();
    put_named(&old, lease, &[("000", "name 0"), ("199", "name 199")]).await;
    gate.pretend_cluster(7);
    gate.swap_store(&restored);
    gate.cut_watches();
    assert!(taken_anew(&session, lease).await.is_empty());
    assert_eq!(restored.get("/t/named/000").await.unwrap(), "name 199");
    assert_eq!(restored.get("/t/named/199").await.unwrap(), "name 0");
    for key in ["000", "100", "199"] {
        assert_eq!(metadata_of(&db, NAMED, key).unwrap().lease, live(&session));
    }
}

#[tokio::test(start_paused = true)]
async fn key_that_the_store_refuses_for_good_does_not_keep_the_others_away() {
    let (_store, gate, db) = gated().await;
    let session = db.session(TTL).on_loss(OnLoss::Reestablish).open().await.unwrap();
    let lease = live(&session);
    for index in 0..20 {
        let size = if index == 7 || index == 13 { 9_000 } else { 10 };
        session.put(RAW, format!("{index:02}"), Bytes::from(vec![b'x'; size])).await.unwrap();
    }
    let mut smaller = Store::memory();
    let limited = MemKv::builder().with_max_request_bytes(6_000).build();
    smaller.backend = Arc::new(limited);
    smaller.backend.lease_grant(lease, 60).await.unwrap();
    gate.pretend_cluster(7);
    gate.swap_store(&smaller);
    gate.cut_watches();
    assert_eq!(taken_anew(&session, lease).await, ["/t/07", "/t/13"]);
    assert_eq!(db.fresh().await.unwrap().len(), 18);
    assert_eq!(metadata(&db, "19").unwrap().lease, live(&session));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn key_that_was_put_while_the_lease_was_lost_is_put_again() {
    let (store, gate, db) = gated().await;
    let session = Arc::new(open(&db, OnLoss::Reestablish).await);
    let lease = live(&session);
    gate.hold_answers();
    let putting = Arc::clone(&session);
    let putting = tokio::spawn(async move { putting.put(RAW, "a", Bytes::from("1")).await });
    until("it is in the store", || gate.answered() == 1).await;
    store.backend.lease_revoke(lease).await.unwrap();
    within("lost", session.lost()).await;
    gate.release_answers();
    within("put", putting).await.unwrap().unwrap();
    let renewed = || session.lease().is_some_and(|now| now != lease);
    until("established anew", renewed).await;
    let hangs = || metadata(&db, "a").is_some_and(|now| Some(now.lease) == session.lease());
    until("put again", hangs).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn session_is_established_anew_in_a_restored_store() {
    let (store, gate, db) = gated().await;
    for round in 0..20_u8 {
        store.put("/t/round", vec![round]).await;
    }
    let session = open(&db, OnLoss::Reestablish).await;
    let lease = live(&session);
    put(&session, "a", "1").await;
    let restored = Store::memory();
    restored.put("/t/round", "restored").await;
    // The backup knows the lease, but none of its keys.
    restored.backend.lease_grant(lease, 60).await.unwrap();
    gate.pretend_cluster(7);
    gate.swap_store(&restored);
    gate.cut_watches();
    within("lost", session.lost()).await;
    let renewed = || session.lease().is_some_and(|now| now != lease);
    until("established anew", renewed).await;
    assert_eq!(restored.get("/t/a").await.unwrap(), "1");
    assert_eq!(db.get(RAW, "round").unwrap().as_deref(), Some(&Bytes::from("restored")));
}

#[tokio::test]
async fn session_without_time_is_refused() {
    let db = Store::memory().db().await;
    let refused = db.session(Duration::ZERO).open().await.unwrap_err();
    assert!(matches!(refused, Error::InvalidOption { option: "ttl", .. }), "{refused:?}");
    let refused = db.session(Duration::MAX).open().await.unwrap_err();
    assert!(matches!(refused, Error::Backend { .. }), "{refused:?}");
}
