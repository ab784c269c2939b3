//! Bulk writes: whole chunks, in order, and resumable.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test ends at the first thing that is not as expected"
)]

mod support;

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use support::{Gate, Store, builder_on, until, within};
use tailetc::backend::TxnOp;
use tailetc::{
    BulkError, BulkProgress, BulkReport, Codec, Collection, Db, Error, KeyRef, Limit, RAW,
};
use tailetc_testkit::faulty::{Fault, FaultyBackend};

on_every_backend! {
    everything_is_written_in_chunks_as_large_as_the_store_takes,
    large_values_make_small_chunks,
    value_that_is_too_large_for_the_store_fails_alone,
    operations_on_one_key_keep_their_order,
    chunk_is_applied_wholly_or_not_at_all,
    failure_in_the_middle_tells_where_to_go_on,
    unknown_outcome_is_told_and_not_sent_again,
    unknown_outcome_is_resolved_with_commit_markers,
    absent_keys_alone_are_put,
    conflicting_writers_are_waited_out,
    dropped_bulk_leaves_whole_chunks,
}

const SIZE: usize = 100;

fn key(index: u64) -> String {
    format!("b/{index:06}")
}

fn value(index: u64) -> Bytes {
    Bytes::from(format!("{index}"))
}

/// Gives the operations of `range`, one put each.
async fn give(bulk: &mut tailetc::Bulk, range: std::ops::Range<u64>) -> Result<(), BulkError> {
    for index in range {
        within("put", bulk.put(RAW, key(index), value(index))).await?;
    }
    Ok(())
}

async fn finish(bulk: tailetc::Bulk) -> Result<BulkReport, BulkError> {
    within("finish", bulk.finish()).await
}

/// The operations that are in the store, by the keys of [`key`].
fn applied(db: &Db) -> Vec<u64> {
    let snapshot = db.snapshot();
    let stored = snapshot.range(RAW, "b/".."b0").unwrap();
    stored.map(|(key, _)| key.as_str().unwrap()[2..].parse().unwrap()).collect()
}

async fn everything_is_written_in_chunks_as_large_as_the_store_takes(store: Store) {
    let db = store.db().await;
    let told = Arc::new(Mutex::new(Vec::new()));
    let tell = Arc::clone(&told);
    let mut bulk = db.bulk().on_progress(move |so_far| tell.lock().unwrap().push(so_far));
    give(&mut bulk, 0..1_000).await.unwrap();
    for index in 0..10 {
        within("delete", bulk.delete(RAW, key(index * 7))).await.unwrap();
    }
    let report = finish(bulk).await.unwrap();
    assert_eq!(
        (report.given, report.applied, report.written, report.chunks),
        (1_010, 1_010, 1_010, 8)
    );
    let theirs = store.db().await;
    let snapshot = within("token", theirs.at_least(&report.token.unwrap())).await.unwrap();
    assert_eq!(snapshot.len(), 990);
    assert_eq!(*snapshot.get(RAW, key(999)).unwrap().unwrap(), value(999));
    let told = told.lock().unwrap().clone();
    let last = told.last().unwrap();
    assert_eq!((last.given, last.applied, last.prefix, last.chunks), (1_010, 1_010, 1_010, 8));
    assert!(told.is_sorted_by_key(|so_far| so_far.applied) && told.len() == 8);
    assert_eq!(finish(db.bulk()).await.unwrap().token, None);
}

async fn large_values_make_small_chunks(store: Store) {
    let gate = Gate::new(&store);
    let db = gate.builder().connect().await.unwrap();
    let mut bulk = db.bulk().concurrency(2);
    for index in 0..20 {
        let value = Bytes::from(vec![b'x'; 300_000]);
        within("put", bulk.put(RAW, key(index), value)).await.unwrap();
    }
    let report = finish(bulk).await.unwrap();
    assert_eq!((report.applied, report.chunks, gate.txns()), (20, 4, 4), "five in 1.5 MiB");
    assert_eq!(db.snapshot().len(), 20);
}

async fn value_that_is_too_large_for_the_store_fails_alone(store: Store) {
    let db = store.db().await;
    let mut bulk = db.bulk();
    give(&mut bulk, 0..10).await.unwrap();
    within("put", bulk.put(RAW, "large", Bytes::from(vec![b'x'; 2 << 20]))).await.unwrap();
    let failed = finish(bulk).await.unwrap_err();
    let reason = failed.reason();
    let too_large = matches!(reason, Error::LimitExceeded { what: Limit::RequestBytes, .. });
    assert!(too_large, "{reason:?}");
    assert_eq!((failed.applied(), failed.operation()), (10, 10));
    assert!(failed.unknown().is_empty() && failed.applied_beyond().is_empty());
    assert_eq!(db.snapshot().len(), 10);
}

