//! What becomes of values that do not decode, as each collection's policy says: the same on load,
//! on the watch, on a resync, and beside commits of one's own.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test ends at the first thing that is not as expected"
)]

mod support;

use std::sync::Arc;

use support::{Gate, Store, until, within};
use tailetc::{
    Builder, CloseReason, Collection, Db, DecodePolicy, Error, Json, Phase, RAW, Revision,
    WatchMode,
};

const NUMBERS: Collection<Json<Vec<u64>>> = Collection::new("numbers/");

on_every_backend! {
    kept_value_stays_visible_and_marked_on_the_watch,
    kept_value_is_the_same_on_a_resync,
    kept_value_is_the_last_one_in_a_batch,
    nothing_is_kept_beyond_a_deletion,
    transaction_never_reads_a_kept_value,
    refused_value_fails_the_load,
    refused_value_closes_on_the_watch_before_it,
    refused_value_closes_on_a_resync,
    refused_value_that_nobody_sees_does_not_close,
    policy_of_an_unknown_collection_is_refused,
}

fn with(builder: Builder, policy: DecodePolicy) -> Builder {
    builder.collection(NUMBERS).decode_policy(NUMBERS, policy)
}

async fn open(gate: &Gate, policy: DecodePolicy) -> Db {
    with(gate.builder(), policy).connect().await.unwrap()
}

/// Checks that `key` is listed as undecodable with `bytes`, while reads give `value` of `revision`.
fn assert_kept(db: &Db, key: &str, bytes: &str, value: u64, revision: Revision) {
    let snapshot = db.snapshot();
    assert_eq!(*snapshot.get(NUMBERS, key).unwrap().unwrap(), [value]);
    assert_eq!(*db.get(NUMBERS, key).unwrap().unwrap(), [value]);
    assert!(snapshot.range(NUMBERS, ..).unwrap().any(|(found, _)| found == key));
    let item = snapshot.scan(NUMBERS, ..).unwrap().find(|item| item.key() == key).unwrap();
    assert_eq!(item.kept_from(), Some(revision));
    assert!(item.metadata().mod_revision > revision, "the metadata are the store's");
    let listed = db.quarantined();
    assert_eq!(listed.len(), 1);
    assert_eq!((listed[0].kept_from, &*listed[0].bytes), (Some(revision), bytes.as_bytes()));
}

// D26
async fn kept_value_stays_visible_and_marked_on_the_watch(store: Store) {
    let good = store.put("/t/numbers/a", "[1]").await;
    let gate = Gate::new(&store);
    let db = open(&gate, DecodePolicy::KeepPrevious).await;
    let before = db.get(NUMBERS, "a").unwrap().unwrap();
    let mut watch = db.watch(NUMBERS, .., WatchMode::EXACT).unwrap();
    within("the initial state", watch.next()).await.unwrap().unwrap();
    for bad in ["{", "}"] {
        let last = store.put("/t/numbers/a", bad).await;
        until("the change arrives", || db.snapshot().revision() >= last).await;
        assert_kept(&db, "a", bad, 1, good);
        assert!(Arc::ptr_eq(&before, &db.get(NUMBERS, "a").unwrap().unwrap()));
        let update = within("an update", watch.next()).await.unwrap().unwrap();
        let change = update.changes().next().unwrap();
        assert_eq!((*change.after().unwrap().unwrap()).as_slice(), [1]);
        assert_eq!(change.kept_from(), Some(good));
    }
    assert_eq!(db.stats().undecodable, 2);
    // Nothing was there before it: there is nothing to keep.
    let last = store.put("/t/numbers/new", "{").await;
    until("the change arrives", || db.snapshot().revision() >= last).await;
    assert!(matches!(db.get(NUMBERS, "new"), Err(Error::Undecodable { .. })));
    assert!(matches!(db.snapshot().range(NUMBERS, ..), Err(Error::Undecodable { .. })));

    let last = store.put("/t/numbers/a", "[2]").await;
    until("the change arrives", || db.snapshot().revision() >= last).await;
    assert_eq!(*db.get(NUMBERS, "a").unwrap().unwrap(), [2]);
    assert_eq!(db.quarantined().len(), 1);
}

