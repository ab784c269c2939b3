//! Promise P1: a read sees the database at exactly one revision.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test ends at the first thing that is not as expected"
)]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use support::{Gate, Store, until, within};
use tailetc::backend::{PutRequest, TxnOp, TxnRequest};
use tailetc::{Db, Options, RAW};

on_every_backend! {
    snapshot_stays_as_it_is_while_the_store_moves_on,
    transaction_is_seen_whole_or_not_at_all,
    read_only_transaction_never_goes_stale,
    load_under_writes_shows_one_revision,
    key_deleted_between_two_pages_of_the_load_is_no_ghost,
    compaction_between_two_pages_of_the_load_begins_it_anew,
    page_that_times_out_is_loaded_in_smaller_ones,
    connecting_under_load_works_at_once,
    deleted_keys_leave_nothing_behind,
    history_keeps_past_revisions_readable,
}

async fn snapshot_stays_as_it_is_while_the_store_moves_on(store: Store) {
    store.put_all(&[("/t/a", "1"), ("/t/b", "1")]).await;
    let db = store.db().await;
    let before = db.snapshot();
    store.put("/t/a", "2").await;
    let last = {
        store.delete("/t/b").await;
        store.put("/t/c", "2").await
    };
    until("the changes arrive", || db.snapshot().revision() >= last).await;

    assert_eq!(*before.get(RAW, "a").unwrap().unwrap(), "1");
    assert!(before.contains(RAW, "b").unwrap() && !before.contains(RAW, "c").unwrap());
    let after = db.snapshot();
    assert_eq!(*after.get(RAW, "a").unwrap().unwrap(), "2");
    assert!(!after.contains(RAW, "b").unwrap() && after.contains(RAW, "c").unwrap());
    assert_eq!(after.metadata(RAW, "a").unwrap().unwrap().version, 2);
}

/// Both keys of a pair are always written in one transaction.
async fn keep_writing_pairs(store: Arc<Store>, stop: Arc<AtomicBool>, pairs: usize) -> usize {
    let mut round = 0;
    while !stop.load(Ordering::Relaxed) {
        round += 1;
        let pair = round % pairs;
        let put = |side: char| {
            TxnOp::from(PutRequest::new(format!("/t/{side}/{pair:04}"), round.to_string()))
        };
        store.backend.txn(TxnRequest::new([put('a'), put('z')])).await.expect("writing a pair");
    }
    round
}

fn assert_pairs_agree(db: &Db) {
    let snapshot = db.snapshot();
    let side = |from: &'static str, to: &'static str| -> Vec<Arc<Bytes>> {
        snapshot.range(RAW, from..to).unwrap().map(|(_, value)| value).collect()
    };
    assert_eq!(side("a/", "a0"), side("z/", "z0"), "at revision {}", snapshot.revision());
}

async fn transaction_is_seen_whole_or_not_at_all(store: Store) {
    let store = Arc::new(store);
    let db = store.db().await;
    let stop = Arc::new(AtomicBool::new(false));
    let writer = tokio::spawn(keep_writing_pairs(Arc::clone(&store), Arc::clone(&stop), 20));
    let start = db.snapshot().revision().get();
    while db.snapshot().revision().get() < start + 300 {
        assert_pairs_agree(&db);
        tokio::task::yield_now().await;
    }
    stop.store(true, Ordering::Relaxed);
    assert!(writer.await.unwrap() >= 300);
}

async fn read_only_transaction_never_goes_stale(store: Store) {
    store.put_all(&[("/t/a", "1"), ("/t/b", "1")]).await;
    let db = store.db().await;
    let mut txn = db.txn();
    assert_eq!(*txn.get(RAW, "a").unwrap().unwrap(), "1");
    let last = store.put_all(&[("/t/a", "2"), ("/t/b", "2")]).await;
    until("the change arrives", || db.snapshot().revision() >= last).await;
    assert_eq!(*txn.get(RAW, "b").unwrap().unwrap(), "1");
    assert_eq!(txn.range(RAW, ..).unwrap().len(), 2);
    let commit = within("commit", txn.commit()).await.unwrap();
    assert!(!commit.changed() && commit.revision() < last);
}

fn small_pages() -> Options {
    let mut options = Options::default();
    options.page_keys = 3;
    options
}

// D5
async fn load_under_writes_shows_one_revision(store: Store) {
    let store = Arc::new(store);
    let stop = Arc::new(AtomicBool::new(false));
    let writer = tokio::spawn(keep_writing_pairs(Arc::clone(&store), Arc::clone(&stop), 20));
    for _ in 0..10 {
        let db = within("load", store.builder().options(small_pages()).connect()).await.unwrap();
        assert_pairs_agree(&db);
    }
    stop.store(true, Ordering::Relaxed);
    writer.await.unwrap();
}

