//! Secondary indexes: declared once, kept in the same step as the data, part of every snapshot.

use serde::{Deserialize, Serialize};
use tailetc::{BoxError, Collection, Index, Json, Prefix};

use super::{Open, error_of};

#[derive(Serialize, Deserialize)]
struct Node {
    zone: String,
    load: u64,
    tags: Vec<String>,
}

const NODES: Collection<Json<Node>> = Collection::new("nodes/");

/// By zone, and within a zone by load.
const BY_ZONE: Index<Json<Node>, (String, u64)> =
    NODES.index("zone", |_key, node, keys| keys.add((node.zone.as_str(), node.load)));

/// By tag: a node is in it as often as it has tags.
const BY_TAG: Index<Json<Node>, String> =
    NODES.index("tag", |_key, node, keys| keys.extend(&node.tags));

fn node(zone: &str, load: u64, tags: &[&str]) -> Node {
    Node { zone: zone.into(), load, tags: tags.iter().map(|&tag| tag.into()).collect() }
}

pub(crate) async fn show(open: Open<'_>) -> Result<(), BoxError> {
    let db = open().collection(NODES).index(BY_ZONE).index(BY_TAG).connect().await?;
    let nodes = db.transact(|txn| {
        txn.put(NODES, "a", node("eu", 70, &["ssd"]))?;
        txn.put(NODES, "b", node("eu", 20, &["gpu", "ssd"]))?;
        txn.put(NODES, "c", node("us", 50, &[]))
    });
    nodes.await?;

    let snapshot = db.snapshot(); // indexes and data, at one revision
    let by_zone = snapshot.index(BY_ZONE)?;
    let in_eu: Vec<_> = by_zone.range(Prefix(("eu",))).map(|item| item.key.to_string()).collect();
    println!("in eu, the least busy first: {in_eu:?}");
    assert_eq!(in_eu, ["b", "a"]);
    assert_eq!(by_zone.range(("eu", 50)..).count(), 2, "a, and c in the next zone");
    let busiest = by_zone.range(Prefix(("eu",))).next_back().ok_or("no node in eu")?;
    assert_eq!((busiest.index_key(), busiest.value.load), (Some(("eu".into(), 70)), 70));
    let tagged = snapshot.index(BY_TAG)?;
    assert_eq!((tagged.get("ssd").count(), tagged.range("a".."h").count()), (2, 1));

    // Pages: a cursor prints and parses, and stays good while entries come and go.
    let first = by_zone.page(.., None, 2);
    let cursor = first.next.ok_or("there are three nodes")?.to_string();
    let second = by_zone.page(.., Some(&cursor.parse()?), 2);
    println!("the second page, after {cursor}: {:?}", second.items[0].key);
    assert!(first.items.len() == 2 && second.items.len() == 1 && second.next.is_none());

    // In a transaction its own writes are laid over the index.
    let mut place = db.txn();
    let (least, busy) = place.index_first(BY_ZONE, Prefix(("eu",)), 1)?.swap_remove(0);
    place.put(NODES, &least, node("eu", busy.load + 60, &["gpu", "ssd"]))?;
    let (now_least, _) = place.index_first(BY_ZONE, Prefix(("eu",)), 1)?.swap_remove(0);
    println!("{least} has got work, {now_least} is the least busy now");
    assert!(least == "b" && now_least == "a");

    // What it has read is guarded: a node that somebody adds meanwhile is a conflict.
    db.transact(|txn| txn.put(NODES, "d", node("eu", 0, &[]))).await?;
    assert!(error_of(place.commit().await)?.is_conflict());
    Ok(())
}
