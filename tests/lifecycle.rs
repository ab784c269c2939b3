//! Opening, closing, and what is left behind.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test ends at the first thing that is not as expected"
)]

mod support;

use std::time::Duration;

use bytes::Bytes;
use support::{Gate, Store, until, within};
use tailetc::{CloseReason, Error, Options, Phase, RAW, WatchMode};

on_every_backend! {
    closed_db_still_reads_and_refuses_the_rest,
    dropping_the_last_handle_ends_everything,
    denied_writes_fail_until_the_last_guard_is_dropped,
    delete_all_on_start_deletes_the_prefix_and_nothing_else,
    waiters_are_woken_by_a_close,
    two_dbs_on_one_store_are_independent,
    backend_is_the_raw_way_in,
}

async fn closed_db_still_reads_and_refuses_the_rest(store: Store) {
    store.put("/t/a", "1").await;
    let db = store.db().await;
    db.close();
    assert_eq!(db.health().phase, Phase::Closed(CloseReason::Requested));
    assert_eq!(*db.get(RAW, "a").unwrap().unwrap(), "1");
    let mut txn = db.txn();
    assert!(txn.get(RAW, "a").unwrap().is_some());
    txn.put(RAW, "a", Bytes::from("2")).unwrap();
    let closed = |error: Error| matches!(error, Error::Closed { reason: CloseReason::Requested });
    assert!(closed(within("commit", txn.commit()).await.unwrap_err()));
    assert!(closed(within("fresh", db.fresh()).await.unwrap_err()));
    assert!(closed(db.watch(RAW, .., WatchMode::EXACT).unwrap_err()));
    assert_eq!(store.get("/t/a").await.unwrap(), "1");
}

async fn dropping_the_last_handle_ends_everything(store: Store) {
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let before = tasks();
    let db = store.db().await;
    let watch = db.watch(RAW, .., WatchMode::EXACT).unwrap();
    let snapshot = db.snapshot();
    let clone = db.clone();
    drop(db);
    assert!(clone.health().is_tailing(), "a handle is left");
    drop(clone);
    until("the tasks end", || tasks() <= before).await;
    assert!(snapshot.is_empty());
    drop(watch);
}

async fn denied_writes_fail_until_the_last_guard_is_dropped(store: Store) {
    let db = store.db().await;
    let mut begun = db.txn();
    begun.put(RAW, "a", Bytes::from("1")).unwrap();
    let (outer, inner) = (db.deny_writes(), db.deny_writes());
    drop(inner);
    assert!(matches!(db.txn().put(RAW, "a", Bytes::new()), Err(Error::WritesDenied)));
    assert!(matches!(db.txn().delete(RAW, "a"), Err(Error::WritesDenied)));
    assert!(matches!(within("commit", begun.commit()).await, Err(Error::WritesDenied)));
    let mut reads = db.txn();
    reads.get(RAW, "a").unwrap();
    within("read", reads.commit()).await.unwrap();
    drop(outer);
    let put = db.transact(|txn| txn.put(RAW, "a", Bytes::from("1")));
    within("commit", put).await.unwrap();
}

async fn delete_all_on_start_deletes_the_prefix_and_nothing_else(store: Store) {
    store.put_all(&[("/t/a", "1"), ("/t/b", "1"), ("/t", "1"), ("/u", "1")]).await;
    let db = store.builder().delete_all_on_start().connect().await.unwrap();
    assert!(db.snapshot().is_empty());
    assert_eq!(store.get("/t/a").await, None);
    assert!(store.get("/t").await.is_some() && store.get("/u").await.is_some());
}

async fn waiters_are_woken_by_a_close(store: Store) {
    let gate = Gate::new(&store);
    let db = gate.builder().connect().await.unwrap();
    gate.hold_watches();
    store.put("/t/a", "1").await;
    let fresh = tokio::spawn({
        let db = db.clone();
        async move { db.fresh().await }
    });
    let mut health = db.health_changes();
    assert_eq!(within("health", health.next()).await.unwrap().phase, Phase::Tailing);
    tokio::time::sleep(Duration::from_millis(20)).await;
    db.close();
    let error = within("fresh", fresh).await.unwrap().unwrap_err();
    assert!(matches!(error, Error::Closed { .. }), "{error}");
    let closed = within("health", health.next()).await.unwrap();
    assert_eq!(closed.phase, Phase::Closed(CloseReason::Requested));
    assert!(within("health", health.next()).await.is_none());
}

async fn two_dbs_on_one_store_are_independent(store: Store) {
    let (one, two) = (store.db().await, store.builder().prefix("/u/").connect().await.unwrap());
    for db in [&one, &two] {
        let put = db.transact(|txn| txn.put(RAW, "a", Bytes::from("1")));
        within("commit", put).await.unwrap();
    }
    one.close();
    let put = two.transact(|txn| txn.put(RAW, "b", Bytes::from("1")));
    within("commit", put).await.unwrap();
    assert_eq!((one.snapshot().len(), two.snapshot().len()), (1, 2));
    assert!(two.health().is_tailing());
}

async fn backend_is_the_raw_way_in(store: Store) {
    use tailetc::backend::{KvBackendExt, PutRequest};
    let db = store.db().await;
    let revision = db.backend().put(PutRequest::new("/t/raw", "1")).await.unwrap();
    until("it comes back", || db.snapshot().revision() >= revision).await;
    assert!(db.snapshot().contains(RAW, "raw").unwrap());
}

#[tokio::test]
async fn bad_options_are_refused_with_their_names() {
    let mut options = Options::default();
    options.page_keys = 0;
    let error = tailetc::open("memory://").options(options).connect().await.unwrap_err();
    assert!(matches!(error, Error::InvalidOption { option: "page_keys", .. }), "{error}");
    let error = tailetc::open("nonsense").connect().await.unwrap_err();
    assert!(matches!(error, Error::InvalidOption { option: "url", .. }), "{error}");
}

#[tokio::test]
async fn named_memory_is_shared_and_private_memory_is_not() {
    let open = async |url: &str| tailetc::open(url).connect().await.unwrap();
    let named = "memory://lifecycle-test";
    let (a, b, c) = (open(named).await, open(named).await, open("memory://").await);
    let (_, commit) = a.transact(|txn| txn.put(RAW, "x", Bytes::from("1"))).await.unwrap();
    let seen = within("token", b.at_least(&commit.token())).await.unwrap();
    assert!(seen.contains(RAW, "x").unwrap() && c.snapshot().is_empty());
    let error = within("token", c.at_least(&commit.token())).await.unwrap_err();
    assert!(matches!(error, Error::TokenMismatch { .. }), "{error}");
}

#[cfg(feature = "etcd")]
mod absent_etcd {
    use super::*;

    #[tokio::test]
    async fn unreachable_server_is_a_clear_error_within_the_connect_timeout() {
        // Port 9 (discard) is not served on loopback.
        let connect = tailetc::open("http://127.0.0.1:9").connect();
        let connect = tokio::time::timeout(Duration::from_secs(8), connect).await;
        let error = connect.expect("the default timeout is 5 s").unwrap_err();
        let text = format!("{error}: {}", std::error::Error::source(&error).unwrap());
        assert!(text.contains("127.0.0.1:9"), "{text}");
    }
}

#[cfg(not(feature = "etcd"))]
#[tokio::test]
async fn etcd_url_without_the_feature_says_so() {
    let error = tailetc::open("http://127.0.0.1:9").connect().await.unwrap_err();
    assert!(error.to_string().contains("feature `etcd`"), "{error}");
}