// D5
async fn key_deleted_between_two_pages_of_the_load_is_no_ghost(store: Store) {
    for key in ["a", "b", "c", "d", "e", "f"] {
        store.put(&format!("/t/{key}"), "1").await;
    }
    let store = Arc::new(store);
    let gate = Gate::new(&store);
    let meanwhile = Arc::clone(&store);
    gate.after_next_page(async move || {
        meanwhile.delete("/t/e").await;
        meanwhile.put("/t/f", "2").await;
        meanwhile.put("/t/a", "2").await;
    });
    gate.hold_watches();
    let db = within("load", gate.builder().options(small_pages()).connect()).await.unwrap();
    assert!(gate.ranges() > 1, "the load took one page; the test needs several");
    // Nothing but the load has happened: it shows what was there at its first page.
    let loaded = db.snapshot();
    let loaded: Vec<_> = loaded.range(RAW, ..).unwrap().map(|(k, v)| (k.to_string(), v)).collect();
    let one = |key: &str| (key.to_owned(), Arc::new(Bytes::from("1")));
    assert_eq!(loaded, ["a", "b", "c", "d", "e", "f"].map(one));
    gate.release_watches();
    let fresh = within("fresh", db.fresh()).await.unwrap();
    let keys: Vec<_> = fresh.range(RAW, ..).unwrap().map(|(key, _)| key.to_string()).collect();
    assert_eq!(keys, ["a", "b", "c", "d", "f"]);
    assert_eq!(*fresh.get(RAW, "a").unwrap().unwrap(), "2");
    assert_eq!(*fresh.get(RAW, "f").unwrap().unwrap(), "2");
}

// D5
async fn compaction_between_two_pages_of_the_load_begins_it_anew(store: Store) {
    for key in ["a", "b", "c", "d", "e", "f"] {
        store.put(&format!("/t/{key}"), "1").await;
    }
    let store = Arc::new(store);
    let gate = Gate::new(&store);
    let meanwhile = Arc::clone(&store);
    gate.after_next_page(async move || {
        meanwhile.delete("/t/e").await;
        let last = meanwhile.put("/t/f", "2").await;
        meanwhile.backend.compact(last).await.expect("compacting");
    });
    let db = within("load", gate.builder().options(small_pages()).connect()).await.unwrap();
    assert_eq!(db.snapshot().len(), 5);
    assert_eq!(*db.get(RAW, "f").unwrap().unwrap(), "2");
}

// D16
async fn page_that_times_out_is_loaded_in_smaller_ones(store: Store) {
    for key in 0..40 {
        store.put(&format!("/t/{key:02}"), "1").await;
    }
    let gate = Gate::new(&store);
    gate.time_out_above(10);
    let db = within("load", gate.builder().connect()).await.unwrap();
    assert_eq!(db.snapshot().len(), 40);
    gate.time_out_above(0);
    let error = within("load", gate.builder().connect()).await.unwrap_err();
    assert!(error.is_transient(), "{error}");
}

// D4
async fn connecting_under_load_works_at_once(store: Store) {
    let store = Arc::new(store);
    let stop = Arc::new(AtomicBool::new(false));
    let writer = tokio::spawn(keep_writing_pairs(Arc::clone(&store), Arc::clone(&stop), 50));
    for _ in 0..20 {
        let connect = store.builder().options(small_pages()).connect();
        let db = within("connect", connect).await.unwrap();
        // The very first read finds nothing newer than its own revision.
        let snapshot = db.snapshot();
        for (key, _) in snapshot.range(RAW, ..).unwrap() {
            let metadata = snapshot.metadata(RAW, key).unwrap().unwrap();
            assert!(metadata.mod_revision <= snapshot.revision());
        }
    }
    stop.store(true, Ordering::Relaxed);
    writer.await.unwrap();
}

async fn deleted_keys_leave_nothing_behind(store: Store) {
    let db = store.db().await;
    store.put("/t/stays", "1").await;
    for round in 0..300 {
        store.put(&format!("/t/{round}"), "1").await;
        store.delete(&format!("/t/{round}")).await;
    }
    let fresh = within("fresh", db.fresh()).await.unwrap();
    assert_eq!(fresh.len(), 1);
    assert_eq!(fresh.range(RAW, ..).unwrap().count(), 1);
}

async fn history_keeps_past_revisions_readable(store: Store) {
    let first = store.put("/t/a", "1").await;
    let gate = Gate::new(&store);
    let db = gate.builder().history(4).connect().await.unwrap();
    let mut revisions = vec![first];
    for value in 2..=6 {
        revisions.push(store.put("/t/a", value.to_string()).await);
    }
    let last = *revisions.last().unwrap();
    until("the changes arrive", || db.snapshot().revision() >= last).await;
    for (value, revision) in (1..).zip(&revisions) {
        match db.snapshot_at(*revision) {
            Ok(snapshot) => {
                assert!(value > 2, "{revision} is older than what is kept");
                assert_eq!(*snapshot.get(RAW, "a").unwrap().unwrap(), value.to_string());
            }
            Err(error) => assert!(value <= 2, "{error}"),
        }
    }
    assert!(db.snapshot_at(last.next()).is_err());

    // The present revision is always kept, also while the next ones are being applied.
    let missing = Arc::new(AtomicBool::new(false));
    let _guard = db.observe({
        let (db, missing) = (db.clone(), Arc::clone(&missing));
        move |_| {
            let now = db.snapshot().revision();
            missing.fetch_or(db.snapshot_at(now).is_err(), Ordering::SeqCst);
        }
    });
    gate.hold_watches();
    let mut last = last;
    for value in 7..=20 {
        last = store.put("/t/a", value.to_string()).await;
    }
    gate.release_watches();
    until("the changes arrive", || db.snapshot().revision() >= last).await;
    assert!(!missing.load(Ordering::SeqCst));
}