async fn operations_on_one_key_keep_their_order(store: Store) {
    let gate = Gate::new(&store);
    gate.yield_often();
    let db = gate.builder().connect().await.unwrap();
    let mut rng = fastrand::Rng::with_seed(7);
    let mut expected = std::collections::BTreeMap::new();
    let mut bulk = db.bulk().concurrency(8).chunk_operations(3);
    for round in 0..1_000_u64 {
        let index = rng.u64(..20);
        if rng.u8(..4) == 0 {
            expected.remove(&index);
            within("delete", bulk.delete(RAW, key(index))).await.unwrap();
        } else {
            expected.insert(index, round);
            within("put", bulk.put(RAW, key(index), value(round))).await.unwrap();
        }
    }
    let report = finish(bulk).await.unwrap();
    let snapshot = within("token", db.at_least(&report.token.unwrap())).await.unwrap();
    let found = snapshot.range(RAW, ..).unwrap();
    let found: Vec<_> =
        found.map(|(key, value)| (key.as_str().unwrap().to_owned(), value)).collect();
    let expected: Vec<_> =
        expected.iter().map(|(at, round)| (key(*at), Arc::new(value(*round)))).collect();
    assert_eq!(found, expected);
}

async fn chunk_is_applied_wholly_or_not_at_all(store: Store) {
    let (db, other) = (store.db().await, store.db().await);
    let sizes = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&sizes);
    let _observer = other.observe(move |set| seen.lock().unwrap().push(set.len())).unwrap();
    let mut bulk = db.bulk().chunk_operations(SIZE);
    give(&mut bulk, 0..1_000).await.unwrap();
    let report = finish(bulk).await.unwrap();
    within("token", other.at_least(&report.token.unwrap())).await.unwrap();
    let mut expected = vec![0];
    expected.extend([SIZE; 10]);
    assert_eq!(*sizes.lock().unwrap(), expected, "nothing at first, then a chunk at a time");
}

async fn failure_in_the_middle_tells_where_to_go_on(store: Store) {
    for concurrency in [1, 3] {
        let db = store.builder().delete_all_on_start().connect().await.unwrap();
        let denial = Arc::new(Mutex::new(None));
        let (denying, denied) = (db.clone(), Arc::clone(&denial));
        let deny = move |so_far: BulkProgress| {
            if so_far.chunks == 3 {
                *denied.lock().unwrap() = Some(denying.deny_writes());
            }
        };
        let mut bulk = db.bulk().concurrency(concurrency).chunk_operations(SIZE).on_progress(deny);
        let failed = match give(&mut bulk, 0..2_000).await {
            Err(failed) => failed,
            Ok(()) => finish(bulk).await.unwrap_err(),
        };
        assert!(matches!(failed.reason(), Error::WritesDenied), "{failed:?}");
        assert!(failed.unknown().is_empty());
        assert!(failed.applied() <= failed.operation() && failed.operation() < 2_000);
        // What it says is what there is.
        let told = (0..failed.applied()).chain(failed.applied_beyond().iter().cloned().flatten());
        db.fresh().await.unwrap();
        let told: Vec<_> = told.collect();
        assert!(told.len() >= 3 * SIZE && applied(&db) == told, "{failed:?}");
        denial.lock().unwrap().take();
        let mut again = db.bulk().concurrency(concurrency).skip(failed.applied());
        give(&mut again, 0..2_000).await.unwrap();
        let report = finish(again).await.unwrap();
        assert_eq!((report.given, report.applied), (2_000, 2_000 - failed.applied()));
        assert_eq!(applied(&db), (0..2_000).collect::<Vec<_>>());
    }
}

async fn unknown_outcome_is_told_and_not_sent_again(store: Store) {
    let gate = Gate::new(&store);
    let db = gate.builder().connect().await.unwrap();
    let mut bulk = db.bulk().concurrency(1).chunk_operations(SIZE);
    give(&mut bulk, 0..201).await.unwrap();
    until("two chunks are answered", || gate.answered() == 2).await;
    gate.lose_next_reply();
    let failed = match give(&mut bulk, 201..2_000).await {
        Err(failed) => failed,
        Ok(()) => finish(bulk).await.unwrap_err(),
    };
    assert!(failed.reason().is_outcome_unknown(), "{failed:?}");
    assert_eq!((failed.applied(), failed.operation()), (200, 200));
    assert_eq!(failed.unknown(), std::slice::from_ref(&(200..300)));
    assert_eq!(gate.txns(), 3, "nothing after it");
    // It was applied, and giving it again does no harm.
    let mut again = db.bulk().skip(failed.applied());
    give(&mut again, 0..500).await.unwrap();
    finish(again).await.unwrap();
    assert_eq!(applied(&db), (0..500).collect::<Vec<_>>());
}

