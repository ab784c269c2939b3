//! Promise P2: committed transactions are strictly serializable. Whatever a transaction read,
//! wrote or deleted, and every range it read, is as it was in its snapshot when it commits.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test ends at the first thing that is not as expected"
)]

mod support;

use bytes::Bytes;
use support::{Gate, Store, until, within};
use tailetc::backend::TxnOp;
use tailetc::{Db, Error, Prefix, RAW, Txn};

on_every_backend! {
    key_that_was_read_and_then_deleted_is_a_conflict,
    key_that_was_read_and_then_deleted_and_created_again_is_a_conflict,
    two_creators_of_a_key_do_not_both_succeed,
    absent_key_that_was_read_and_then_created_is_a_conflict,
    blind_write_over_a_newer_value_is_a_conflict,
    delete_of_a_newer_value_is_a_conflict,
    write_skew_is_a_conflict,
    insert_into_a_range_that_was_read_is_a_conflict,
    update_in_a_range_that_was_read_is_a_conflict,
    delete_in_a_range_that_was_read_is_a_conflict,
    insert_into_an_empty_range_that_was_read_is_a_conflict,
    change_outside_of_what_was_read_is_no_conflict,
    stale_increment_under_a_backlog_is_refused,
    transaction_that_can_no_longer_commit_says_so_at_its_next_read,
    validated_read_of_a_changed_key_is_a_conflict,
    conflict_names_its_keys_and_the_copy_has_caught_up,
    conflict_of_a_key_that_is_as_before_again_does_not_hang,
}

fn text(value: &str) -> Bytes {
    Bytes::copy_from_slice(value.as_bytes())
}

/// A `Db` whose copy stays as it is while the store moves on, so that only the store can find the
/// conflict.
async fn blind_db(store: &Store) -> (Gate, Db) {
    let gate = Gate::new(store);
    let db = gate.builder().connect().await.unwrap();
    gate.hold_watches();
    (gate, db)
}

/// Runs `read` in a transaction, lets `meanwhile` change the store unseen, and expects the commit
/// of a write to an unrelated key to be refused by the store.
async fn expect_conflict(
    store: &Store,
    read: impl FnOnce(&mut Txn) -> Result<(), Error>,
    meanwhile: impl AsyncFnOnce(&Store),
) {
    let (gate, db) = blind_db(store).await;
    let mut txn = db.txn();
    read(&mut txn).unwrap();
    txn.put(RAW, "result", text("x")).unwrap();
    meanwhile(store).await;
    let commit = tokio::spawn(txn.commit());
    until("the commit is sent", || gate.txns() == 1).await;
    gate.release_watches();
    let error = within("commit", commit).await.unwrap().unwrap_err();
    assert!(error.is_conflict(), "{error}");
    assert_eq!(store.get("/t/result").await, None);
    assert_eq!(db.stats().conflicts, 1, "the store must have found it, not the copy");
}

// D21
async fn key_that_was_read_and_then_deleted_is_a_conflict(store: Store) {
    store.put("/t/a", "1").await;
    let read = |txn: &mut Txn| txn.get(RAW, "a").map(|value| assert!(value.is_some()));
    expect_conflict(&store, read, async |store| {
        store.delete("/t/a").await;
    })
    .await;
}

// D21
async fn key_that_was_read_and_then_deleted_and_created_again_is_a_conflict(store: Store) {
    store.put("/t/a", "1").await;
    let read = |txn: &mut Txn| txn.get(RAW, "a").map(drop);
    expect_conflict(&store, read, async |store| {
        store.delete("/t/a").await;
        store.put("/t/a", "1").await;
    })
    .await;
}

async fn two_creators_of_a_key_do_not_both_succeed(store: Store) {
    let (gate, db) = blind_db(&store).await;
    let other = store.db().await;
    let create = |db: &Db, value: &str| {
        let mut txn = db.txn();
        txn.put(RAW, "a", text(value)).unwrap();
        txn.commit()
    };
    let (first, second) = (create(&other, "first"), create(&db, "second"));
    within("first", first).await.unwrap();
    let error = tokio::select! {
        error = second => error.unwrap_err(),
        () = async {
            until("the commit is sent", || gate.txns() == 1).await;
            gate.release_watches();
            std::future::pending().await
        } => unreachable!(),
    };
    assert!(error.is_conflict(), "{error}");
    assert_eq!(store.get("/t/a").await.unwrap(), "first");
}

async fn absent_key_that_was_read_and_then_created_is_a_conflict(store: Store) {
    let read = |txn: &mut Txn| txn.get(RAW, "a").map(|value| assert!(value.is_none()));
    expect_conflict(&store, read, async |store| {
        store.put("/t/a", "1").await;
    })
    .await;
}