/// Makes the copy lose what `write` does to compaction, and find it by a resync.
async fn behind_its_back(store: &Store, gate: &Gate, write: impl AsyncFnOnce() -> Revision) {
    gate.hold_watches();
    let last = write().await;
    store.backend.compact(last).await.unwrap();
    gate.cut_watches();
    gate.release_watches();
}

// D7 D26
async fn kept_value_is_the_same_on_a_resync(store: Store) {
    let good = store.put("/t/numbers/a", "[1]").await;
    let gate = Gate::new(&store);
    let db = open(&gate, DecodePolicy::KeepPrevious).await;
    behind_its_back(&store, &gate, async || {
        store.put("/t/numbers/a", "x").await;
        store.put("/t/numbers/a", "y").await
    })
    .await;
    until("resynced", || db.stats().resyncs == 1 && !db.quarantined().is_empty()).await;
    assert_kept(&db, "a", "y", 1, good);
    // And again, with nothing changed in between.
    behind_its_back(&store, &gate, async || {
        store.put("/t/b", "1").await;
        store.put("/t/b", "2").await
    })
    .await;
    until("resynced", || db.stats().resyncs == 2 && db.snapshot().contains(RAW, "b").unwrap())
        .await;
    assert_kept(&db, "a", "y", 1, good);
}

// D19 D26
async fn kept_value_is_the_last_one_in_a_batch(store: Store) {
    store.put("/t/numbers/a", "[1]").await;
    let gate = Gate::new(&store);
    let db = open(&gate, DecodePolicy::KeepPrevious).await;
    gate.hold_watches();
    let good = store.put("/t/numbers/a", "[2]").await;
    let last = store.put("/t/numbers/a", "bad").await;
    gate.release_watches();
    until("the changes arrive", || db.snapshot().revision() >= last).await;
    assert_kept(&db, "a", "bad", 2, good);
}

// D26
async fn nothing_is_kept_beyond_a_deletion(store: Store) {
    let gate = Gate::new(&store);
    let db = open(&gate, DecodePolicy::KeepPrevious).await;
    for round in 1..=2 {
        let last = store.put("/t/numbers/a", "[1]").await;
        until("the change arrives", || db.snapshot().revision() >= last).await;
        let renew = async || {
            store.delete("/t/numbers/a").await;
            store.put("/t/numbers/a", "bad").await
        };
        if round == 1 {
            renew().await;
        } else {
            behind_its_back(&store, &gate, renew).await;
        }
        let resynced = || db.stats().resyncs == round - 1;
        until("quarantined", || db.get(NUMBERS, "a").is_err() && resynced()).await;
        assert_eq!(db.quarantined()[0].kept_from, None);
    }
}

// D26
async fn transaction_never_reads_a_kept_value(store: Store) {
    store.put("/t/numbers/a", "[1]").await;
    let gate = Gate::new(&store);
    let db = open(&gate, DecodePolicy::KeepPrevious).await;
    let last = store.put("/t/numbers/a", "bad").await;
    until("the change arrives", || db.snapshot().revision() >= last).await;
    let undecodable = |error: Error| matches!(error, Error::Undecodable { .. });
    assert!(undecodable(db.txn().get(NUMBERS, "a").unwrap_err()));
    assert!(undecodable(db.txn().peek(NUMBERS, "a", Vec::len).unwrap_err()));
    assert!(undecodable(db.txn().range(NUMBERS, ..).unwrap_err()));
    assert_eq!(*db.get(NUMBERS, "a").unwrap().unwrap(), [1]);
    let put = db.transact(|txn| txn.put(NUMBERS, "a", vec![3]));
    within("commit", put).await.unwrap();
    assert_eq!(*db.get(NUMBERS, "a").unwrap().unwrap(), [3]);
    assert!(db.quarantined().is_empty());
}