async fn unknown_outcome_is_resolved_with_commit_markers(store: Store) {
    let gate = Gate::new(&store);
    let db = gate.builder().commit_markers("/t-markers/").connect().await.unwrap();
    let mut bulk = db.bulk().concurrency(2);
    give(&mut bulk, 0..500).await.unwrap();
    gate.lose_next_reply();
    give(&mut bulk, 500..1_000).await.unwrap();
    let report = finish(bulk).await.unwrap();
    assert_eq!((report.applied, report.chunks), (1_000, 8), "127 in each");
    assert_eq!(db.stats().resolved_outcomes, 1);
    assert_eq!(applied(&db), (0..1_000).collect::<Vec<_>>());
}

async fn absent_keys_alone_are_put(store: Store) {
    let db = store.db().await;
    store.put(&format!("/t/{}", key(3)), "theirs").await;
    db.fresh().await.unwrap();
    let mut bulk = db.bulk().if_absent();
    give(&mut bulk, 0..200).await.unwrap();
    // Put while the copy does not show it yet, perhaps.
    store.put(&format!("/t/{}", key(150)), "theirs").await;
    let report = finish(bulk).await.unwrap();
    assert_eq!((report.applied, report.written), (200, 198));
    for index in [3, 150] {
        assert_eq!(store.get(&format!("/t/{}", key(index))).await.unwrap(), "theirs");
    }
    let again = {
        let mut bulk = db.bulk().if_absent();
        give(&mut bulk, 0..200).await.unwrap();
        finish(bulk).await.unwrap()
    };
    assert_eq!((again.applied, again.written), (200, 0));
}

async fn conflicting_writers_are_waited_out(store: Store) {
    let db = store.db().await;
    let (one, two) = (store.db().await, store.db().await);
    let all = async |db: &Db| {
        let mut bulk = db.bulk();
        give(&mut bulk, 0..600).await.unwrap();
        finish(bulk).await.unwrap()
    };
    let (one, two) = tokio::join!(all(&one), all(&two));
    for report in [one, two] {
        assert_eq!(report.applied, 600);
        within("token", db.at_least(&report.token.unwrap())).await.unwrap();
    }
    assert_eq!(applied(&db), (0..600).collect::<Vec<_>>());
}

async fn dropped_bulk_leaves_whole_chunks(store: Store) {
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let db = store.db().await;
    let before = tasks();
    let mut bulk = db.bulk().concurrency(3).chunk_operations(SIZE);
    give(&mut bulk, 0..1_000).await.unwrap();
    drop(bulk);
    until("no task is left", || tasks() <= before).await;
    db.fresh().await.unwrap();
    let found = applied(&db);
    assert_eq!(found.len() % SIZE, 0);
    for chunk in found.chunks(SIZE) {
        assert_eq!((chunk[0] % 100, chunk[99] - chunk[0]), (0, 99), "whole chunks");
    }
}

#[tokio::test]
async fn no_more_chunks_are_under_way_than_allowed_and_nothing_is_taken_beyond_them() {
    let store = Store::memory();
    let gate = Gate::new(&store);
    let db = gate.builder().connect().await.unwrap();
    gate.hang();
    let mut bulk = db.bulk().concurrency(3).chunk_operations(10);
    give(&mut bulk, 0..40).await.unwrap();
    until("three are sent", || gate.txns() == 3).await;
    // A dropped put was not taken.
    for _ in 0..3 {
        let waiting = bulk.put(RAW, key(40), value(40));
        let waiting = tokio::time::timeout(std::time::Duration::from_millis(20), waiting);
        assert!(waiting.await.is_err(), "it waits");
    }
    assert_eq!(gate.txns(), 3);
    gate.hang_no_more();
    give(&mut bulk, 40..45).await.unwrap();
    let report = finish(bulk).await.unwrap();
    assert_eq!((report.given, report.applied, report.chunks), (45, 45, 5));
}

