//! Promise P5: changes are delivered without a gap, in order, and a transaction at a time.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test ends at the first thing that is not as expected"
)]

mod support;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use support::{Gate, Store, until, within};
use tailetc::{
    ChangeKind, ChangeSet, Collection, Db, Error, Only, Prefix, RAW, Raw, Revision, Shared, Update,
    Watch, WatchMode,
};

const ITEMS: Collection<Raw> = Collection::new("items/");

on_every_backend! {
    observer_sees_the_initial_load_first,
    observer_sees_a_transaction_as_one_set_with_old_and_new_values,
    observer_sees_a_change_before_any_reader,
    observer_sees_own_commits_before_they_return,
    observer_sees_equal_puts_and_no_deletes_of_absent_keys,
    observer_that_panics_stops_nobody,
    observer_that_would_wait_for_itself_is_told,
    observer_is_not_called_after_its_guard_is_dropped,
    key_written_twice_in_a_transaction_is_one_change,
    initial_state_and_changes_meet_without_gap_or_duplicate,
    watch_of_a_key_and_of_a_range_see_nothing_else,
    exact_watch_that_is_too_slow_is_told_and_then_shown_the_state,
    coalesced_watch_shows_the_difference_and_the_final_state,
    watch_ends_when_the_db_is_closed,
    next_that_is_dropped_loses_nothing,
    raw_watch_gets_no_updates_of_typed_collections,
    close_within_an_observer_ends_the_watches,
    departing_observer_may_own_the_last_handle,
}

/// (revision, kind, [(key, before, after)])
type Seen = (Revision, ChangeKind, Vec<(String, Option<String>, Option<String>)>);

fn utf8(bytes: Arc<Bytes>) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn seen(set: &ChangeSet) -> Seen {
    let changes = set.of(RAW).unwrap().map(|change| {
        let (before, after) = (change.before().unwrap(), change.after().unwrap());
        (change.key().to_string(), before.map(utf8), after.map(utf8))
    });
    (set.revision(), set.kind(), changes.collect())
}

/// Collects what an observer sees.
fn recorder() -> (Arc<Mutex<Vec<Seen>>>, impl FnMut(&ChangeSet) + Send) {
    let record = Arc::new(Mutex::new(Vec::new()));
    let theirs = Arc::clone(&record);
    (record, move |set: &ChangeSet| theirs.lock().unwrap().push(seen(set)))
}

fn change(
    key: &str,
    before: Option<&str>,
    after: Option<&str>,
) -> (String, Option<String>, Option<String>) {
    (key.into(), before.map(Into::into), after.map(Into::into))
}

async fn observer_sees_the_initial_load_first(store: Store) {
    store.put_all(&[("/t/b", "1"), ("/t/a", "1")]).await;
    let (record, observer) = recorder();
    let db = store.builder().observer(observer).connect().await.unwrap();
    let initial = vec![change("a", None, Some("1")), change("b", None, Some("1"))];
    let revision = db.snapshot().revision();
    assert_eq!(*record.lock().unwrap(), [(revision, ChangeKind::Initial, initial.clone())]);

    let (late, observer) = recorder();
    let _guard = db.observe(observer).unwrap();
    assert_eq!(*late.lock().unwrap(), [(revision, ChangeKind::Initial, initial)]);
}

async fn observer_sees_a_transaction_as_one_set_with_old_and_new_values(store: Store) {
    store.put_all(&[("/t/a", "1"), ("/t/gone", "1")]).await;
    let (record, observer) = recorder();
    let db = store.builder().observer(observer).connect().await.unwrap();
    record.lock().unwrap().clear();
    let mut txn = db.txn();
    txn.put(RAW, "new", Bytes::from("1")).unwrap();
    txn.put(RAW, "a", Bytes::from("2")).unwrap();
    txn.delete(RAW, "gone").unwrap();
    let own = within("commit", txn.commit()).await.unwrap().revision();
    let foreign = store.put_all(&[("/t/new", "3"), ("/t/a", "3")]).await;
    until("the foreign change arrives", || record.lock().unwrap().len() == 2).await;
    let sets = record.lock().unwrap().clone();
    assert_eq!(
        sets[0],
        (
            own,
            ChangeKind::Transaction,
            vec![
                change("a", Some("1"), Some("2")),
                change("gone", Some("1"), None),
                change("new", None, Some("1")),
            ]
        )
    );
    assert_eq!(
        sets[1],
        (
            foreign,
            ChangeKind::Transaction,
            vec![change("a", Some("2"), Some("3")), change("new", Some("1"), Some("3")),]
        )
    );
}

