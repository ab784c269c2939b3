//! Watches of an index key and of ranges of an index.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test ends at the first thing that is not as expected"
)]

mod support;

use support::{Gate, Store, until, within};
use tailetc::backend::KvBackend as _;
use tailetc::{
    ChangeKind, Collection, Db, Error, Index, IndexUpdate, IndexWatch, Json, Only, WatchMode,
};

type Levels = Json<(String, i64)>;

const TANKS: Collection<Levels> = Collection::new("tanks/");
const BY_LEVEL: Index<Levels, i64> = TANKS.index("level", |_, (_, level), keys| keys.add(*level));

on_every_backend! {
    exact_watch_of_a_range_gives_what_enters_changes_and_leaves,
    watch_of_an_index_key_sees_that_key_alone,
    coalesced_watch_gives_the_difference,
    entry_that_moves_within_the_range_leaves_one_index_key_for_another,
    watch_that_lags_begins_again,
    resync_is_given_as_its_difference,
    watch_after_a_kept_revision_has_no_gap,
    filter_leaves_out_what_is_not_wanted,
    index_and_watch_agree_under_load,
}

async fn open(store: &Store) -> Db {
    store.builder().collection(TANKS).index(BY_LEVEL).connect().await.unwrap()
}

async fn put(db: &Db, key: &str, note: &str, level: i64) {
    let put = db.transact(|txn| txn.put(TANKS, key, (note.to_owned(), level)));
    within("commit", put).await.unwrap();
}

async fn next(watch: &mut IndexWatch<Levels, i64>) -> IndexUpdate<Levels, i64> {
    within("an update", watch.next()).await.unwrap().unwrap()
}

/// `10 a: -x` for one that has entered with the note x, `10 a: x-y` for one that has changed.
fn shown(update: &IndexUpdate<Levels, i64>) -> Vec<String> {
    let changes = update.changes().map(|change| {
        let note = |value: &Option<std::sync::Arc<(String, i64)>>| {
            value.as_ref().map_or(String::new(), |value| value.0.clone())
        };
        let (before, after) = (note(&change.before), note(&change.after));
        assert_eq!(change.metadata.is_some(), change.after.is_some());
        format!("{} {}: {before}-{after}", change.index_key().unwrap(), change.key)
    });
    changes.collect()
}

async fn exact_watch_of_a_range_gives_what_enters_changes_and_leaves(store: Store) {
    let db = open(&store).await;
    put(&db, "a", "x", 10).await;
    put(&db, "b", "x", 99).await;
    let mut watch = db.watch_index(BY_LEVEL, 0..50, WatchMode::EXACT).unwrap();
    let initial = next(&mut watch).await;
    assert_eq!((initial.kind(), shown(&initial)), (ChangeKind::Initial, vec!["10 a: -x".into()]));
    put(&db, "c", "outside", 50).await;
    put(&db, "a", "y", 10).await;
    put(&db, "b", "z", 49).await;
    put(&db, "a", "gone", 51).await;
    within("commit", db.transact(|txn| txn.delete(TANKS, "b"))).await.unwrap();
    let mut all = Vec::new();
    for _ in 0..4 {
        let update = next(&mut watch).await;
        assert_eq!(update.kind(), ChangeKind::Transaction);
        assert!(db.snapshot().revision() >= update.revision());
        all.extend(shown(&update));
    }
    assert_eq!(all, ["10 a: x-y", "49 b: -z", "10 a: y-", "49 b: z-"]);
    db.close();
    let end = within("the end", watch.next()).await.unwrap();
    assert!(matches!(end, Err(Error::Closed { .. })));
    assert!(within("nothing more", watch.next()).await.is_none());
}

async fn watch_of_an_index_key_sees_that_key_alone(store: Store) {
    let db = open(&store).await;
    let mut watch = db.watch_index(BY_LEVEL, Only(-1), WatchMode::EXACT).unwrap();
    assert!(shown(&next(&mut watch).await).is_empty());
    put(&db, "a", "x", -2).await;
    put(&db, "a", "y", -1).await;
    put(&db, "a", "z", 0).await;
    assert_eq!(shown(&next(&mut watch).await), ["-1 a: -y"]);
    assert_eq!(shown(&next(&mut watch).await), ["-1 a: y-"]);
}

async fn coalesced_watch_gives_the_difference(store: Store) {
    let db = open(&store).await;
    put(&db, "a", "old", 1).await;
    put(&db, "b", "stays", 1).await;
    let mut watch = db.watch_index(BY_LEVEL, .., WatchMode::Coalesced).unwrap();
    assert_eq!(shown(&next(&mut watch).await).len(), 2);
    for i in 0..10 {
        put(&db, "a", &format!("new{i}"), 1).await;
        put(&db, "c", "passing", 3).await;
        within("commit", db.transact(|txn| txn.delete(TANKS, "c"))).await.unwrap();
    }
    let update = next(&mut watch).await;
    assert_eq!(
        (update.kind(), shown(&update)),
        (ChangeKind::Coalesced, vec!["1 a: old-new9".into()])
    );
}

async fn entry_that_moves_within_the_range_leaves_one_index_key_for_another(store: Store) {
    let db = open(&store).await;
    put(&db, "a", "x", 1).await;
    for mode in [WatchMode::EXACT, WatchMode::Coalesced] {
        let mut watch = db.watch_index(BY_LEVEL, .., mode).unwrap();
        next(&mut watch).await;
        put(&db, "a", "y", 2).await;
        assert_eq!(shown(&next(&mut watch).await), ["1 a: x-", "2 a: -y"]);
        put(&db, "a", "x", 1).await;
        assert_eq!(shown(&next(&mut watch).await), ["1 a: -x", "2 a: y-"]);
    }
}

