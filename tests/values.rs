//! Promises P7 and P9, and the types: what comes out of the cache, and what cannot go in.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test ends at the first thing that is not as expected"
)]

mod support;

use std::sync::Arc;

use bytes::Bytes;
use support::{Gate, Store, until, within};
use tailetc::backend::{KvBackendExt, PutRequest};
use tailetc::{
    BoxError, ClonePolicy, Cloned, Codec, Collection, Error, Json, KeyRef, RAW, Raw, WatchMode,
};

const NUMBERS: Collection<Json<Vec<u64>>> = Collection::new("numbers/");
const COPIES: Collection<Json<Vec<u64>>, Cloned> = NUMBERS.with_policy();
const LENGTHS: Collection<Json<Vec<u64>>, Length> = NUMBERS.with_policy();

/// A projection.
enum Length {}

impl ClonePolicy<Vec<u64>> for Length {
    type Out = usize;

    fn out(value: &Arc<Vec<u64>>) -> usize {
        value.len()
    }
}

on_every_backend! {
    clone_policy_decides_what_a_read_gives,
    peek_copies_nothing,
    put_value_is_the_one_that_is_read,
    undecodable_value_is_quarantined_on_load,
    undecodable_value_is_quarantined_on_watch_and_on_resync,
    foreign_keys_that_are_not_text_are_kept,
    wrong_collections_are_typed_errors,
    keys_outside_of_the_prefix_are_typed_errors,
    codec_that_dispatches_by_key_is_given_the_key,
    value_that_does_not_encode_is_refused_at_put,
    prefixes_end_at_their_separator,
    pending_writes_are_seen_by_their_own_transaction_only,
    hooks_see_pending_changes,
    ranges_can_be_read_from_both_ends,
}

async fn numbers(store: &Store) -> tailetc::Db {
    store.builder().collection(NUMBERS).connect().await.unwrap()
}

async fn clone_policy_decides_what_a_read_gives(store: Store) {
    let db = numbers(&store).await;
    let put = db.transact(|txn| txn.put(NUMBERS, "a", vec![1, 2, 3]));
    within("commit", put).await.unwrap();
    let shared = db.get(NUMBERS, "a").unwrap().unwrap();
    assert!(Arc::ptr_eq(&shared, &db.get(NUMBERS, "a").unwrap().unwrap()));
    let mut copy = db.get(COPIES, "a").unwrap().unwrap();
    copy.push(4);
    assert_eq!(*shared, [1, 2, 3]);
    assert_eq!(db.get(COPIES, "a").unwrap().unwrap(), [1, 2, 3]);
    assert_eq!(db.get(LENGTHS, "a").unwrap().unwrap(), 3);
    let snapshot = db.snapshot();
    let lengths: Vec<_> = snapshot.range(LENGTHS, ..).unwrap().collect();
    assert_eq!(lengths, [(KeyRef::new(b"a"), 3)]);
}

async fn peek_copies_nothing(store: Store) {
    store.put("/t/numbers/a", "[1,2]").await;
    let db = numbers(&store).await;
    let held = db.get(NUMBERS, "a").unwrap().unwrap();
    let count = Arc::strong_count(&held);
    let sum = db.peek(NUMBERS, "a", |numbers| {
        assert!(std::ptr::eq(numbers, &*held));
        assert_eq!(Arc::strong_count(&held), count);
        numbers.iter().sum::<u64>()
    });
    assert_eq!(sum.unwrap(), Some(3));
    assert_eq!(db.snapshot().peek(NUMBERS, "a").unwrap().unwrap(), &[1, 2]);
    let mut txn = db.txn();
    assert_eq!(txn.peek(NUMBERS, "a", Vec::len).unwrap(), Some(2));
}

async fn put_value_is_the_one_that_is_read(store: Store) {
    let db = numbers(&store).await;
    let value = Arc::new(vec![7]);
    let put = db.transact(|txn| txn.put(NUMBERS, "a", Arc::clone(&value)));
    within("commit", put).await.unwrap();
    assert!(Arc::ptr_eq(&db.get(NUMBERS, "a").unwrap().unwrap(), &value));
    assert_eq!(store.get("/t/numbers/a").await.unwrap(), "[7]");
}