async fn observer_sees_a_change_before_any_reader(store: Store) {
    let db = store.db().await;
    let early = Arc::new(Mutex::new(Vec::new()));
    let _guard = db.observe({
        let (db, early) = (db.clone(), Arc::clone(&early));
        move |set: &ChangeSet| {
            if set.kind() == ChangeKind::Transaction && db.snapshot().revision() >= set.revision() {
                early.lock().unwrap().push(set.revision());
            }
        }
    });
    for round in 0..20_u32 {
        store.put("/t/a", round.to_string()).await;
        let put = db.transact(|txn| txn.put(RAW, "b", Bytes::from("1")));
        within("commit", put).await.unwrap();
    }
    assert_eq!(*early.lock().unwrap(), []);
}

async fn observer_sees_own_commits_before_they_return(store: Store) {
    let (record, observer) = recorder();
    let db = store.builder().observer(observer).connect().await.unwrap();
    for round in 0..20_u32 {
        if round % 2 == 0 {
            store.put("/t/foreign", "1").await;
        }
        let put = db.transact(|txn| txn.put(RAW, "a", Bytes::from(round.to_string())));
        let revision = within("commit", put).await.unwrap().1.revision();
        assert!(record.lock().unwrap().iter().any(|(seen, ..)| *seen == revision));
    }
    let revisions: Vec<_> = record.lock().unwrap().iter().map(|(seen, ..)| *seen).collect();
    assert!(revisions.is_sorted_by(|a, b| a < b), "{revisions:?}");
}

async fn observer_sees_equal_puts_and_no_deletes_of_absent_keys(store: Store) {
    store.put("/t/a", "1").await;
    let (record, observer) = recorder();
    let db = store.builder().observer(observer).connect().await.unwrap();
    record.lock().unwrap().clear();
    store.delete("/t/absent").await;
    let equal = store.put("/t/a", "1").await;
    store.delete("/t/absent").await;
    within("fresh", db.fresh()).await.unwrap();
    let expected = (equal, ChangeKind::Transaction, vec![change("a", Some("1"), Some("1"))]);
    assert_eq!(*record.lock().unwrap(), [expected]);
}

async fn observer_that_panics_stops_nobody(store: Store) {
    let db = store.db().await;
    let _panics = db.observe(|set| assert!(set.is_empty(), "this panic is meant")).unwrap();
    let (record, observer) = recorder();
    let _guard = db.observe(observer).unwrap();
    let foreign = store.put("/t/a", "1").await;
    until("the change arrives", || db.snapshot().revision() >= foreign).await;
    let put = db.transact(|txn| txn.put(RAW, "b", Bytes::from("1")));
    within("commit", put).await.unwrap();
    assert_eq!(record.lock().unwrap().len(), 3, "the initial state and two changes");
    assert_eq!(db.stats().observer_panics, 2);
    assert!(db.health().is_tailing());
}

async fn observer_that_would_wait_for_itself_is_told(store: Store) {
    let db = store.db().await;
    let told = Arc::new(Mutex::new(Vec::new()));
    let _guard = db.observe({
        let (db, told) = (db.clone(), Arc::clone(&told));
        move |_: &ChangeSet| {
            let observe = db.observe(|_| ()).err();
            let watch = db.watch(RAW, .., WatchMode::EXACT).err();
            let mut txn = db.txn();
            txn.put(RAW, "b", Bytes::new()).unwrap();
            let runtime = tokio::runtime::Handle::current();
            let commit = tokio::task::block_in_place(|| runtime.block_on(txn.commit()));
            told.lock().unwrap().extend([observe, watch, commit.err()]);
        }
    });
    let put = db.transact(|txn| txn.put(RAW, "a", Bytes::from("1")));
    within("commit", put).await.unwrap();
    let told = told.lock().unwrap();
    assert_eq!(told.len(), 6);
    assert!(told.iter().all(|error| matches!(error, Some(Error::InObserver { .. }))));
}

async fn observer_is_not_called_after_its_guard_is_dropped(store: Store) {
    let db = store.db().await;
    let (record, observer) = recorder();
    let guard = db.observe(observer).unwrap();
    drop(guard);
    let (within_own, mut observer) = recorder();
    let mine = Arc::new(Mutex::new(None));
    *mine.lock().unwrap() = Some(
        db.observe({
            let mine = Arc::clone(&mine);
            move |set: &ChangeSet| {
                observer(set);
                // None at the initial call, which comes before the guard exists.
                if let Ok(mut mine) = mine.try_lock() {
                    mine.take();
                }
            }
        })
        .unwrap(),
    );
    for _ in 0..3 {
        let put = db.transact(|txn| txn.put(RAW, "a", Bytes::from("1")));
        within("commit", put).await.unwrap();
    }
    assert_eq!(record.lock().unwrap().len(), 1, "only the initial state");
    assert_eq!(within_own.lock().unwrap().len(), 2, "the initial state and one change");
}