#[tokio::test]
async fn last_write_of_a_key_wins_within_a_chunk() {
    let store = Store::memory();
    let gate = Gate::new(&store);
    let db = gate.builder().connect().await.unwrap();
    let mut bulk = db.bulk();
    bulk.put(RAW, "a", Bytes::from("1")).await.unwrap();
    bulk.delete(RAW, "a").await.unwrap();
    bulk.put(RAW, "a", Bytes::from("2")).await.unwrap();
    let report = finish(bulk).await.unwrap();
    assert_eq!((report.applied, report.chunks), (3, 1));
    let request = gate.last_txn();
    assert!(matches!(&request.success[..], [TxnOp::Put(put)] if put.value == "2"), "{request:?}");
}

#[tokio::test]
async fn chunk_that_is_too_large_after_all_is_halved() {
    let store = Store::memory();
    let faulty = FaultyBackend::new(Arc::clone(&store.backend));
    let db = builder_on(Arc::new(faulty.clone())).connect().await.unwrap();
    faulty.next_commit(Fault::Oversize);
    let mut bulk = db.bulk().concurrency(1);
    give(&mut bulk, 0..384).await.unwrap();
    let report = finish(bulk).await.unwrap();
    // Two halves; one that was filled meanwhile; later ones are no larger than what has fit.
    assert_eq!((report.applied, report.chunks), (384, 5));
    assert_eq!(applied(&db), (0..384).collect::<Vec<_>>());
}

#[tokio::test]
async fn failure_of_a_half_tells_of_the_half() {
    let store = Store::memory();
    let faulty = FaultyBackend::new(Arc::clone(&store.backend));
    let db = builder_on(Arc::new(faulty.clone())).connect().await.unwrap();
    faulty.next_commit(Fault::Oversize);
    let losing = faulty.clone();
    let _observer = db.observe(move |set| {
        if !set.is_empty() {
            losing.lose_next_commit_reply();
        }
    });
    let mut bulk = db.bulk();
    give(&mut bulk, 0..100).await.unwrap();
    let failed = finish(bulk).await.unwrap_err();
    assert!(failed.reason().is_outcome_unknown(), "{failed:?}");
    assert_eq!((failed.applied(), failed.operation()), (50, 50));
    assert_eq!(failed.unknown(), std::slice::from_ref(&(50..100)));
}

#[tokio::test]
async fn store_that_was_away_for_a_moment_is_tried_again() {
    let store = Store::memory();
    let faulty = FaultyBackend::new(Arc::clone(&store.backend));
    let db = builder_on(Arc::new(faulty.clone())).connect().await.unwrap();
    let mut bulk = db.bulk();
    faulty.disconnect();
    give(&mut bulk, 0..200).await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    faulty.reconnect();
    assert_eq!(finish(bulk).await.unwrap().applied, 200);
}

/// Bytes without the letter x.
#[derive(Debug, Default)]
struct WithoutX;

impl Codec for WithoutX {
    type Value = Bytes;

    fn encode(&self, _: KeyRef<'_>, value: &Bytes) -> Result<Bytes, tailetc::BoxError> {
        if value.contains(&b'x') { Err("an x".into()) } else { Ok(value.clone()) }
    }

    fn decode(&self, _: KeyRef<'_>, bytes: &Bytes) -> Result<Bytes, tailetc::BoxError> {
        Ok(bytes.clone())
    }
}

const STRICT: Collection<WithoutX> = Collection::new("strict/");

#[tokio::test]
async fn value_that_does_not_encode_ends_the_bulk_at_its_number() {
    let store = Store::memory();
    let db = store.builder().collection(STRICT).connect().await.unwrap();
    let mut bulk = db.bulk().chunk_operations(2);
    for name in ["a", "b", "c"] {
        bulk.put(STRICT, name, Bytes::from("fine")).await.unwrap();
    }
    let failed = bulk.put(STRICT, "d", Bytes::from("x")).await.unwrap_err();
    assert!(matches!(failed.reason(), Error::Encode { .. }), "{failed:?}");
    assert_eq!((failed.applied(), failed.operation()), (2, 3), "one chunk was sent");
    let later = bulk.put(STRICT, "e", Bytes::from("fine")).await.unwrap_err();
    assert_eq!(later.to_string(), failed.to_string());
    assert_eq!(finish(bulk).await.unwrap_err().applied(), 2);
    assert_eq!(db.snapshot().len(), 2);
}

#[tokio::test]
async fn closed_db_ends_the_bulk() {
    let db = Store::memory().db().await;
    let mut bulk = db.bulk();
    give(&mut bulk, 0..10).await.unwrap();
    db.close();
    let failed = finish(bulk).await.unwrap_err();
    assert!(matches!(failed.reason(), Error::Closed { .. }), "{failed:?}");
    assert_eq!((failed.applied(), failed.unknown().len()), (0, 0));
}
