//! Secondary indexes: part of every snapshot, kept in the same step as their collection.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test ends at the first thing that is not as expected"
)]

mod support;

use serde::{Deserialize, Serialize};
use support::{Gate, Store, until, within};
use tailetc::backend::KvBackend as _;
use tailetc::{
    Collection, Db, DecodePolicy, Error, Index, IndexCursor, IndexKey, IndexRange, Json, Prefix,
    Snapshot, WatchMode,
};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Node {
    zone: String,
    load: i64,
    tags: Vec<String>,
}

const NODES: Collection<Json<Node>> = Collection::new("nodes/");
const BY_ZONE: Index<Json<Node>, (String, i64)> =
    NODES.index("zone", |_, node, keys| keys.add((node.zone.as_str(), node.load)));
const BY_TAG: Index<Json<Node>, String> =
    NODES.index("tag", |_, node, keys| keys.extend(&node.tags));
/// Fails below zero, panics at 13.
const PICKY: Index<Json<Node>, i64> = NODES.index("picky", |_, node, keys| {
    assert!(node.load != 13, "unlucky");
    if node.load < 0 {
        keys.fail("a load below zero");
    }
    keys.add(node.load);
});

on_every_backend! {
    index_follows_puts_updates_and_deletions,
    index_has_the_revision_of_its_snapshot,
    index_is_built_on_load,
    index_is_right_after_a_resync,
    index_of_a_key_that_is_deleted_and_put_in_one_transaction,
    reads_of_an_index_are_ordered_and_bounded,
    pages_follow_each_other_while_entries_come_and_go,
    values_that_do_not_decode_are_not_placed,
    kept_values_are_where_they_belong,
    function_that_fails_or_panics_leaves_the_entry_out,
    wrong_indexes_are_typed_errors,
}

fn node(zone: &str, load: i64, tags: &[&str]) -> Node {
    Node { zone: zone.to_owned(), load, tags: tags.iter().map(|&tag| tag.to_owned()).collect() }
}

async fn open(store: &Store) -> Db {
    let builder = store.builder().collection(NODES).index(BY_ZONE).index(BY_TAG).index(PICKY);
    builder.connect().await.unwrap()
}

async fn put(db: &Db, key: &str, node: Node) {
    let put = db.transact(|txn| txn.put(NODES, key, node.clone()));
    within("commit", put).await.unwrap();
}

fn by_tag(snapshot: &Snapshot, tag: &str) -> Vec<String> {
    snapshot.index(BY_TAG).unwrap().get(tag).map(|item| item.key.to_string()).collect()
}

fn by_zone(snapshot: &Snapshot) -> Vec<String> {
    let all = snapshot.index(BY_ZONE).unwrap().range(..);
    all.map(|item| {
        let (zone, load) = item.index_key().unwrap();
        format!("{zone} {load} {}", item.key)
    })
    .collect()
}

async fn index_follows_puts_updates_and_deletions(store: Store) {
    let (db, other) = (open(&store).await, open(&store).await);
    put(&db, "a", node("eu", 2, &["x", "y", "x"])).await;
    put(&db, "b", node("eu", 1, &["y"])).await;
    put(&db, "a", node("us", 2, &["y", "z"])).await;
    assert_eq!(by_zone(&db.snapshot()), ["eu 1 b", "us 2 a"]);
    let token = db.snapshot().token();
    let seen = within("catching up", other.at_least(&token)).await.unwrap();
    for snapshot in [db.snapshot(), seen] {
        assert!(by_tag(&snapshot, "x").is_empty());
        assert_eq!(by_tag(&snapshot, "y"), ["a", "b"]);
        assert_eq!(by_tag(&snapshot, "z"), ["a"]);
    }
    within("commit", db.transact(|txn| txn.delete(NODES, "a"))).await.unwrap();
    assert_eq!(by_zone(&db.snapshot()), ["eu 1 b"]);
    assert_eq!(by_tag(&db.snapshot(), "y"), ["b"]);
    // The value that an index leads to is the cached one.
    let snapshot = db.snapshot();
    let found = snapshot.index(BY_TAG).unwrap().get("y").next().unwrap();
    let cached = snapshot.get(NODES, "b").unwrap().unwrap();
    assert!(std::sync::Arc::ptr_eq(&found.value, &cached));
    assert_eq!(Some(found.metadata), snapshot.metadata(NODES, "b").unwrap());
}

async fn index_has_the_revision_of_its_snapshot(store: Store) {
    let db = open(&store).await;
    put(&db, "a", node("eu", 1, &["x"])).await;
    let before = db.snapshot();
    put(&db, "a", node("us", 1, &[])).await;
    assert_eq!((by_zone(&before), by_tag(&before, "x").len()), (vec!["eu 1 a".to_owned()], 1));
    assert_eq!(by_zone(&db.snapshot()), ["us 1 a"]);
}

async fn index_is_built_on_load(store: Store) {
    let first = open(&store).await;
    put(&first, "a", node("eu", 1, &["x"])).await;
    put(&first, "b", node("af", -1, &["x"])).await;
    let loaded = open(&store).await.snapshot();
    assert_eq!(by_zone(&loaded), ["af -1 b", "eu 1 a"]);
    assert_eq!(by_tag(&loaded, "x"), ["a", "b"]);
    assert_eq!(loaded.index(PICKY).unwrap().unplaced().count(), 1);
}

