//! Promise P5, observers: every change, in order, a transaction at a time, before any reader.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test ends at the first thing that is not as expected"
)]

mod support;

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use support::{Store, until, within};
use tailetc::{ChangeKind, ChangeSet, Error, RAW, Revision, WatchMode};

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

// D25
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

// D25
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

// D20
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

// D25
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
