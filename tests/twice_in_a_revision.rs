//! One transaction may hold the deletion of a key and a put of it, in either order: both bear one
//! revision, and the last one counts.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test ends at the first thing that is not as expected"
)]

mod support;

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use support::{Gate, Replica, Store, next, until, utf8, values_of, within};
use tailetc::backend::{DeleteRequest, KeyRange, KvBackend as _, PutRequest, TxnRequest};
use tailetc::{
    Builder, ChangeKind, ChangeSet, Collection, Db, DecodePolicy, Error, Index, Json, RAW,
    Revision, WatchMode,
};

type Pairs = Json<(String, i64)>;

const THINGS: Collection<Pairs> = Collection::new("things/");
const BY_LEVEL: Index<Pairs, i64> = THINGS.index("level", |_, (_, level), keys| keys.add(*level));
const BY_NAME: Index<Pairs, String> = THINGS.unique_index("name", |_, (name, _), keys| {
    keys.add(name);
});

on_every_backend! {
    watches_and_observers_see_one_change,
    load_shows_what_was_last,
    resync_shows_what_was_last,
    indexes_follow_what_was_last,
    commits_beside_it_conflict_or_follow,
    values_that_do_not_decode_follow_their_policy,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    DeletePut,
    PutDelete,
}

const ORDERS: [Order; 2] = [Order::DeletePut, Order::PutDelete];

/// The deletion of a key and a put of it. There must be no key after it: a server takes a deletion
/// before a put only if that has no end. It takes the other order if each is in a transaction.
async fn both(store: &Store, order: Order, key: &str, value: &str) -> Revision {
    let put = PutRequest::new(key.to_owned(), value.to_owned());
    let request = match order {
        Order::DeletePut => {
            let delete = DeleteRequest::new(KeyRange::from_key(key.to_owned()));
            TxnRequest::new([delete.into(), put.into()])
        }
        Order::PutDelete => {
            let delete = DeleteRequest::new(KeyRange::key(key.to_owned()));
            let nested = TxnRequest::new([delete.into()]);
            TxnRequest::new([TxnRequest::new([put.into()]).into(), nested.into()])
        }
    };
    store.backend.txn(request).await.unwrap().header.revision
}

fn with_things(builder: Builder) -> Builder {
    builder.collection(THINGS).index(BY_LEVEL).index(BY_NAME)
}

/// The copy is what a copy is that is loaded now, and what the store has.
async fn assert_as_loaded(store: &Store, db: &Db) {
    let loaded = with_things(store.builder()).connect().await.unwrap();
    let (ours, theirs) = (db.snapshot(), loaded.snapshot());
    assert_eq!(values_of(&ours), values_of(&theirs));
    for key in values_of(&ours).keys() {
        assert_eq!(ours.metadata(RAW, key).unwrap(), theirs.metadata(RAW, key).unwrap());
    }
    let things = |snapshot: &tailetc::Snapshot| {
        let all = snapshot.range(THINGS, ..).unwrap();
        let all = all.map(|(key, value)| (key.to_string(), (*value).clone()));
        let by_level = snapshot.index(BY_LEVEL).unwrap();
        let by_level = by_level.range(..).map(|item| item.key.to_string());
        (all.collect::<Vec<_>>(), by_level.collect::<Vec<_>>())
    };
    assert_eq!(things(&ours), things(&theirs));
    let check = within("self-check", db.self_check()).await.unwrap();
    assert_eq!(check.mismatches, 0);
}