// D4
async fn index_is_right_after_a_resync(store: Store) {
    let gate = Gate::new(&store);
    let builder = gate.builder().collection(NODES).index(BY_ZONE).index(BY_TAG).index(PICKY);
    let db = builder.connect().await.unwrap();
    put(&db, "a", node("eu", 1, &["x"])).await;
    put(&db, "b", node("eu", 2, &["x"])).await;
    put(&db, "c", node("eu", 3, &["x"])).await;
    gate.hold_watches();
    let json = serde_json::to_string(&node("us", 7, &["y"])).unwrap();
    store.put("/t/nodes/a", json.clone()).await;
    store.delete("/t/nodes/b").await;
    let last = store.put("/t/nodes/d", json).await;
    store.backend.compact(last).await.unwrap();
    gate.cut_watches();
    gate.release_watches();
    until("a resync", || db.stats().resyncs == 1).await;
    let snapshot = db.snapshot();
    assert_eq!(by_zone(&snapshot), ["eu 3 c", "us 7 a", "us 7 d"]);
    assert_eq!((by_tag(&snapshot, "x"), by_tag(&snapshot, "y").len()), (vec!["c".to_owned()], 2));
}

async fn index_of_a_key_that_is_deleted_and_put_in_one_transaction(store: Store) {
    use tailetc::backend::{DeleteRequest, KeyRange, PutRequest, TxnOp, TxnRequest};
    let db = open(&store).await;
    put(&db, "a", node("eu", 1, &["x", "y"])).await;
    let json = serde_json::to_string(&node("us", 2, &["y", "z"])).unwrap();
    let key = KeyRange::span("/t/nodes/a", "/t/nodes/b");
    let ops = [TxnOp::from(DeleteRequest::new(key)), PutRequest::new("/t/nodes/b", json).into()];
    let revision = store.backend.txn(TxnRequest::new(ops)).await.unwrap().header.revision;
    until("the foreign transaction", || db.snapshot().revision() >= revision).await;
    assert_eq!(by_zone(&db.snapshot()), ["us 2 b"]);
    assert_eq!(by_tag(&db.snapshot(), "y"), ["b"]);
    assert!(by_tag(&db.snapshot(), "x").is_empty());
}

fn keys<K: IndexKey>(range: IndexRange<'_, Json<Node>, K>) -> String {
    range.map(|item| item.key.to_string()).collect()
}

async fn reads_of_an_index_are_ordered_and_bounded(store: Store) {
    let db = open(&store).await;
    for (key, zone, load) in
        [("a", "eu", 5), ("b", "eu-1", -3), ("c", "eu", -7), ("d", "af", 0), ("e", "us", 9)]
    {
        put(&db, key, node(zone, load, &[zone])).await;
    }
    let snapshot = db.snapshot();
    let zones = snapshot.index(BY_ZONE).unwrap();
    assert_eq!(keys(zones.range(..)), "dcabe");
    assert_eq!(keys(zones.get(("eu", 5))), "a");
    assert_eq!(keys(zones.get(("eu", 6))), "");
    assert_eq!(keys(zones.range(Prefix(("eu",)))), "ca");
    assert_eq!(keys(zones.range(("eu", -7)..("eu", 5))), "c");
    assert_eq!(keys(zones.range(("eu", -7)..=("eu", 5))), "ca");
    assert_eq!(keys(zones.range(("eu", 6)..)), "be");
    assert_eq!(keys(zones.range(..("eu", 0))), "dc");
    assert_eq!(zones.range(..).rev().map(|item| item.key.to_string()).collect::<String>(), "ebacd");
    let (first, last) = (zones.first().unwrap(), zones.last().unwrap());
    assert_eq!((first.key.as_str(), last.key.as_str()), (Some("d"), Some("e")));
    assert_eq!(zones.range(..).count(), 5);
    let tags = snapshot.index(BY_TAG).unwrap();
    assert_eq!(keys(tags.range(Prefix("eu"))), "acb");
    assert_eq!(keys(tags.get("eu")), "ac");
    assert_eq!(keys(tags.range("b".."eu-")), "ac");
}

async fn pages_follow_each_other_while_entries_come_and_go(store: Store) {
    let db = open(&store).await;
    for (load, key) in ["a", "b", "c", "d", "e"].into_iter().enumerate() {
        put(&db, key, node("eu", load as i64, &["x"])).await;
    }
    let mut seen = Vec::new();
    let mut cursor: Option<IndexCursor> = None;
    loop {
        let snapshot = db.snapshot();
        let page = snapshot.index(BY_TAG).unwrap().page("x"..="x", cursor.as_ref(), 2);
        seen.extend(page.items.iter().map(|item| item.key.to_string()));
        // What the cursor stands on may go.
        if let Some(last) = page.items.last() {
            let key = last.key.to_string();
            within("commit", db.transact(|txn| txn.delete(NODES, &key))).await.unwrap();
        }
        let Some(next) = page.next else { break };
        cursor = Some(next.to_string().parse().unwrap());
    }
    assert_eq!(seen, ["a", "b", "c", "d", "e"]);
    let empty = db.snapshot().index(BY_TAG).unwrap().page("y".., None, 2).items.len();
    assert_eq!(empty, 0);
}

