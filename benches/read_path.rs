//! What reading costs, beside the standard library's maps with the same keys and `Arc` values.
//!
//! `cargo bench --bench read_path`

#![expect(clippy::expect_used, reason = "a benchmark may end with a message")]

use std::collections::{BTreeMap, HashMap};
use std::hint::black_box;
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use tailetc::backend::{KvBackend, PutRequest, TxnRequest};
use tailetc::memkv::MemKv;
use tailetc::{Db, RAW};

const SIZES: [usize; 3] = [1_000, 100_000, 1_000_000];
const RANGE: usize = 1_000;

fn key(i: usize) -> String {
    // Spread over the key space, so that neighbours in insertion order are not in key order.
    format!("{:016x}", (i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

async fn filled(size: usize) -> Db {
    let store = MemKv::new();
    for chunk in (0..size).collect::<Vec<_>>().chunks(128) {
        let puts = chunk.iter().map(|i| PutRequest::new(format!("/{}", key(*i)), "value").into());
        store.txn(TxnRequest::new(puts)).await.expect("filling the store");
    }
    Db::builder(store).connect().await.expect("loading")
}

fn read_path(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    for size in SIZES {
        let db = runtime.block_on(filled(size));
        bench_size(criterion, &db, size);
    }
}

fn bench_size(criterion: &mut Criterion, db: &Db, size: usize) {
    let snapshot = db.snapshot();
    let entries = || snapshot.range(RAW, ..).expect("raw").map(|(k, v)| (k.to_string(), v));
    let hash: HashMap<String, Arc<Bytes>> = entries().collect();
    let tree: BTreeMap<String, Arc<Bytes>> = entries().collect();
    let keys: Vec<String> = (0..size).map(key).collect();
    let mut chance = fastrand::Rng::with_seed(1);
    let mut any = || keys[chance.usize(..size)].as_str();

    let mut point = criterion.benchmark_group("point");
    point.bench_function(BenchmarkId::new("HashMap", size), |b| {
        b.iter(|| black_box(hash.get(any()).map(Arc::clone)));
    });
    point.bench_function(BenchmarkId::new("Db::get", size), |b| {
        b.iter(|| black_box(db.get(RAW, any())));
    });
    point.bench_function(BenchmarkId::new("Db::peek", size), |b| {
        b.iter(|| black_box(db.peek(RAW, any(), Bytes::len)));
    });
    point.bench_function(BenchmarkId::new("Snapshot::get", size), |b| {
        b.iter(|| black_box(snapshot.get(RAW, any())));
    });
    point.finish();

    let mut range = criterion.benchmark_group("range");
    range.throughput(Throughput::Elements(RANGE as u64));
    range.bench_function(BenchmarkId::new("BTreeMap", size), |b| {
        b.iter(|| {
            let from = tree.range::<str, _>((Bound::Included(any()), Bound::Unbounded)).take(RANGE);
            black_box(from.map(|(_, value)| Arc::clone(value)).map(|v| v.len()).sum::<usize>())
        });
    });
    range.bench_function(BenchmarkId::new("Snapshot::range", size), |b| {
        b.iter(|| {
            let from = snapshot.range(RAW, any()..).expect("raw").take(RANGE);
            black_box(from.map(|(_, value)| value.len()).sum::<usize>())
        });
    });
    range.finish();

    criterion.bench_function(&format!("snapshot/{size}"), |b| b.iter(|| black_box(db.snapshot())));
}

criterion_group!(benches, read_path);
criterion_main!(benches);