async fn key_written_twice_in_a_transaction_is_one_change(store: Store) {
    use tailetc::backend::{DeleteRequest, KeyRange, PutRequest, TxnRequest};
    store.put("/t/a", "1").await;
    let (record, observer) = recorder();
    let db = store.builder().observer(observer).connect().await.unwrap();
    record.lock().unwrap().clear();
    // The duplicate check of etcd does not look at deletes without an end.
    let twice = |key: &'static str, value: &'static str| {
        TxnRequest::new([
            DeleteRequest::new(KeyRange::from_key(key)).into(),
            PutRequest::new(key, value).into(),
        ])
    };
    let update = store.backend.txn(twice("/t/a", "2")).await.unwrap().header.revision;
    let create = store.backend.txn(twice("/t/b", "1")).await.unwrap().header.revision;
    until("the changes arrive", || db.snapshot().revision() >= create).await;
    assert_eq!(
        *record.lock().unwrap(),
        [
            (update, ChangeKind::Transaction, vec![change("a", Some("1"), Some("2"))]),
            (create, ChangeKind::Transaction, vec![change("b", None, Some("1"))]),
        ]
    );
    assert_eq!(db.snapshot().metadata(RAW, "a").unwrap().unwrap().version, 1);
}

/// A consumer's own copy, kept by applying updates.
#[derive(Default)]
struct Replica {
    values: BTreeMap<String, String>,
    revision: Revision,
    updates: Vec<ChangeKind>,
}

impl Replica {
    fn apply<C: tailetc::Codec<Value = Bytes>>(&mut self, update: &Update<C, Shared>) {
        assert!(update.revision() > self.revision || update.kind() == ChangeKind::Initial);
        if update.kind() == ChangeKind::Initial {
            self.values.clear();
        }
        self.updates.push(update.kind());
        self.revision = update.revision();
        for change in update.changes() {
            let key = change.key().to_string();
            let before = change.before().unwrap().map(utf8);
            assert_eq!(before, self.values.get(&key).cloned(), "{key} at {}", self.revision);
            match change.after().unwrap() {
                Some(after) => self.values.insert(key, utf8(after)),
                None => self.values.remove(&key),
            };
        }
    }

    async fn follow(&mut self, watch: &mut Watch<Raw, Shared>, until: Revision) {
        while self.revision < until {
            let update = within("the next update", watch.next()).await.unwrap().unwrap();
            self.apply(&update);
        }
    }

    fn assert_is(&self, db: &Db) {
        let snapshot = db.snapshot();
        let values = snapshot.range(RAW, ..).unwrap();
        let values: BTreeMap<_, _> = values.map(|(k, v)| (k.to_string(), utf8(v))).collect();
        assert_eq!(self.values, values);
    }
}

async fn write_about(store: &Store, rounds: u32) -> Revision {
    let mut last = Revision::ZERO;
    for round in 0..rounds {
        let key = format!("/t/{}", round % 17);
        if round % 5 == 4 {
            store.delete(&key).await;
        }
        last = store.put(&key, round.to_string()).await;
    }
    last
}

async fn initial_state_and_changes_meet_without_gap_or_duplicate(store: Store) {
    let store = Arc::new(store);
    let db = store.db().await;
    let stop = Arc::new(AtomicBool::new(false));
    let writer = tokio::spawn({
        let (store, stop) = (Arc::clone(&store), Arc::clone(&stop));
        async move {
            let mut last = Revision::ZERO;
            while !stop.load(Ordering::Relaxed) {
                last = write_about(&store, 20).await;
                tokio::task::yield_now().await;
            }
            last
        }
    });
    let mut replicas = Vec::new();
    // Watches that begin at many different moments of the same history.
    let mut begun = db.snapshot().revision();
    for _ in 0..20 {
        until("the writer goes on", || db.snapshot().revision() > begun).await;
        begun = db.snapshot().revision();
        let mode = WatchMode::Exact { buffer: 1 << 20 };
        replicas.push((db.watch(RAW, .., mode).unwrap(), Replica::default()));
    }
    stop.store(true, Ordering::Relaxed);
    let last = writer.await.unwrap();
    for (watch, replica) in &mut replicas {
        replica.follow(watch, last).await;
        replica.assert_is(&db);
        let initial = replica.updates.iter().filter(|kind| **kind == ChangeKind::Initial).count();
        assert_eq!((initial, replica.updates[0]), (1, ChangeKind::Initial));
    }
}