// D27
async fn values_that_do_not_decode_are_not_placed(store: Store) {
    let db = open(&store).await;
    put(&db, "a", node("eu", 1, &["x"])).await;
    let bad = store.put("/t/nodes/a", "not JSON").await;
    until("the bad value", || db.snapshot().revision() >= bad).await;
    let loaded = open(&store).await;
    for snapshot in [db.snapshot(), loaded.snapshot()] {
        let tags = snapshot.index(BY_TAG).unwrap();
        assert_eq!(tags.range(..).count(), 0);
        let unplaced: Vec<_> = tags.unplaced().collect();
        assert_eq!(unplaced.len(), 1);
        assert_eq!(unplaced[0].key, "/t/nodes/a");
    }
    put(&db, "a", node("us", 1, &["y"])).await;
    assert_eq!(by_tag(&db.snapshot(), "y"), ["a"]);
    assert_eq!(db.snapshot().index(BY_TAG).unwrap().unplaced().count(), 0);
}

async fn kept_values_are_where_they_belong(store: Store) {
    let builder = store.builder().collection(NODES).index(BY_TAG);
    let keeps = builder.decode_policy(NODES, DecodePolicy::KeepPrevious);
    let db = keeps.connect().await.unwrap();
    put(&db, "a", node("eu", 1, &["x"])).await;
    let bad = store.put("/t/nodes/a", "not JSON").await;
    until("the bad value", || db.snapshot().revision() >= bad).await;
    assert_eq!(by_tag(&db.snapshot(), "x"), ["a"]);
    // A transaction acts on nothing that is not in the store.
    let read = db.txn().index_get(BY_TAG, "x");
    assert!(matches!(read, Err(Error::Undecodable { .. })), "{read:?}");
    put(&db, "a", node("eu", 1, &["y"])).await;
    assert!(by_tag(&db.snapshot(), "x").is_empty());
    assert_eq!(by_tag(&db.snapshot(), "y"), ["a"]);
}

async fn function_that_fails_or_panics_leaves_the_entry_out(store: Store) {
    let db = open(&store).await;
    let mut watch = db.watch(NODES, .., WatchMode::EXACT).unwrap();
    within("the initial state", watch.next()).await.unwrap().unwrap();
    put(&db, "a", node("eu", 13, &["x"])).await;
    put(&db, "b", node("eu", -1, &["x"])).await;
    put(&db, "c", node("eu", 1, &["x"])).await;
    for _ in 0..3 {
        within("a change", watch.next()).await.unwrap().unwrap();
    }
    let loaded = open(&store).await;
    for snapshot in [db.snapshot(), loaded.snapshot()] {
        let picky = snapshot.index(PICKY).unwrap();
        assert_eq!(picky.range(..).map(|item| item.key.to_string()).collect::<String>(), "c");
        let mut unplaced: Vec<_> =
            picky.unplaced().map(|u| format!("{}: {}", u.key, u.error)).collect();
        unplaced.sort();
        assert_eq!(
            unplaced,
            ["/t/nodes/a: the function of the index panicked", "/t/nodes/b: a load below zero"]
        );
        // The other indexes have them.
        assert_eq!(by_tag(&snapshot, "x"), ["a", "b", "c"]);
    }
    put(&db, "a", node("eu", 2, &[])).await;
    within("commit", db.transact(|txn| txn.delete(NODES, "b"))).await.unwrap();
    let snapshot = db.snapshot();
    let picky = snapshot.index(PICKY).unwrap();
    assert_eq!((picky.range(..).count(), picky.unplaced().count()), (2, 0));
}

async fn wrong_indexes_are_typed_errors(store: Store) {
    const OTHER_KEY: Index<Json<Node>, u64> = NODES.index("tag", |_, _, _| {});
    const UNKNOWN: Index<Json<Node>, u64> = NODES.index("unknown", |_, _, _| {});
    const SLASH: Index<Json<Node>, u64> = NODES.index("a/b", |_, _, _| {});
    let db = open(&store).await;
    let snapshot = db.snapshot();
    let error = snapshot.index(OTHER_KEY).unwrap_err();
    assert!(matches!(error, Error::TypeMismatch { .. }), "{error}");
    let error = snapshot.index(UNKNOWN).unwrap_err();
    assert!(matches!(error, Error::UnknownIndex { .. }), "{error}");
    assert!(error.to_string().contains("nodes/#unknown"), "{error}");
    let refused = [
        store.builder().index(BY_TAG),
        store.builder().collection(NODES).index(BY_TAG).index(OTHER_KEY),
        store.builder().collection(NODES).index(SLASH),
    ];
    for builder in refused {
        let error = builder.connect().await.unwrap_err();
        assert!(matches!(error, Error::InvalidOption { option: "index", .. }), "{error}");
    }
}
