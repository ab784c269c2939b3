//! Watches: the present state, then what changes, for consumers that run in their own time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tailetc::{
    BoxError, ChangeKind, Collection, Db, Error, Index, Json, Key, Only, Prefix, WatchMode,
};

use super::Open;

/// How many slots a node has.
const SLOTS: Collection<Json<u64>> = Collection::new("slots/");
const BY_SLOTS: Index<Json<u64>, u64> = SLOTS.index("number", |_key, slots, keys| keys.add(slots));

async fn put(db: &Db, node: &str, slots: u64) -> Result<(), Error> {
    db.transact(|txn| txn.put(SLOTS, node, slots)).await.map(drop)
}

fn is_large(slots: Result<Option<Arc<u64>>, Error>) -> bool {
    slots.is_ok_and(|slots| slots.is_some_and(|slots| *slots >= 3))
}

pub(crate) async fn show(open: Open<'_>) -> Result<(), BoxError> {
    let db = open().collection(SLOTS).index(BY_SLOTS).connect().await?;
    let mut exact = db.watch(SLOTS, .., WatchMode::EXACT)?;
    let mut coalesced = db.watch(SLOTS, Prefix("eu-"), WatchMode::Coalesced)?;
    let mut large = db.watch(SLOTS, .., WatchMode::Coalesced)?;
    large = large.filter(|change| is_large(change.before()) || is_large(change.after()));
    let mut full = db.watch_index(BY_SLOTS, Only(0), WatchMode::Coalesced)?;
    let map: Arc<Mutex<BTreeMap<Key, Arc<u64>>>> = Arc::default();
    let reflected = db.watch(SLOTS, .., WatchMode::Coalesced)?.reflect_into(Arc::clone(&map));
    let reflection = tokio::spawn(reflected);
    let delay = Duration::from_millis(50);
    let mut debounced = db.watch(SLOTS, .., WatchMode::Debounced { delay })?;
    debounced.next().await.ok_or("closed")??;
    let began = tokio::time::Instant::now();
    for (node, slots) in [("eu-1", 4), ("eu-2", 0), ("us-1", 1), ("eu-1", 3)] {
        put(&db, node, slots).await?;
    }

    // Exact: each transaction by itself, in order.
    let mut seen = Vec::new();
    while seen.len() < 5 {
        let update = exact.next().await.ok_or("closed")??;
        seen.push((update.kind(), update.changes().count()));
    }
    println!("exact: {seen:?}");
    assert!(seen[0] == (ChangeKind::Initial, 0) && seen[1..] == [(ChangeKind::Transaction, 1); 4]);

    // Coalesced: what is different since the last item, when the consumer is ready for it.
    assert_eq!(coalesced.next().await.ok_or("closed")??.changes().count(), 0);
    let update = coalesced.next().await.ok_or("closed")??;
    println!("coalesced, of the nodes in eu: {:?}", update.changes().collect::<Vec<_>>());
    assert_eq!(update.changes().count(), 2);

    // Debounced: the same, no sooner than a delay after the first change.
    let update = debounced.next().await.ok_or("closed")??;
    println!("debounced: {} changes after {:?}", update.changes().count(), began.elapsed());
    assert!(update.changes().count() == 3 && began.elapsed() >= delay);

    // Filtered, and of an index key: what comes to have it, and what has it no more.
    large.next().await.ok_or("closed")??;
    full.next().await.ok_or("closed")??;
    assert_eq!(large.next().await.ok_or("closed")??.changes().count(), 1);
    assert!(full.next().await.ok_or("closed")??.changes().all(|change| change.key == *"eu-2"));
    put(&db, "eu-2", 2).await?;
    let update = full.next().await.ok_or("closed")??;
    assert!(update.changes().all(|change| change.key == *"eu-2" && change.after.is_none()));

    // Reflected: a map that follows, to the last change before the end.
    db.close();
    assert!(matches!(reflection.await?, Error::Closed { .. }));
    let map = map.lock().unwrap_or_else(PoisonError::into_inner);
    println!("reflected: {map:?}");
    assert_eq!(map.values().map(|slots| **slots).collect::<Vec<_>>(), [3, 2, 1]);
    Ok(())
}