async fn blind_write_over_a_newer_value_is_a_conflict(store: Store) {
    store.put("/t/a", "1").await;
    let write = |txn: &mut Txn| txn.put(RAW, "a", text("mine"));
    expect_conflict(&store, write, async |store| {
        store.put("/t/a", "2").await;
    })
    .await;
    assert_eq!(store.get("/t/a").await.unwrap(), "2");
}

async fn delete_of_a_newer_value_is_a_conflict(store: Store) {
    store.put("/t/a", "1").await;
    let delete = |txn: &mut Txn| txn.delete(RAW, "a");
    expect_conflict(&store, delete, async |store| {
        store.put("/t/a", "2").await;
    })
    .await;
    assert_eq!(store.get("/t/a").await.unwrap(), "2");
}

async fn write_skew_is_a_conflict(store: Store) {
    store.put_all(&[("/t/a", "on call"), ("/t/b", "on call")]).await;
    let db = store.db().await;
    // Each goes off call only if the other one stays.
    let leave = |me: &'static str, other: &'static str| {
        let mut txn = db.txn();
        assert!(txn.contains(RAW, other).unwrap());
        txn.delete(RAW, me).unwrap();
        txn
    };
    let (a, b) = (leave("a", "b"), leave("b", "a"));
    let outcomes = within("both", async { tokio::join!(a.commit(), b.commit()) }).await;
    let won = [&outcomes.0, &outcomes.1].iter().filter(|outcome| outcome.is_ok()).count();
    assert_eq!(won, 1, "{outcomes:?}");
    assert_eq!(store.db().await.snapshot().len(), 1);
}

// D22
async fn insert_into_a_range_that_was_read_is_a_conflict(store: Store) {
    store.put_all(&[("/t/r/a", "1"), ("/t/r/c", "1")]).await;
    let read = |txn: &mut Txn| txn.range(RAW, Prefix("r/")).map(|r| assert_eq!(r.len(), 2));
    expect_conflict(&store, read, async |store| {
        store.put("/t/r/b", "1").await;
    })
    .await;
}

// D22
async fn update_in_a_range_that_was_read_is_a_conflict(store: Store) {
    store.put_all(&[("/t/r/a", "1"), ("/t/r/c", "1")]).await;
    let read = |txn: &mut Txn| txn.range(RAW, "r/a".."r/d").map(drop);
    expect_conflict(&store, read, async |store| {
        store.put("/t/r/c", "2").await;
    })
    .await;
}

// D22
async fn delete_in_a_range_that_was_read_is_a_conflict(store: Store) {
    store.put_all(&[("/t/r/a", "1"), ("/t/r/c", "1")]).await;
    let read = |txn: &mut Txn| txn.range(RAW, Prefix("r/")).map(drop);
    expect_conflict(&store, read, async |store| {
        store.delete("/t/r/a").await;
    })
    .await;
}

// D22
async fn insert_into_an_empty_range_that_was_read_is_a_conflict(store: Store) {
    let read = |txn: &mut Txn| txn.range(RAW, Prefix("r/")).map(|r| assert!(r.is_empty()));
    expect_conflict(&store, read, async |store| {
        store.put("/t/r/a", "1").await;
    })
    .await;
}

async fn change_outside_of_what_was_read_is_no_conflict(store: Store) {
    store.put_all(&[("/t/r/a", "1"), ("/t/s", "1")]).await;
    let (gate, db) = blind_db(&store).await;
    let mut txn = db.txn();
    txn.range(RAW, Prefix("r/")).unwrap();
    txn.get(RAW, "absent").unwrap();
    txn.put(RAW, "result", text("x")).unwrap();
    store.put("/t/s", "2").await;
    store.put("/t/r0", "2").await;
    store.delete("/t/s").await;
    let commit = tokio::spawn(txn.commit());
    until("the commit is sent", || gate.txns() == 1).await;
    gate.release_watches();
    within("commit", commit).await.unwrap().unwrap();
}