// D26
async fn refused_value_fails_the_load(store: Store) {
    store.put_all(&[("/t/numbers/a", "[1]"), ("/t/numbers/b", "bad")]).await;
    let error = with(store.builder(), DecodePolicy::Fail).connect().await.unwrap_err();
    assert!(matches!(&error, Error::Undecodable { key, .. } if *key == "/t/numbers/b"), "{error}");
}

fn assert_closed(db: &Db, revision: Revision, key: &str) {
    let reason = CloseReason::Undecodable { revision };
    let health = db.health();
    assert_eq!(health.phase, Phase::Closed(reason));
    assert!(health.last_error.unwrap().contains(key));
    let error = db.watch(RAW, .., WatchMode::EXACT).unwrap_err();
    assert!(matches!(error, Error::Closed { reason: found } if found == reason), "{error}");
}

// D26
async fn refused_value_closes_on_the_watch_before_it(store: Store) {
    store.put("/t/numbers/a", "[1]").await;
    let gate = Gate::new(&store);
    let db = open(&gate, DecodePolicy::Fail).await;
    let mut watch = db.watch(RAW, .., WatchMode::EXACT).unwrap();
    within("the initial state", watch.next()).await.unwrap().unwrap();
    gate.hold_watches();
    let good = store.put("/t/numbers/a", "[2]").await;
    let bad = store.put_all(&[("/t/b", "1"), ("/t/numbers/a", "bad")]).await;
    store.put("/t/numbers/a", "[3]").await;
    gate.release_watches();
    until("closed", || matches!(db.health().phase, Phase::Closed(_))).await;
    assert_closed(&db, bad, "/t/numbers/a");
    assert_eq!(db.snapshot().revision(), good);
    assert_eq!(*db.get(NUMBERS, "a").unwrap().unwrap(), [2]);
    assert!(!db.snapshot().contains(RAW, "b").unwrap(), "nothing of the same transaction");
    let ended = within("the watch's end", watch.next()).await.unwrap();
    assert!(matches!(ended, Err(Error::Closed { .. })), "{ended:?}");
}

// D7 D26
async fn refused_value_closes_on_a_resync(store: Store) {
    let good = store.put("/t/numbers/a", "[1]").await;
    let gate = Gate::new(&store);
    let db = open(&gate, DecodePolicy::Fail).await;
    let mut bad = good;
    behind_its_back(&store, &gate, async || {
        store.put("/t/numbers/a", "[2]").await;
        bad = store.put("/t/numbers/a", "bad").await;
        bad
    })
    .await;
    until("closed", || matches!(db.health().phase, Phase::Closed(_))).await;
    assert_closed(&db, bad, "/t/numbers/a");
    assert_eq!(*db.get(NUMBERS, "a").unwrap().unwrap(), [1]);
}

// D20 D26
async fn refused_value_that_nobody_sees_does_not_close(store: Store) {
    use tailetc::backend::{DeleteRequest, KeyRange, PutRequest, TxnRequest};
    let gate = Gate::new(&store);
    let db = open(&gate, DecodePolicy::Fail).await;
    // Put and deleted in one transaction, which etcd takes when they are nested in this order.
    let put = TxnRequest::new([PutRequest::new("/t/numbers/a", "bad").into()]);
    let delete = TxnRequest::new([DeleteRequest::new(KeyRange::key("/t/numbers/a")).into()]);
    let both = TxnRequest::new([put.into(), delete.into()]);
    store.backend.txn(both).await.unwrap();
    let last = store.put("/t/numbers/b", "[1]").await;
    until("the changes arrive", || db.snapshot().revision() >= last).await;
    assert!(!db.snapshot().contains(NUMBERS, "a").unwrap());
    assert!(db.health().is_tailing());
}

async fn policy_of_an_unknown_collection_is_refused(store: Store) {
    const OTHER: Collection<Json<Vec<u64>>> = Collection::new("other/");
    let builder = store.builder().collection(NUMBERS).decode_policy(OTHER, DecodePolicy::Fail);
    let error = builder.connect().await.unwrap_err();
    assert!(matches!(error, Error::InvalidOption { option: "decode_policy", .. }), "{error}");
}
