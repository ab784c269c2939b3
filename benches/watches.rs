//! What watches cost the applier: a commit of one key beside exact watches on other prefixes, whose
//! data it does not change. And what the difference of two snapshots costs.
//!
//! `cargo bench --bench watches`

#![expect(clippy::expect_used, reason = "a benchmark may end with a message")]

use std::hint::black_box;

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use tailetc::backend::{KvBackend, PutRequest, TxnRequest};
use tailetc::memkv::MemKv;
use tailetc::{Db, Prefix, RAW, Snapshot, WatchMode};
use tokio::runtime::Runtime;

const WATCHES: [usize; 4] = [0, 10, 1_000, 10_000];
const KEYS: usize = 1_000_000;
const CHANGED: [usize; 4] = [0, 1, 100, 10_000];

async fn put(db: &Db, key: &str) {
    let put = db.transact(|txn| txn.put(RAW, key, Bytes::new()));
    put.await.expect("a commit");
}

fn apply_beside_watches(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let mut group = criterion.benchmark_group("commit beside watches");
    for watches in WATCHES {
        let db = runtime.block_on(Db::builder(MemKv::new()).connect()).expect("a Db");
        let watch = |i| db.watch(RAW, Prefix(format!("other/{i}/")), WatchMode::EXACT);
        let kept: Vec<_> = (0..watches).map(|i| watch(i).expect("a watch")).collect();
        group.bench_function(BenchmarkId::from_parameter(watches), |b| {
            b.iter(|| runtime.block_on(put(&db, "written")));
        });
        drop(kept);
    }
    group.finish();
}

async fn filled() -> Db {
    let store = MemKv::new();
    for chunk in (0..KEYS).collect::<Vec<_>>().chunks(128) {
        let puts = chunk.iter().map(|i| PutRequest::new(format!("/{i:07}"), "value").into());
        store.txn(TxnRequest::new(puts)).await.expect("filling the store");
    }
    Db::builder(store).connect().await.expect("loading")
}

/// A snapshot in which so many keys, far from each other, are written that `db` did not show.
async fn changed(db: &Db, keys: usize) -> Snapshot {
    for i in 0..keys {
        put(db, &format!("{:07}", i * (KEYS / keys))).await;
    }
    db.snapshot()
}

fn difference(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let db = runtime.block_on(filled());
    let mut group = criterion.benchmark_group("difference of two snapshots of 1,000,000 keys");
    for keys in CHANGED {
        let before = db.snapshot();
        let after = runtime.block_on(changed(&db, keys));
        group.bench_function(BenchmarkId::from_parameter(keys), |b| {
            b.iter(|| black_box(before.diff(&after).expect("of one Db").len()));
        });
    }
    group.finish();
}

criterion_group!(benches, apply_beside_watches, difference);
criterion_main!(benches);