// D40 D20
async fn watches_and_observers_see_one_change(store: Store) {
    store.put("/t/z", "old").await;
    let db = store.db().await;
    let record = Arc::new(Mutex::new(Vec::new()));
    let theirs = Arc::clone(&record);
    let _guard = db.observe(move |set: &ChangeSet| {
        if set.kind() != ChangeKind::Initial {
            for change in set.of(RAW).unwrap() {
                let text = |value: Option<Arc<Bytes>>| value.map(utf8);
                let (before, after) = (change.before().unwrap(), change.after().unwrap());
                theirs.lock().unwrap().push((text(before), text(after)));
            }
        }
    });
    let mut exact = db.watch(RAW, .., WatchMode::EXACT).unwrap();
    let mut coalesced = db.watch(RAW, .., WatchMode::Coalesced).unwrap();
    let (mut replica, mut sparse) = (Replica::default(), Replica::default());
    replica.apply(&next(&mut exact).await);
    sparse.apply(&next(&mut coalesced).await);

    let some = |text: &str| Some(text.to_owned());
    // What was there is replaced; what was replaced is deleted; what was absent is so again, which
    // nobody needs to know; what was absent is created.
    for (order, value, change) in [
        (Order::DeletePut, "1", Some((some("old"), some("1")))),
        (Order::DeletePut, "2", Some((some("1"), some("2")))),
        (Order::PutDelete, "3", Some((some("2"), None))),
        (Order::PutDelete, "4", None),
        (Order::DeletePut, "5", Some((None, some("5")))),
    ] {
        let revision = both(&store, order, "/t/z", value).await;
        until("the change", || db.snapshot().revision() >= revision).await;
        assert_eq!(record.lock().unwrap().pop(), change, "{order:?} {value}");
        assert!(record.lock().unwrap().is_empty());
        if change.is_some() {
            replica.follow(&mut exact, revision).await;
            sparse.follow(&mut coalesced, revision).await;
        }
        replica.assert_is(&db);
        sparse.assert_is(&db);
        let stored = store.stored("/t/z").await;
        let metadata = db.snapshot().metadata(RAW, "z").unwrap();
        assert_eq!(metadata.is_some(), stored.is_some());
        if let (Some(metadata), Some(stored)) = (metadata, stored) {
            let expected = (stored.create_revision, stored.mod_revision, stored.version);
            assert_eq!(expected, (revision, revision, 1), "the server begins anew");
            let found = (metadata.create_revision, metadata.mod_revision, metadata.version);
            assert_eq!(found, expected);
        }
    }
}

// D40
async fn load_shows_what_was_last(store: Store) {
    for order in ORDERS {
        both(&store, order, "/t/z", "new").await;
        let db = store.db().await;
        assert_eq!(db.snapshot().contains(RAW, "z").unwrap(), order == Order::DeletePut);
        // From a revision before it, so that the watch shows it anew.
        let gate = Gate::new(&store);
        let db = with_things(gate.builder()).connect().await.unwrap();
        gate.rewind_next_watch(1);
        gate.cut_watches();
        until("reconnected", || db.stats().reconnects == 1).await;
        let last = store.put("/t/a", format!("{order:?}")).await;
        until("the last change", || db.snapshot().revision() >= last).await;
        assert_as_loaded(&store, &db).await;
    }
}

// D40 D7
async fn resync_shows_what_was_last(store: Store) {
    for order in ORDERS {
        store.put("/t/z", "old").await;
        let gate = Gate::new(&store);
        let db = with_things(gate.builder()).connect().await.unwrap();
        let mut watch = db.watch(RAW, .., WatchMode::EXACT).unwrap();
        let mut replica = Replica::default();
        replica.apply(&next(&mut watch).await);
        gate.hold_watches();
        both(&store, order, "/t/z", "new").await;
        store.put("/t/a", format!("{order:?}")).await;
        let last = store.put("/elsewhere", "1").await;
        store.backend.compact(last).await.unwrap();
        gate.cut_watches();
        gate.release_watches();
        until("resynced", || db.stats().resyncs == 1 && db.health().is_tailing()).await;
        replica.follow(&mut watch, last).await;
        assert_eq!(replica.updates, [ChangeKind::Initial, ChangeKind::Resync]);
        replica.assert_is(&db);
        assert_eq!(db.snapshot().contains(RAW, "z").unwrap(), order == Order::DeletePut);
        assert_as_loaded(&store, &db).await;
    }
}

