//! Random programs over random sets of indexes: after each revision, every index shows what a naive
//! rebuild of it shows.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test ends at the first thing that is not as expected"
)]

mod support;

use std::fmt::Debug;
use std::ops::Bound;

use fastrand::Rng;
use serde::{Deserialize, Serialize};
use support::{Gate, Store, until, within};
use tailetc::backend::{DeleteRequest, KeyRange, KvBackend as _, PutRequest, TxnOp, TxnRequest};
use tailetc::{
    Builder, Collection, Db, DecodePolicy, Index, IndexKey, Json, Key, KeyRef, Snapshot, Txn,
};

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Part {
    name: String,
    size: i8,
    tags: Vec<String>,
    owner: Option<u8>,
}

const PARTS: Collection<Json<Part>> = Collection::new("parts/");

/// Declares an index together with its naive twin: a function from an entry to index keys.
macro_rules! index {
    ($name:ident: $key:ty, $twin:ident, |$of:ident, $part:ident| $keys:expr) => {
        fn $twin($of: KeyRef<'_>, $part: &Part) -> Option<Vec<$key>> {
            $keys
        }

        const $name: Index<Json<Part>, $key> =
            PARTS.index(stringify!($name), |key, part, keys| match $twin(key, part) {
                Some(found) => keys.extend(&found),
                None => keys.fail("not for this one"),
            });
    };
}

index!(NAME: String, names, |_key, part| Some(vec![part.name.clone()]));
index!(SIZE: i8, sizes, |_key, part| (part.size >= 0).then(|| vec![part.size]));
index!(TAG: String, tags, |_key, part| Some(part.tags.clone()));
index!(OWNER: (Option<u8>, i8), owners, |_key, part| Some(vec![(part.owner, part.size)]));
index!(SELF: Key, selves, |key, part| {
    Some(part.owner.map(|_| Key::from(key)).into_iter().collect())
});

on_every_backend! {
    indexes_equal_a_naive_rebuild_after_every_revision,
}

/// Which of the five indexes are declared, by bits.
type Schema = u8;

fn declare(mut builder: Builder, schema: Schema) -> Builder {
    builder = builder.collection(PARTS).history(10_000);
    if schema & 1 != 0 {
        builder = builder.index(NAME);
    }
    if schema & 2 != 0 {
        builder = builder.index(SIZE);
    }
    if schema & 4 != 0 {
        builder = builder.index(TAG);
    }
    if schema & 8 != 0 {
        builder = builder.index(OWNER);
    }
    if schema & 16 != 0 {
        builder = builder.index(SELF);
    }
    builder
}

fn check(snapshot: &Snapshot, schema: Schema, rng: &mut Rng) {
    if schema & 1 != 0 {
        check_one(snapshot, NAME, names, rng);
    }
    if schema & 2 != 0 {
        check_one(snapshot, SIZE, sizes, rng);
    }
    if schema & 4 != 0 {
        check_one(snapshot, TAG, tags, rng);
    }
    if schema & 8 != 0 {
        check_one(snapshot, OWNER, owners, rng);
    }
    if schema & 16 != 0 {
        check_one(snapshot, SELF, selves, rng);
    }
}

