//! What consumers make of a watch: filters, and state of their own that follows it.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test ends at the first thing that is not as expected"
)]

mod support;

use std::collections::{BTreeMap, HashMap};
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, RwLock};
use std::task::{Context, Waker};

use bytes::Bytes;
use support::{Gate, Store, next, until, utf8, within, write_about};
use tailetc::{
    BoxError, Change, ChangeKind, Codec, Collection, Db, Error, Key, KeyRef, Prefix, RAW, Raw,
    Reflect, Revision, Shared, Token, Update, WatchMode,
};

on_every_backend! {
    filter_leaves_out_what_does_not_match,
    filters_must_all_agree_and_the_initial_state_is_always_given,
    resync_is_given_although_nothing_in_it_matches,
    panic_in_a_filter_loses_its_update_and_nothing_else,
    reflected_maps_are_what_the_range_is,
    reflection_survives_lagging,
    reflected_map_behind_a_lock_shows_whole_transactions,
    value_that_does_not_decode_is_taken_for_gone_unless_told_otherwise,
}

/// The keys of an update.
fn keys(update: &Update<Raw, Shared>) -> Vec<String> {
    update.changes().map(|change| change.key().to_string()).collect()
}

fn is_open(value: Result<Option<Arc<Bytes>>, Error>) -> bool {
    value.unwrap().is_some_and(|value| value.starts_with(b"open"))
}

fn was_or_is_open(change: &Change<'_, Raw, Shared>) -> bool {
    is_open(change.before()) || is_open(change.after())
}

async fn filter_leaves_out_what_does_not_match(store: Store) {
    store.put_all(&[("/t/a", "open"), ("/t/b", "shut")]).await;
    let db = store.db().await;
    for mode in [WatchMode::EXACT, WatchMode::Coalesced] {
        let mut watch = db.watch(RAW, .., mode).unwrap().filter(was_or_is_open);
        assert_eq!(keys(&next(&mut watch).await), ["a"]);
        store.put("/t/b", "shut").await;
        let first = store.put_all(&[("/t/a", "shut"), ("/t/b", "shut"), ("/t/c", "open")]).await;
        let update = next(&mut watch).await;
        assert_eq!((update.revision(), keys(&update)), (first, vec!["a".into(), "c".into()]));
        assert!(update.change_set().len() >= 3, "the whole is still there");
        let second = store.put_all(&[("/t/c", "shut"), ("/t/a", "open")]).await;
        let update = next(&mut watch).await;
        assert_eq!((update.revision(), keys(&update)), (second, vec!["a".into(), "c".into()]));
    }
}

async fn filters_must_all_agree_and_the_initial_state_is_always_given(store: Store) {
    store.put("/t/a", "shut").await;
    let db = store.db().await;
    let watch = db.watch(RAW, .., WatchMode::EXACT).unwrap().filter(was_or_is_open);
    let mut watch = watch.filter(|change| change.key() == "b");
    let initial = next(&mut watch).await;
    assert_eq!((initial.kind(), keys(&initial).len()), (ChangeKind::Initial, 0));
    store.put("/t/a", "open").await;
    store.put("/t/b", "shut").await;
    let last = store.put_all(&[("/t/a", "open"), ("/t/b", "open")]).await;
    let update = next(&mut watch).await;
    assert_eq!((update.revision(), keys(&update)), (last, vec!["b".into()]));
}

async fn resync_is_given_although_nothing_in_it_matches(store: Store) {
    let gate = Gate::new(&store);
    let db = gate.builder().connect().await.unwrap();
    let mut watch = db.watch(RAW, .., WatchMode::EXACT).unwrap().filter(|_| false);
    assert_eq!(next(&mut watch).await.kind(), ChangeKind::Initial);
    gate.hold_watches();
    let last = write_about(&store, 20).await;
    store.backend.compact(last).await.unwrap();
    gate.cut_watches();
    gate.release_watches();
    let update = next(&mut watch).await;
    assert_eq!((update.kind(), keys(&update).len()), (ChangeKind::Resync, 0));
}

async fn panic_in_a_filter_loses_its_update_and_nothing_else(store: Store) {
    let db = store.db().await;
    let mut watch = db.watch(RAW, .., WatchMode::EXACT).unwrap().filter(|change| {
        assert!(change.key() != "bad", "this panic is meant");
        true
    });
    assert_eq!(next(&mut watch).await.kind(), ChangeKind::Initial);
    store.put("/t/bad", "1").await;
    let last = store.put("/t/good", "1").await;
    until("the changes arrive", || db.snapshot().revision() >= last).await;
    let poll = AssertUnwindSafe(|| {
        let mut next = std::pin::pin!(watch.next());
        let _ = next.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    });
    std::panic::catch_unwind(poll).unwrap_err();
    assert_eq!(next(&mut watch).await.revision(), last);
    assert!(db.health().is_tailing());
}

/// The keys and values of a prefix.
fn expected(db: &Db, prefix: &str) -> BTreeMap<Key, Arc<Bytes>> {
    let snapshot = db.snapshot();
    let range = snapshot.range(RAW, Prefix(prefix)).unwrap();
    range.map(|(key, value)| (key.as_bytes().into(), value)).collect()
}