async fn watch_of_a_key_and_of_a_range_see_nothing_else(store: Store) {
    store.put_all(&[("/t/items/a", "1"), ("/t/items/b", "1"), ("/t/items2/a", "1")]).await;
    let db = store.builder().collection(ITEMS).connect().await.unwrap();
    let keys = |update: Update<Raw, Shared>| -> Vec<String> {
        update.changes().map(|change| change.key().to_string()).collect()
    };
    let mut one = db.watch(ITEMS, Only("a"), WatchMode::EXACT).unwrap();
    let mut some = db.watch(ITEMS, Prefix("b"), WatchMode::EXACT).unwrap();
    let mut all = db.watch(ITEMS, .., WatchMode::EXACT).unwrap();
    let mut raw = db.watch(RAW, .., WatchMode::EXACT).unwrap();
    assert_eq!(keys(within("an update", one.next()).await.unwrap().unwrap()), ["a"]);
    assert_eq!(keys(within("an update", some.next()).await.unwrap().unwrap()), ["b"]);
    assert_eq!(keys(within("an update", all.next()).await.unwrap().unwrap()), ["a", "b"]);
    assert_eq!(keys(within("an update", raw.next()).await.unwrap().unwrap()), ["items2/a"]);

    store.put("/t/items/b", "2").await;
    store.put("/t/items/c", "2").await;
    store.put("/t/items2/a", "2").await;
    store.put_all(&[("/t/items/a", "3"), ("/t/items/ba", "3"), ("/t/items2/b", "3")]).await;
    let next = async |watch: &mut Watch<Raw, Shared>| {
        keys(within("update", watch.next()).await.unwrap().unwrap())
    };
    assert_eq!(next(&mut one).await, ["a"]);
    assert_eq!(next(&mut some).await, ["b"]);
    assert_eq!(next(&mut some).await, ["ba"]);
    for expected in [vec!["b"], vec!["c"], vec!["a", "ba"]] {
        assert_eq!(next(&mut all).await, expected);
    }
    for expected in ["items2/a", "items2/b"] {
        assert_eq!(next(&mut raw).await, [expected]);
    }
}

/// On one thread, where whose turn it is does not depend on speed.
#[tokio::test]
async fn exact_watch_that_keeps_up_does_not_lag() {
    let store = Store::memory();
    let gate = Gate::new(&store);
    let db = gate.builder().connect().await.unwrap();
    let mut watch = db.watch(RAW, .., WatchMode::EXACT).unwrap();
    gate.hold_watches();
    // Far more transactions than the buffer holds.
    let last = write_about(&store, 3000).await;
    let follower = tokio::spawn(async move {
        let mut replica = Replica::default();
        replica.follow(&mut watch, last).await;
        replica
    });
    gate.release_watches();
    within("the backlog", follower).await.unwrap().assert_is(&db);
}

async fn raw_watch_gets_no_updates_of_typed_collections(store: Store) {
    let db = store.builder().collection(ITEMS).connect().await.unwrap();
    for mode in [WatchMode::EXACT, WatchMode::Coalesced] {
        let mut raw = db.watch(RAW, .., mode).unwrap();
        within("initial", raw.next()).await.unwrap().unwrap();
        store.put("/t/items/a", "1").await;
        let last = store.put("/t/raw", format!("{mode:?}")).await;
        let update = within("an update", raw.next()).await.unwrap().unwrap();
        assert_eq!((update.revision(), update.changes().count()), (last, 1));
    }
}

async fn close_within_an_observer_ends_the_watches(store: Store) {
    let (one, two) = (store.db().await, store.db().await);
    let mut watches = [&one, &two].map(|db| db.watch(RAW, .., WatchMode::EXACT).unwrap());
    let closing = one.clone();
    // At its first call, and of another `Db` than the one that is observed.
    let _first = one.observe(move |_| closing.close()).unwrap();
    let three = store.db().await;
    let closing = Mutex::new(Some(two));
    let _other = three.observe(move |set| {
        if set.kind() == ChangeKind::Transaction {
            drop(closing.lock().unwrap().take());
        }
    });
    let put = three.transact(|txn| txn.put(RAW, "a", Bytes::from("1")));
    within("commit", put).await.unwrap();
    for watch in &mut watches {
        within("the end", async { while watch.next().await.is_some() {} }).await;
    }
}