fn assert_quarantined(db: &tailetc::Db, key: &str, bytes: &str) {
    let snapshot = db.snapshot();
    let error = snapshot.get(NUMBERS, key).unwrap_err();
    assert!(matches!(error, Error::Undecodable { .. }), "{error}");
    assert!(snapshot.contains(NUMBERS, key).unwrap());
    assert!(matches!(snapshot.range(NUMBERS, ..), Err(Error::Undecodable { .. })));
    let whole = format!("/t/numbers/{key}");
    let found: Vec<_> = snapshot.quarantined().collect();
    assert!(found.iter().any(|q| q.key.to_string() == whole && q.bytes == bytes), "{found:?}");
    // The others are not affected.
    assert!(snapshot.get(NUMBERS, "good").unwrap().is_some());
    for item in snapshot.scan(NUMBERS, ..).unwrap() {
        assert_eq!(item.value().is_ok(), item.key() == "good");
        assert!(item.metadata().version > 0);
    }
    assert_eq!(snapshot.scan(NUMBERS, ..).unwrap().count(), 2);
}

// D26
async fn undecodable_value_is_quarantined_on_load(store: Store) {
    store.put_all(&[("/t/numbers/bad", "{"), ("/t/numbers/good", "[1]")]).await;
    let db = numbers(&store).await;
    assert_quarantined(&db, "bad", "{");
    // It can be replaced, and then is read like any other.
    let put = db.transact(|txn| txn.put(NUMBERS, "bad", vec![2]));
    within("commit", put).await.unwrap();
    assert_eq!(*db.get(NUMBERS, "bad").unwrap().unwrap(), [2]);
    assert_eq!(db.snapshot().quarantined().count(), 0);
    assert_eq!(db.snapshot().range(NUMBERS, ..).unwrap().count(), 2);
}

// D26
async fn undecodable_value_is_quarantined_on_watch_and_on_resync(store: Store) {
    store.put("/t/numbers/good", "[1]").await;
    let gate = Gate::new(&store);
    let db = gate.builder().collection(NUMBERS).connect().await.unwrap();
    let mut watch = db.watch(NUMBERS, .., WatchMode::EXACT).unwrap();
    within("an update", watch.next()).await.unwrap().unwrap();
    let last = store.put("/t/numbers/bad", "watched").await;
    until("the change arrives", || db.snapshot().revision() >= last).await;
    assert_quarantined(&db, "bad", "watched");
    let update = within("update", watch.next()).await.unwrap().unwrap();
    let change = update.changes().next().unwrap();
    assert!(change.is_create() && matches!(change.after(), Err(Error::Undecodable { .. })));

    gate.hold_watches();
    let last = store.put("/t/numbers/bad", "resynced").await;
    store.backend.compact(last).await.unwrap();
    gate.cut_watches();
    gate.release_watches();
    until("resynced", || db.snapshot().revision() >= last).await;
    assert_quarantined(&db, "bad", "resynced");

    store.delete("/t/numbers/bad").await;
    within("fresh", db.fresh()).await.unwrap();
    assert_eq!(db.snapshot().quarantined().count(), 0);
}

async fn foreign_keys_that_are_not_text_are_kept(store: Store) {
    let odd: [&[u8]; 3] = [b"/t/\xff\xfe", b"/t/\0", b"/t/numbers/\xf0\x28"];
    for key in odd {
        let put = PutRequest::new(Bytes::from_static(key), "[1]");
        store.backend.put(put).await.unwrap();
    }
    let db = numbers(&store).await;
    let later = PutRequest::new(&b"/t/numbers/\xff"[..], "[2]");
    store.backend.put(later).await.unwrap();
    let fresh = within("fresh", db.fresh()).await.unwrap();
    assert_eq!(fresh.len(), 4);
    let keys = fresh.range(NUMBERS, ..).unwrap().map(|(key, _)| key.as_bytes().to_vec());
    assert_eq!(keys.collect::<Vec<_>>(), [b"\xf0\x28".to_vec(), b"\xff".to_vec()]);
    assert_eq!(*fresh.get(NUMBERS, b"\xff").unwrap().unwrap(), [2]);
    assert_eq!(*fresh.get(RAW, b"\xff\xfe").unwrap().unwrap(), "[1]");
    let delete = db.transact(|txn| {
        let keys: Vec<_> = txn.range(RAW, ..)?.into_iter().map(|(key, _)| key).collect();
        keys.iter().try_for_each(|key| txn.delete(RAW, key))
    });
    within("delete", delete).await.unwrap();
    assert_eq!(db.snapshot().len(), 2);
}