// D3
async fn stale_increment_under_a_backlog_is_refused(store: Store) {
    store.put("/t/counter", "0").await;
    let gate = Gate::new(&store);
    let db = gate.builder().connect().await.unwrap();
    gate.hold_watches();
    // More revisions than a server puts into one response, whose header then runs ahead.
    for i in 1..=2500 {
        store.put("/t/counter", i.to_string()).await;
    }
    gate.cut_watches();
    let mut txn = db.txn();
    let seen = txn.get(RAW, "counter").unwrap().unwrap();
    assert_eq!(*seen, "0");
    txn.put(RAW, "counter", text("1")).unwrap();
    let commit = tokio::spawn(txn.commit());
    gate.release_watches();
    assert!(within("commit", commit).await.unwrap().unwrap_err().is_conflict());
    let counted = within(
        "increment",
        db.transact(|txn| {
            let seen = txn.get(RAW, "counter")?.unwrap();
            let next = std::str::from_utf8(&seen).unwrap().parse::<u32>().unwrap() + 1;
            txn.put(RAW, "counter", text(&next.to_string()))?;
            Ok::<_, Error>(next)
        }),
    );
    assert_eq!(counted.await.unwrap().0, 2501);
    assert_eq!(store.get("/t/counter").await.unwrap(), "2501");
}

async fn transaction_that_can_no_longer_commit_says_so_at_its_next_read(store: Store) {
    store.put("/t/a", "1").await;
    let db = store.db().await;
    let mut writer = db.txn();
    let mut reader = db.txn();
    let mut late = db.txn();
    late.put(RAW, "b", text("1")).unwrap();
    writer.get(RAW, "a").unwrap();
    reader.get(RAW, "a").unwrap();
    writer.put(RAW, "b", text("1")).unwrap();
    let revision = store.put("/t/a", "2").await;
    until("the change arrives", || db.snapshot().revision() >= revision).await;
    let error = writer.get(RAW, "c").unwrap_err();
    assert!(error.is_conflict(), "{error}");
    // Also when a key is fine and the next one is not.
    late.get(RAW, "c").unwrap();
    assert!(late.get(RAW, "a").unwrap_err().is_conflict());
    assert!(writer.put(RAW, "b", text("2")).unwrap_err().is_conflict(), "errors stick");
    assert!(writer.commit().await.unwrap_err().is_conflict());
    assert_eq!(*reader.get(RAW, "a").unwrap().unwrap(), "1", "a reader never goes stale");
    reader.commit().await.unwrap();
}

// D23
async fn validated_read_of_a_changed_key_is_a_conflict(store: Store) {
    store.put("/t/a", "1").await;
    let (gate, db) = blind_db(&store).await;
    let read = |validate: bool| {
        let mut txn = db.txn();
        txn.get(RAW, "a").unwrap();
        if validate {
            txn.validate();
        }
        txn.commit()
    };
    within("unchanged", read(true)).await.unwrap();
    // Compares alone would be answered by one member from its own state, without quorum.
    let request = gate.last_txn();
    for branch in [&request.success, &request.failure] {
        let linearizable = |op: &TxnOp| matches!(op, TxnOp::Range(range) if !range.serializable);
        assert!(branch.iter().any(linearizable), "{request:?}");
    }
    store.put("/t/a", "2").await;
    within("not validated", read(false)).await.unwrap();
    assert_eq!(gate.txns(), 1, "only what is asked for is validated");
    let validated = tokio::spawn(read(true));
    until("the commit is sent", || gate.txns() == 2).await;
    gate.release_watches();
    assert!(within("validated", validated).await.unwrap().unwrap_err().is_conflict());
}

async fn conflict_names_its_keys_and_the_copy_has_caught_up(store: Store) {
    store.put_all(&[("/t/a", "1"), ("/t/b", "1"), ("/t/c", "1")]).await;
    let (gate, db) = blind_db(&store).await;
    let mut txn = db.txn();
    for key in ["a", "b", "c"] {
        txn.get(RAW, key).unwrap();
    }
    txn.put(RAW, "d", text("1")).unwrap();
    let changed = store.put("/t/b", "2").await;
    let commit = tokio::spawn(txn.commit());
    until("the commit is sent", || gate.txns() == 1).await;
    gate.release_watches();
    let error = within("commit", commit).await.unwrap().unwrap_err();
    let Error::Conflict { keys, .. } = &error else { panic!("{error}") };
    assert_eq!(keys.iter().map(ToString::to_string).collect::<Vec<_>>(), ["/t/b"]);
    assert!(db.snapshot().revision() >= changed);
}

async fn conflict_of_a_key_that_is_as_before_again_does_not_hang(store: Store) {
    let (gate, db) = blind_db(&store).await;
    let mut txn = db.txn();
    assert!(!txn.contains(RAW, "a").unwrap());
    txn.put(RAW, "b", text("1")).unwrap();
    store.put("/t/a", "1").await;
    let commit = tokio::spawn(txn.commit());
    until("the store has refused", || gate.answered() == 1).await;
    store.delete("/t/a").await;
    gate.release_watches();
    let error = within("commit", commit).await.unwrap().unwrap_err();
    assert!(error.is_conflict(), "{error}");
}