async fn departing_observer_may_own_the_last_handle(store: Store) {
    let db = store.db().await;
    let slot = Arc::new(Mutex::new(None));
    let (mine, owned) = (Arc::clone(&slot), db.clone());
    let guard = db.observe(move |_| {
        let _ = owned.snapshot();
        if let Ok(mut mine) = mine.try_lock() {
            drop(mine.take());
        }
    });
    *slot.lock().unwrap() = Some(guard.unwrap());
    let mut watch = db.watch(RAW, .., WatchMode::EXACT).unwrap();
    within("initial", watch.next()).await.unwrap().unwrap();
    // The observer lets itself go; it is dropped, and the handle that it owns with it, at the
    // change after.
    let put = db.transact(|txn| txn.put(RAW, "a", Bytes::from("1")));
    within("commit", put).await.unwrap();
    drop(db);
    store.put("/t/b", "1").await;
    within("the end", async { while watch.next().await.is_some() {} }).await;
}

async fn exact_watch_that_is_too_slow_is_told_and_then_shown_the_state(store: Store) {
    let db = store.db().await;
    let mut watch = db.watch(RAW, .., WatchMode::Exact { buffer: 3 }).unwrap();
    let mut replica = Replica::default();
    replica.apply(&within("an update", watch.next()).await.unwrap().unwrap());
    let last = write_about(&store, 50).await;
    until("the changes arrive", || db.snapshot().revision() >= last).await;
    // What was buffered is still delivered, in order.
    for _ in 0..3 {
        replica.apply(&within("an update", watch.next()).await.unwrap().unwrap());
    }
    let error = within("an update", watch.next()).await.unwrap().unwrap_err();
    assert!(matches!(error, Error::Lagged { after } if after == replica.revision), "{error}");
    replica.follow(&mut watch, last).await;
    replica.assert_is(&db);
    let last = store.put("/t/after", "1").await;
    replica.follow(&mut watch, last).await;
    replica.assert_is(&db);
    let mut kinds = vec![ChangeKind::Transaction; 6];
    (kinds[0], kinds[4]) = (ChangeKind::Initial, ChangeKind::Initial);
    assert_eq!((replica.updates, db.stats().lagged_watches), (kinds, 1));
}

async fn coalesced_watch_shows_the_difference_and_the_final_state(store: Store) {
    let db = store.db().await;
    let mut watch = db.watch(RAW, .., WatchMode::Coalesced).unwrap();
    let mut replica = Replica::default();
    replica.apply(&within("an update", watch.next()).await.unwrap().unwrap());
    for _ in 0..3 {
        let last = write_about(&store, 50).await;
        until("the changes arrive", || db.snapshot().revision() >= last).await;
        replica.follow(&mut watch, last).await;
        replica.assert_is(&db);
    }
    assert_eq!(replica.updates.len(), 4, "one difference for each burst");
    assert_eq!(replica.updates[1], ChangeKind::Coalesced);
}

async fn watch_ends_when_the_db_is_closed(store: Store) {
    let db = store.db().await;
    let mut exact = db.watch(RAW, .., WatchMode::EXACT).unwrap();
    let mut coalesced = db.watch(RAW, .., WatchMode::Coalesced).unwrap();
    let mut dropped = db.watch(RAW, .., WatchMode::EXACT).unwrap();
    within("an update", exact.next()).await.unwrap().unwrap();
    within("an update", coalesced.next()).await.unwrap().unwrap();
    drop(db);
    for watch in [&mut exact, &mut coalesced] {
        let error = within("the end", watch.next()).await.unwrap().unwrap_err();
        assert!(matches!(error, Error::Closed { .. }), "{error}");
        assert!(within("the end", watch.next()).await.is_none());
    }
    // The state at its beginning is still delivered.
    assert!(within("initial", dropped.next()).await.unwrap().is_ok());
    assert!(within("the end", dropped.next()).await.unwrap().is_err());
}

async fn next_that_is_dropped_loses_nothing(store: Store) {
    let store = Arc::new(store);
    let gate = Gate::new(&store);
    let db = gate.builder().connect().await.unwrap();
    let writer = tokio::spawn({
        let store = Arc::clone(&store);
        async move { write_about(&store, 200).await }
    });
    let mut watch = db.watch(RAW, .., WatchMode::EXACT).unwrap();
    let mut replica = Replica::default();
    let mut dropped = 0;
    while !writer.is_finished() || dropped == 0 {
        let next = tokio::select! {
            biased;
            next = watch.next() => next,
            () = tokio::task::yield_now() => None,
        };
        match next {
            Some(update) => replica.apply(&update.unwrap()),
            None => dropped += 1,
        }
    }
    let last = writer.await.unwrap();
    replica.follow(&mut watch, last).await;
    replica.assert_is(&db);
}