fn check_one<K: IndexKey + Ord + Clone + Debug>(
    snapshot: &Snapshot,
    index: Index<Json<Part>, K>,
    twin: fn(KeyRef<'_>, &Part) -> Option<Vec<K>>,
    rng: &mut Rng,
) {
    let mut expected = Vec::new();
    let mut unplaced = 0;
    for item in snapshot.scan(PARTS, ..).unwrap() {
        match item.value().ok().and_then(|part| twin(item.key(), &part)) {
            Some(keys) => expected.extend(keys.into_iter().map(|key| (key, item.key()))),
            None => unplaced += 1,
        }
    }
    expected.sort();
    expected.dedup();
    let view = snapshot.index(index).unwrap();
    let found: Vec<_> = view.range(..).map(|item| (item.index_key().unwrap(), item.key)).collect();
    assert_eq!(found, expected, "{index:?} at {}", snapshot.revision());
    assert_eq!(view.unplaced().count(), unplaced);
    assert!(view.range(..).all(|item| {
        let cached = snapshot.get(PARTS, item.key).unwrap().unwrap();
        std::sync::Arc::ptr_eq(&cached, &item.value)
    }));
    if expected.is_empty() {
        return;
    }
    let (low, high) = (rng.usize(..expected.len()), rng.usize(..expected.len()));
    let (low, high) = (&expected[low].0, &expected[high].0);
    let bounds = (Bound::Excluded(low), Bound::Included(high));
    let within = |key: &K| key > low && key <= high;
    let ranged = view.range(bounds).map(|item| item.key).collect::<Vec<_>>();
    let naive: Vec<_> = expected.iter().filter(|(k, _)| within(k)).map(|(_, key)| *key).collect();
    assert_eq!(ranged, naive, "{index:?}: {bounds:?}");
    let one: Vec<_> = view.get(low).rev().map(|item| item.key).collect();
    let naive: Vec<_> =
        expected.iter().rev().filter(|(k, _)| k == low).map(|(_, key)| *key).collect();
    assert_eq!(one, naive, "{index:?}: {low:?}");
}

fn part(rng: &mut Rng) -> Part {
    let word = |rng: &mut Rng| rng.choice(["", "a", "a\0", "b", "ab"]).unwrap_or_default().into();
    Part {
        name: word(rng),
        size: rng.i8(-2..4),
        tags: (0..rng.usize(..4)).map(|_| word(rng)).collect(),
        owner: rng.bool().then(|| rng.u8(..3)),
    }
}

fn key(rng: &mut Rng) -> String {
    ["a", "a/b", "b", "c", "d", "e", "f", "g"][rng.usize(..8)].to_owned()
}

/// What a transaction reads through indexes is what it will have written.
fn check_overlay(txn: &mut Txn, schema: Schema) {
    if schema & 4 == 0 {
        return;
    }
    let mut naive = Vec::new();
    // A conflict with what came meanwhile, which the transaction will be run again for.
    let Ok(parts) = txn.range(PARTS, ..) else { return };
    for (key, part) in parts {
        naive.extend(part.tags.iter().map(|tag| (tag.clone(), key.clone())));
    }
    naive.sort();
    naive.dedup();
    let found = match txn.index_range(TAG, ..) {
        Err(error) if error.is_conflict() => return,
        found => found.unwrap(),
    };
    let found: Vec<_> = found.into_iter().map(|(key, _)| key).collect();
    assert_eq!(found, naive.into_iter().map(|(_, key)| key).collect::<Vec<_>>());
}

async fn own(db: &Db, schema: Schema, rng: &mut Rng) {
    let seed = rng.u64(..);
    let body = |txn: &mut Txn| {
        let mut rng = Rng::with_seed(seed);
        for _ in 0..rng.usize(1..4) {
            match rng.bool() {
                true => txn.put(PARTS, key(&mut rng), part(&mut rng))?,
                false => txn.delete(PARTS, key(&mut rng))?,
            }
        }
        let snapshot = txn.snapshot();
        if snapshot.quarantined().next().is_none() {
            check_overlay(txn, schema);
        }
        Ok::<_, tailetc::Error>(())
    };
    within("commit", db.transact(body)).await.unwrap();
}

/// A transaction of another program, with values that do not decode, and keys that are deleted and
/// put in one transaction.
async fn foreign(store: &Store, rng: &mut Rng) {
    let mut keys: Vec<_> = (0..rng.usize(1..4)).map(|_| key(rng)).collect();
    keys.sort();
    keys.dedup();
    let mut ops: Vec<TxnOp> = Vec::new();
    for key in keys {
        let key = format!("/t/parts/{key}");
        let value = match rng.u8(..4) {
            0 => "{".to_owned(),
            _ => serde_json::to_string(&part(rng)).unwrap(),
        };
        match rng.u8(..3) {
            0 => ops.push(DeleteRequest::new(KeyRange::key(key)).into()),
            _ => ops.push(PutRequest::new(key, value).into()),
        }
    }
    store.backend.txn(TxnRequest::new(ops)).await.expect("foreign transaction");
}

async fn program(store: &Store, seed: u64) {
    let mut rng = Rng::with_seed(seed);
    let schema = rng.u8(1..32);
    let policy = if rng.bool() { DecodePolicy::KeepPrevious } else { DecodePolicy::Quarantine };
    let gate = Gate::new(store);
    let builder = declare(gate.builder(), schema).decode_policy(PARTS, policy);
    let db = within("connecting", builder.connect()).await.unwrap();
    let first = db.snapshot().revision();
    for _ in 0..30 {
        match rng.u8(..8) {
            0..=3 => own(&db, schema, &mut rng).await,
            4..=6 => foreign(store, &mut rng).await,
            _ => {
                gate.hold_watches();
                foreign(store, &mut rng).await;
                foreign(store, &mut rng).await;
                let last = within("fresh", store.db()).await.snapshot().revision();
                if rng.bool() {
                    // Refused if nothing has happened since the compaction before.
                    let _ = store.backend.compact(last).await;
                }
                gate.cut_watches();
                gate.release_watches();
                until("the reconnection", || db.snapshot().revision() >= last).await;
            }
        }
    }
    let last = within("fresh", db.fresh()).await.unwrap().revision();
    let mut revision = first;
    while revision <= last {
        // Those before a resync are not kept.
        if let Ok(snapshot) = db.snapshot_at(revision) {
            check(&snapshot, schema, &mut rng);
        }
        revision = revision.next();
    }
    let loaded = declare(store.builder(), schema).connect();
    let loaded = within("connecting", loaded).await.unwrap().snapshot();
    if policy == DecodePolicy::Quarantine {
        check(&loaded, schema, &mut rng);
        assert_eq!(loaded.revision(), last);
    }
}

/// `TAILETC_INDEX_SEED=x` runs one seed, `TAILETC_INDEX_SEEDS=n` the first n.
async fn indexes_equal_a_naive_rebuild_after_every_revision(store: Store) {
    let number = |name| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let seeds = match number("TAILETC_INDEX_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("TAILETC_INDEX_SEEDS").unwrap_or(30),
    };
    for seed in seeds {
        println!("TAILETC_INDEX_SEED={seed} cargo test -p tailetc --test index_properties");
        program(&store, seed).await;
    }
}