async fn wrong_collections_are_typed_errors(store: Store) {
    const OTHER: Collection<Json<String>> = Collection::new("numbers/");
    const ABSENT: Collection<Raw> = Collection::new("absent/");
    let db = numbers(&store).await;
    let snapshot = db.snapshot();
    assert!(matches!(snapshot.get(OTHER, "a"), Err(Error::TypeMismatch { .. })));
    assert!(matches!(snapshot.get(RAW, "numbers/a"), Err(Error::TypeMismatch { .. })));
    assert!(matches!(snapshot.get(ABSENT, "a"), Err(Error::UnknownCollection { .. })));
    assert!(matches!(snapshot.range(OTHER, ..), Err(Error::TypeMismatch { .. })));
    assert!(matches!(db.watch(OTHER, .., WatchMode::EXACT), Err(Error::TypeMismatch { .. })));
    for wrong in [
        db.txn().put(RAW, "numbers/a", Bytes::from("[]")),
        db.txn().delete(RAW, "numbers/a"),
        db.txn().put(OTHER, "a", String::new()),
        db.txn().get(OTHER, "a").map(drop),
    ] {
        assert!(matches!(wrong, Err(Error::TypeMismatch { .. })), "{wrong:?}");
    }

    const NESTED: Collection<Raw> = Collection::new("numbers/odd/");
    let overlap = store.builder().collection(NUMBERS).collection(NESTED).connect().await;
    assert!(matches!(overlap, Err(Error::InvalidOption { .. })));
}

// D30
async fn keys_outside_of_the_prefix_are_typed_errors(store: Store) {
    let db = store.db().await;
    let error = db.snapshot().metadata_of("/elsewhere").unwrap_err();
    assert!(matches!(error, Error::OutsidePrefix { .. }), "{error}");
    let whole = store.builder().prefix("").connect().await.unwrap();
    let error = whole.txn().put(RAW, "", Bytes::new()).unwrap_err();
    assert!(matches!(error, Error::InvalidKey { .. }), "{error}");
    let unseparated = store.builder().prefix("/t").connect().await;
    assert!(matches!(unseparated, Err(Error::InvalidOption { option: "prefix", .. })));
}

/// Numbers below `n/`, text elsewhere, and no empty text.
#[derive(Default)]
struct ByKey;

#[derive(Debug, PartialEq)]
enum Value {
    Number(u64),
    Text(String),
}

const MIXED: Collection<ByKey> = Collection::new("mixed/");

impl Codec for ByKey {
    type Value = Value;

    fn encode(&self, _key: KeyRef<'_>, value: &Value) -> Result<Bytes, BoxError> {
        match value {
            Value::Number(number) => Ok(number.to_string().into()),
            Value::Text(text) if text.is_empty() => Err("no text".into()),
            Value::Text(text) => Ok(text.clone().into()),
        }
    }

    fn decode(&self, key: KeyRef<'_>, bytes: &Bytes) -> Result<Value, BoxError> {
        let text = std::str::from_utf8(bytes)?;
        if key.as_bytes().starts_with(b"n/") {
            return Ok(Value::Number(text.parse()?));
        }
        Ok(Value::Text(text.to_owned()))
    }
}

async fn codec_that_dispatches_by_key_is_given_the_key(store: Store) {
    store.put_all(&[("/t/mixed/n/1", "1"), ("/t/mixed/1", "1")]).await;
    let db = store.builder().collection(MIXED).connect().await.unwrap();
    assert_eq!(*db.get(MIXED, "n/1").unwrap().unwrap(), Value::Number(1));
    assert_eq!(*db.get(MIXED, "1").unwrap().unwrap(), Value::Text("1".into()));
}

async fn value_that_does_not_encode_is_refused_at_put(store: Store) {
    let db = store.builder().collection(MIXED).connect().await.unwrap();
    let mut txn = db.txn();
    txn.put(MIXED, "good", Value::Text("x".into())).unwrap();
    let error = txn.put(MIXED, "bad", Value::Text(String::new())).unwrap_err();
    assert!(matches!(&error, Error::Encode { key, .. } if key.as_str() == Some("/t/mixed/bad")));
    assert!(matches!(within("commit", txn.commit()).await, Err(Error::Encode { .. })));
    assert!(within("fresh", db.fresh()).await.unwrap().is_empty());
}