async fn reflected_maps_are_what_the_range_is(store: Store) {
    store.put_all(&[("/t/1", "old"), ("/t/x", "old")]).await;
    let db = store.db().await;
    let tree = Arc::new(Mutex::new(BTreeMap::new()));
    let hash = Arc::new(RwLock::new(HashMap::new()));
    let watch = |prefix, mode| db.watch(RAW, Prefix(prefix), mode).unwrap();
    let tree_ends = tokio::spawn(watch("", WatchMode::Coalesced).reflect_into(Arc::clone(&tree)));
    let hash_ends = tokio::spawn(watch("1", WatchMode::EXACT).reflect_into(Arc::clone(&hash)));
    for _ in 0..3 {
        let last = write_about(&store, 60).await;
        until("the changes arrive", || db.snapshot().revision() >= last).await;
        until("the tree follows", || *tree.lock().unwrap() == expected(&db, "")).await;
        let sorted = || hash.read().unwrap().clone().into_iter().collect::<BTreeMap<_, _>>();
        until("the hash map follows", || sorted() == expected(&db, "1")).await;
    }
    drop(db);
    for ends in [tree_ends, hash_ends] {
        let error = within("the end", ends).await.unwrap();
        assert!(matches!(error, Error::Closed { .. }), "{error}");
    }
}

async fn reflection_survives_lagging(store: Store) {
    let db = store.db().await;
    let mut map = BTreeMap::from([(Key::from("junk"), Arc::new(Bytes::new()))]);
    {
        let watch = db.watch(RAW, .., WatchMode::Exact { buffer: 2 }).unwrap();
        let mut reflection = std::pin::pin!(watch.reflect_into(&mut map));
        let last = write_about(&store, 50).await;
        until("the changes arrive", || db.snapshot().revision() >= last).await;
        // It is polled only now, and far behind.
        assert!(reflection.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        assert_eq!(db.stats().lagged_watches, 1);
    }
    assert_eq!(map, expected(&db, ""));
}

async fn reflected_map_behind_a_lock_shows_whole_transactions(store: Store) {
    let db = store.db().await;
    let map = Arc::new(Mutex::new(BTreeMap::new()));
    let watch = db.watch(RAW, .., WatchMode::EXACT).unwrap();
    let reflection = tokio::spawn(watch.reflect_into(Arc::clone(&map)));
    let values = || -> Vec<String> { map.lock().unwrap().values().cloned().map(utf8).collect() };
    for round in 0..200_u32 {
        let value = round.to_string();
        store.put_all(&[("/t/a", &value), ("/t/m", &value), ("/t/z", &value)]).await;
        let seen = values();
        assert!(seen.iter().all(|value| *value == seen[0]) && matches!(seen.len(), 0 | 3));
    }
    until("the last arrives", || values() == ["199"; 3]).await;
    reflection.abort();
}

/// UTF-8 that does not begin with `!`.
#[derive(Debug, Default)]
struct Polite;

impl Codec for Polite {
    type Value = String;

    fn encode(&self, _: KeyRef<'_>, value: &String) -> Result<Bytes, BoxError> {
        Ok(value.clone().into())
    }

    fn decode(&self, _: KeyRef<'_>, bytes: &Bytes) -> Result<String, BoxError> {
        if bytes.starts_with(b"!") {
            return Err("impolite".into());
        }
        Ok(String::from_utf8(bytes.to_vec())?)
    }
}

const WORDS: Collection<Polite> = Collection::new("words/");

/// Notes what it is told.
#[derive(Default)]
struct Diary {
    told: Vec<String>,
    revision: Revision,
}

impl Reflect<Polite, Shared> for Diary {
    fn reset(&mut self) {
        self.told.push("reset".into());
    }

    fn put(&mut self, key: KeyRef<'_>, value: Arc<String>) {
        self.told.push(format!("put {key} {value}"));
    }

    fn delete(&mut self, key: KeyRef<'_>) {
        self.told.push(format!("delete {key}"));
    }

    fn refused(&mut self, key: KeyRef<'_>, error: Error) {
        assert!(matches!(error, Error::Undecodable { .. }), "{error}");
        self.told.push(format!("refused {key}"));
    }

    fn done(&mut self, token: Token) {
        self.revision = token.revision();
    }
}

async fn value_that_does_not_decode_is_taken_for_gone_unless_told_otherwise(store: Store) {
    store.put_all(&[("/t/words/a", "hello"), ("/t/words/b", "hello")]).await;
    let db = store.builder().collection(WORDS).connect().await.unwrap();
    let diary = Arc::new(Mutex::new(Diary::default()));
    let map = Arc::new(Mutex::new(BTreeMap::new()));
    let watch = || db.watch(WORDS, .., WatchMode::EXACT).unwrap();
    tokio::spawn(watch().reflect_into(Arc::clone(&diary)));
    tokio::spawn(watch().reflect_into(Arc::clone(&map)));
    let last = {
        store.put("/t/words/a", "!").await;
        store.delete("/t/words/b").await;
        store.put("/t/words/c", "hello").await
    };
    until("the diary is written", || diary.lock().unwrap().revision == last).await;
    let expected = ["reset", "put a hello", "put b hello", "refused a", "delete b", "put c hello"];
    assert_eq!(diary.lock().unwrap().told, expected);
    let only_c = BTreeMap::from([(Key::from("c"), Arc::new("hello".to_owned()))]);
    until("the map follows", || *map.lock().unwrap() == only_c).await;
}