async fn watch_that_lags_begins_again(store: Store) {
    let db = open(&store).await;
    let mut watch = db.watch_index(BY_LEVEL, .., WatchMode::Exact { buffer: 2 }).unwrap();
    next(&mut watch).await;
    for i in 0..5 {
        put(&db, "a", &i.to_string(), i).await;
    }
    let mut lagged = false;
    loop {
        match within("an item", watch.next()).await.unwrap() {
            Err(Error::Lagged { .. }) => lagged = true,
            Ok(update) if lagged => {
                assert_eq!(
                    (update.kind(), shown(&update)),
                    (ChangeKind::Initial, vec!["4 a: -4".into()])
                );
                return;
            }
            other => assert_eq!(other.unwrap().kind(), ChangeKind::Transaction),
        }
    }
}

// D28
async fn resync_is_given_as_its_difference(store: Store) {
    let gate = Gate::new(&store);
    let db = gate.builder().collection(TANKS).index(BY_LEVEL).connect().await.unwrap();
    put(&db, "a", "x", 1).await;
    put(&db, "b", "x", 2).await;
    put(&db, "c", "x", 3).await;
    let mut watch = db.watch_index(BY_LEVEL, 2.., WatchMode::EXACT).unwrap();
    next(&mut watch).await;
    gate.hold_watches();
    store.delete("/t/tanks/b").await;
    store.put("/t/tanks/a", r#"["y", 5]"#).await;
    let last = store.put("/t/tanks/a", r#"["z", 5]"#).await;
    store.backend.compact(last).await.unwrap();
    gate.cut_watches();
    gate.release_watches();
    let update = next(&mut watch).await;
    assert_eq!(update.kind(), ChangeKind::Resync);
    assert_eq!(shown(&update), ["2 b: x-", "5 a: -z"]);
}

async fn watch_after_a_kept_revision_has_no_gap(store: Store) {
    let builder = store.builder().collection(TANKS).index(BY_LEVEL).history(100);
    let db = builder.connect().await.unwrap();
    put(&db, "a", "x", 1).await;
    let start = db.snapshot().revision();
    put(&db, "b", "outside", 9).await;
    put(&db, "a", "y", 2).await;
    let exact = db.watch_index_from(BY_LEVEL, ..5, WatchMode::EXACT, start);
    let coalesced = db.watch_index_from(BY_LEVEL, ..5, WatchMode::Coalesced, start);
    put(&db, "a", "z", 2).await;
    let mut exact = exact.unwrap();
    assert_eq!(shown(&next(&mut exact).await), ["1 a: x-", "2 a: -y"]);
    assert_eq!(shown(&next(&mut exact).await), ["2 a: y-z"]);
    assert_eq!(shown(&next(&mut coalesced.unwrap()).await), ["1 a: x-", "2 a: -z"]);
}

async fn filter_leaves_out_what_is_not_wanted(store: Store) {
    let db = open(&store).await;
    put(&db, "other", "x", 1).await;
    let watch = db.watch_index(BY_LEVEL, .., WatchMode::EXACT).unwrap();
    let mut watch =
        watch.filter(|change| change.key == "a").filter(|change| change.after.is_some());
    let initial = next(&mut watch).await;
    assert_eq!((initial.kind(), shown(&initial).len()), (ChangeKind::Initial, 0));
    put(&db, "other", "y", 2).await;
    put(&db, "a", "x", 1).await;
    within("commit", db.transact(|txn| txn.delete(TANKS, "a"))).await.unwrap();
    put(&db, "a", "y", 3).await;
    assert_eq!(shown(&next(&mut watch).await), ["1 a: -x"]);
    assert_eq!(shown(&next(&mut watch).await), ["3 a: -y"]);
}

async fn index_and_watch_agree_under_load(store: Store) {
    let db = open(&store).await;
    let mut exact = db.watch_index(BY_LEVEL, 3..7, WatchMode::Exact { buffer: 4_096 }).unwrap();
    let mut coalesced = db.watch_index(BY_LEVEL, 3..7, WatchMode::Coalesced).unwrap();
    let writer = {
        let (db, mut rng) = (db.clone(), fastrand::Rng::with_seed(7));
        tokio::spawn(async move {
            for i in 0..300 {
                let (key, level) = (rng.u8(..20).to_string(), rng.i64(..10));
                match rng.u8(..4) {
                    0 => drop(db.transact(|txn| txn.delete(TANKS, &key)).await.unwrap()),
                    _ => put(&db, &key, &i.to_string(), level).await,
                }
            }
        })
    };
    let mut seen = [std::collections::BTreeMap::new(), std::collections::BTreeMap::new()];
    within("the writes", writer).await.unwrap();
    put(&db, "last", "last", 6).await;
    for (watch, seen) in [&mut exact, &mut coalesced].into_iter().zip(&mut seen) {
        while !seen.contains_key(&(6, "last".to_owned())) {
            for change in next(watch).await.changes() {
                let row = (change.index_key().unwrap(), change.key.to_string());
                let before = match change.after {
                    Some(value) => seen.insert(row, value),
                    None => seen.remove(&row),
                };
                assert_eq!(before, change.before);
            }
        }
    }
    let snapshot = db.snapshot();
    let rows = snapshot.index(BY_LEVEL).unwrap().range(3..7);
    let rows: std::collections::BTreeMap<_, _> =
        rows.map(|item| ((item.index_key().unwrap(), item.key.to_string()), item.value)).collect();
    assert_eq!(seen[0], rows);
    assert_eq!(seen[1], rows);
    until("nothing is left", || db.stats().lagged_watches == 0).await;
}
