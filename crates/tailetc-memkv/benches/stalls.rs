//! How long a put waits for the one great thing that another task does at the same time.
//!
//! `cargo bench -p tailetc-memkv --bench stalls -- [KEYS [CASE]]`; the default is 500,000 keys, and
//! every case whose name contains `CASE`. A line tells how long the great thing took, how many puts
//! of other keys went through meanwhile, and how long they took from one to the next.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a benchmark prints, and ends at what it does not expect"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tailetc_core::backend::{
    DeleteRequest, KeyRange, KvBackend, PutRequest, TxnRequest, TxnResponse, WatchRequest,
    WatchResponse,
};
use tailetc_core::{LeaseId, Revision};
use tailetc_memkv::{ManualClock, MemKv};
use tokio::runtime::{Builder, Runtime};
use tokio::time::Instant;

const LEASE: LeaseId = LeaseId::new(7);
/// How many keys are put over and over.
const OTHERS: usize = 1000;

const TTL_SECONDS: i64 = 1000;

#[derive(Clone, Copy)]
enum Great {
    CompactOverwritten,
    CompactDeleted,
    Delete,
    DeleteWithPairs,
    DeleteWatched,
    Revoke,
    RevokeEverySecondKey,
    Expire,
}

#[expect(dead_code, reason = "it is only kept")]
enum Answer {
    Small,
    Txn(TxnResponse),
    Watch(WatchResponse),
}

const CASES: [(&str, Great); 8] = [
    ("compaction, every key put again", Great::CompactOverwritten),
    ("compaction, every key deleted", Great::CompactDeleted),
    ("one DeleteRange", Great::Delete),
    ("one DeleteRange with pairs", Great::DeleteWithPairs),
    ("one DeleteRange that is watched", Great::DeleteWatched),
    ("revocation of one lease", Great::Revoke),
    ("revocation, every second key", Great::RevokeEverySecondKey),
    ("expiry of one lease", Great::Expire),
];

fn main() {
    // Cargo passes flags of its own.
    let mut args = std::env::args().skip(1).filter(|arg| !arg.starts_with('-'));
    let keys = args.next().map_or(500_000, |arg| arg.parse().expect("a number"));
    let wanted = args.next().unwrap_or_default();
    println!("{keys} keys\n");
    for (name, great) in CASES.into_iter().filter(|(name, _)| name.contains(&wanted)) {
        for (kind, runtime) in [
            ("2 threads", Builder::new_multi_thread().worker_threads(2).enable_time().build()),
            ("1 thread", Builder::new_current_thread().enable_time().build()),
        ] {
            run(&format!("{name}, {kind}"), great, keys, &runtime.expect("a runtime"));
        }
    }
}

fn run(name: &str, great: Great, keys: u64, runtime: &Runtime) {
    let clock = ManualClock::new();
    let store = MemKv::builder().with_quota_backend_bytes(-1).with_clock(clock.clone()).build();
    runtime.block_on(prepare(&store, great, keys));
    let done = Arc::new(AtomicBool::new(false));
    let (took, mut waits) = runtime.block_on(async {
        let puts = tokio::spawn(puts(store.clone(), Arc::clone(&done)));
        // The puts go on for a while before and after.
        pause().await;
        let other = store.clone();
        let start = Instant::now();
        let what = tokio::spawn(async move { what_is_great(&other, &clock, great).await });
        // To free half a million pairs is not the store's.
        let _answer = what.await.expect("no panic");
        let took = start.elapsed();
        pause().await;
        done.store(true, Ordering::Relaxed);
        (took, puts.await.expect("no panic"))
    });
    waits.sort_unstable();
    let worst = waits.last().copied().unwrap_or_default();
    let p999 = waits.get(waits.len() * 999 / 1000).copied().unwrap_or_default();
    let count = waits.len();
    println!("{name:<45} {took:>9.2?}; {count:>7} puts, p99.9 {p999:>9.2?}, worst {worst:>9.2?}");
}

async fn prepare(store: &MemKv, great: Great, keys: u64) {
    // So that those who put meanwhile cut no nodes.
    (0..OTHERS).for_each(|i| put_other(store, i));
    store.lease_grant(LEASE, TTL_SECONDS).await.expect("a lease");
    for i in 0..keys {
        let lease = match great {
            Great::Revoke | Great::Expire => LEASE,
            Great::RevokeEverySecondKey if i % 2 == 0 => LEASE,
            _ => LeaseId::NONE,
        };
        let put = PutRequest::new(key(i), vec![b'v'; 100]).with_lease(lease);
        store.plain_put(&put).expect("a put");
    }
    match great {
        Great::CompactOverwritten => {
            for i in 0..keys {
                store.plain_put(&PutRequest::new(key(i), "again")).expect("a put");
            }
        }
        Great::CompactDeleted => {
            for i in 0..keys {
                let delete = DeleteRequest::new(KeyRange::key(key(i)));
                store.plain_delete(&delete).expect("a deletion");
            }
        }
        _ => {}
    }
}

async fn what_is_great(store: &MemKv, clock: &ManualClock, great: Great) -> Answer {
    let delete = || DeleteRequest::new(KeyRange::prefix("/registry/"));
    match great {
        Great::CompactOverwritten | Great::CompactDeleted => {
            let revision = store.full_status().header.revision;
            store.compact(revision).await.expect("a compaction");
        }
        Great::Delete => {
            store.txn(TxnRequest::new([delete().into()])).await.expect("a deletion");
        }
        Great::DeleteWithPairs => {
            let delete = TxnRequest::new([delete().with_prev_kv().into()]);
            return Answer::Txn(store.txn(delete).await.expect("a deletion"));
        }
        Great::DeleteWatched => {
            let range = KeyRange::prefix("/registry/");
            let watch = WatchRequest::new(range, Revision::ZERO);
            let mut watcher = store.watch(watch).await.expect("a watch");
            store.txn(TxnRequest::new([delete().into()])).await.expect("a deletion");
            return Answer::Watch(watcher.next().await.expect("events"));
        }
        Great::Revoke | Great::RevokeEverySecondKey => {
            store.lease_revoke(LEASE).await.expect("a revocation");
        }
        Great::Expire => {
            clock.advance(Duration::from_secs(TTL_SECONDS as u64));
            store.status().await.expect("a status");
            pause().await;
        }
    }
    Answer::Small
}

/// Puts, over and over, of keys that nothing else is about, and how long each took since the one
/// before.
async fn puts(store: MemKv, done: Arc<AtomicBool>) -> Vec<Duration> {
    let mut waits = Vec::with_capacity(1 << 20);
    let mut before = Instant::now();
    while !done.load(Ordering::Relaxed) {
        let put = PutRequest::new(other(waits.len()), "v");
        store.txn(TxnRequest::new([put.into()])).await.expect("a put");
        tokio::task::yield_now().await;
        let now = Instant::now();
        waits.push(now - before);
        before = now;
    }
    waits
}

async fn pause() {
    tokio::time::sleep(Duration::from_millis(200)).await;
}

fn put_other(store: &MemKv, index: usize) {
    store.plain_put(&PutRequest::new(other(index), "v")).expect("a put");
}

fn other(index: usize) -> String {
    format!("/other/{:04}", index % OTHERS)
}

fn key(index: u64) -> String {
    format!("/registry/things/{index:012}")
}