// D40
async fn indexes_follow_what_was_last(store: Store) {
    let db = with_things(store.builder()).connect().await.unwrap();
    let put = db.transact(|txn| txn.put(THINGS, "z", ("ann".to_owned(), 1)));
    within("commit", put).await.unwrap();
    let mut watch = db.watch_index(BY_LEVEL, .., WatchMode::EXACT).unwrap();
    let mut levels = within("initial", watch.next()).await.unwrap().unwrap().changes().count();
    for (order, value, level) in [
        (Order::DeletePut, r#"["ann",2]"#, Some(2)),
        (Order::DeletePut, r#"["bob",2]"#, Some(2)),
        (Order::PutDelete, r#"["bob",3]"#, None),
        (Order::DeletePut, r#"["ann",4]"#, Some(4)),
    ] {
        let revision = both(&store, order, "/t/things/z", value).await;
        until("the change", || db.snapshot().revision() >= revision).await;
        let snapshot = db.snapshot();
        let found = snapshot.index(BY_LEVEL).unwrap();
        let found: Vec<_> = found.range(..).map(|item| item.value.1).collect();
        assert_eq!(found, level.into_iter().collect::<Vec<_>>(), "{order:?} {value}");
        let update = within("an update", watch.next()).await.unwrap().unwrap();
        for change in update.changes() {
            levels += usize::from(change.after.is_some());
            levels -= usize::from(change.before.is_some());
        }
        assert_eq!(levels, usize::from(level.is_some()));
        assert_as_loaded(&store, &db).await;
    }
    // The foreign writer does not know of reservations: one is of nobody's index key any more, and
    // the holder that the index shows has that of its first index key.
    within("repair", db.repair_unique(BY_NAME)).await.unwrap();
    assert!(db.snapshot().check_unique(BY_NAME).unwrap().is_clean());
    let claim = db.transact(|txn| txn.put(THINGS, "a", ("ann".to_owned(), 1)));
    assert!(matches!(within("claim", claim).await, Err(Error::NotUnique { .. })));
    let claim = db.transact(|txn| txn.put(THINGS, "a", ("bob".to_owned(), 1)));
    within("claim", claim).await.unwrap();
}

// D40 D21
async fn commits_beside_it_conflict_or_follow(store: Store) {
    let gate = Gate::new(&store);
    let db = with_things(gate.builder()).connect().await.unwrap();
    for order in ORDERS {
        let put = db.transact(|txn| txn.put(RAW, "z", Bytes::from("old")));
        within("commit", put).await.unwrap();
        gate.hold_watches();
        let mut stale = db.txn();
        assert!(stale.get(RAW, "z").unwrap().is_some());
        stale.put(RAW, "z", Bytes::from("stale")).unwrap();
        let mut deletion = db.txn();
        deletion.delete(RAW, "z").unwrap();
        let mut scan = db.txn();
        assert!(scan.range(RAW, ..).unwrap().iter().any(|(key, _)| *key == "z"));
        scan.put(RAW, "a", Bytes::from("stale")).unwrap();
        let mut other = db.txn();
        other.put(RAW, "b", Bytes::from(format!("{order:?}"))).unwrap();
        let revision = both(&store, order, "/t/z", "new").await;
        // Applied after it; its event cannot come before the watch goes on.
        let answered = gate.answered();
        let other = tokio::spawn(other.commit());
        until("the commit is applied", || gate.answered() > answered).await;
        gate.release_watches();
        let commit = within("commit", other).await.unwrap().unwrap();
        assert!(commit.token().revision() > revision);
        for stale in [stale, deletion, scan] {
            let error = within("stale commit", stale.commit()).await.unwrap_err();
            assert!(error.is_conflict(), "{order:?}: {error}");
        }
        assert_eq!(db.snapshot().contains(RAW, "z").unwrap(), order == Order::DeletePut);
        let put = db.transact(|txn| {
            let now = txn.get(RAW, "z")?.map(utf8);
            txn.put(RAW, "c", Bytes::from(format!("{now:?}")))
        });
        within("commit", put).await.unwrap();
        assert_eq!(db.stats().resyncs, 0);
        assert_as_loaded(&store, &db).await;
    }
}

// D40 D26
async fn values_that_do_not_decode_follow_their_policy(store: Store) {
    for policy in [DecodePolicy::Quarantine, DecodePolicy::KeepPrevious, DecodePolicy::Fail] {
        store.delete("/t/things/z").await;
        store.put("/t/things/z", r#"["ann",1]"#).await;
        let db = with_things(store.builder()).decode_policy(THINGS, policy).connect();
        let db = db.await.unwrap();
        // Nobody sees a value that is deleted in the same transaction.
        let last = both(&store, Order::PutDelete, "/t/things/z", "bad").await;
        until("the change", || db.snapshot().revision() >= last).await;
        assert!(db.health().is_tailing() && db.quarantined().is_empty(), "{policy:?}");
        assert!(!db.snapshot().contains(THINGS, "z").unwrap());

        let last = store.put("/t/things/z", r#"["ann",1]"#).await;
        until("the change", || db.snapshot().revision() >= last).await;
        let bad = both(&store, Order::DeletePut, "/t/things/z", "bad").await;
        if policy == DecodePolicy::Fail {
            until("closed", || !db.health().is_tailing()).await;
            assert_eq!(db.snapshot().revision(), last);
            continue;
        }
        until("the change", || db.snapshot().revision() >= bad).await;
        // What was deleted and created anew is another thing: nothing of before is kept.
        let listed = db.quarantined();
        assert_eq!(listed.len(), 1, "{policy:?}");
        assert_eq!((listed[0].kept_from, &*listed[0].bytes), (None, &b"bad"[..]));
        assert!(matches!(db.get(THINGS, "z"), Err(Error::Undecodable { .. })));
        let good = both(&store, Order::DeletePut, "/t/things/z", r#"["ann",2]"#).await;
        until("the change", || db.snapshot().revision() >= good).await;
        assert!(db.quarantined().is_empty());
        assert_eq!(db.get(THINGS, "z").unwrap().unwrap().1, 2);
    }
}