// D30
async fn prefixes_end_at_their_separator(store: Store) {
    store.put_all(&[("/t/numbers/a", "[1]"), ("/t/numbers2/a", "x"), ("/t2/a", "x")]).await;
    let db = numbers(&store).await;
    let snapshot = db.snapshot();
    assert_eq!(snapshot.len(), 2);
    assert_eq!(snapshot.range(NUMBERS, ..).unwrap().count(), 1);
    assert!(snapshot.contains(RAW, "numbers2/a").unwrap());
}

async fn pending_writes_are_seen_by_their_own_transaction_only(store: Store) {
    let rows = [("/t/numbers/a", "[1]"), ("/t/numbers/b", "[2]"), ("/t/numbers/c", "[3]")];
    store.put_all(&rows).await;
    let db = numbers(&store).await;
    let mut txn = db.txn();
    txn.put(NUMBERS, "b", vec![20]).unwrap();
    txn.put(NUMBERS, "bb", vec![25]).unwrap();
    txn.delete(NUMBERS, "c").unwrap();
    txn.delete(NUMBERS, "absent").unwrap();
    assert_eq!(*txn.get(NUMBERS, "b").unwrap().unwrap(), [20]);
    assert!(txn.get(NUMBERS, "c").unwrap().is_none() && !txn.contains(NUMBERS, "c").unwrap());
    assert_eq!(txn.peek(NUMBERS, "bb", |v| v[0]).unwrap(), Some(25));
    let seen: Vec<_> = txn.range(NUMBERS, ..).unwrap();
    let seen: Vec<_> = seen.iter().map(|(key, value)| (key.as_str().unwrap(), value[0])).collect();
    assert_eq!(seen, [("a", 1), ("b", 20), ("bb", 25)]);
    assert_eq!(*db.get(NUMBERS, "b").unwrap().unwrap(), [2], "nobody else sees them");
    txn.put(NUMBERS, "c", vec![30]).unwrap();
    within("commit", txn.commit()).await.unwrap();
    let snapshot = db.snapshot();
    let stored: Vec<_> = snapshot.range(NUMBERS, ..).unwrap().map(|(_, v)| v[0]).collect();
    assert_eq!(stored, [1, 20, 25, 30]);
}

async fn hooks_see_pending_changes(store: Store) {
    store.put("/t/numbers/a", "[1]").await;
    let db = numbers(&store).await;
    let mut txn = db.txn();
    let record = Arc::new(std::sync::Mutex::new(Vec::new()));
    let theirs = Arc::clone(&record);
    txn.on_change(NUMBERS, move |key, before, after| {
        let first = |value: Option<&Vec<u64>>| value.map(|value| value[0]);
        theirs.lock().unwrap().push((key.to_string(), first(before), first(after)));
    })
    .unwrap();
    txn.put(NUMBERS, "a", vec![2]).unwrap();
    txn.put(NUMBERS, "a", vec![3]).unwrap();
    txn.delete(NUMBERS, "a").unwrap();
    txn.put(NUMBERS, "b", vec![1]).unwrap();
    txn.put(RAW, "a", Bytes::new()).unwrap();
    let a = || "a".to_owned();
    let expected = [
        (a(), Some(1), Some(2)),
        (a(), Some(2), Some(3)),
        (a(), Some(3), None),
        ("b".to_owned(), None, Some(1)),
    ];
    assert_eq!(*record.lock().unwrap(), expected);
}

async fn ranges_can_be_read_from_both_ends(store: Store) {
    let rows = [("/t/numbers/a", "[1]"), ("/t/numbers/b", "[2]"), ("/t/numbers/c", "[3]")];
    store.put_all(&rows).await;
    let db = numbers(&store).await;
    let snapshot = db.snapshot();
    let mut range = snapshot.range(COPIES, ..).unwrap();
    assert_eq!(range.next_back().unwrap().1, [3]);
    assert_eq!(range.next().unwrap().1, [1]);
    assert_eq!(range.next_back().unwrap().1, [2]);
    assert!(range.next().is_none() && range.next_back().is_none());
}
