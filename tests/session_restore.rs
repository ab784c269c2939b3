//! Sessions that put their keys again, with another lease, and what they must not put.

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
use support::session::{TTL, gated, live, metadata, metadata_of, open, put};
use support::{Gate, Store, until, within};
use tailetc::backend::KvBackend;
use tailetc::memkv::MemKv;
use tailetc::{
    Collection, Db, Error, Index, Key, LeaseId, OnLoss, RAW, Raw, Session, SessionState,
};
use tokio::time::timeout;

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
