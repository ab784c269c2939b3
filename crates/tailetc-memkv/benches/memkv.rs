//! What the store takes: time by operation and size, and memory by key and version.
//!
//! `cargo bench -p tailetc-memkv -- [KEYS [VERSIONS [WATCHERS]]]`; the defaults are 1,000,000 keys,
//! 10 versions of each in the end, and 10,000 watchers, which take about 3 GB of memory. Every
//! figure is the mean over a number of operations that the line tells.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a benchmark prints, and ends at what it does not expect"
)]

use std::fmt::Display;
use std::future::Future;
use std::time::Duration;

use tailetc_core::Revision;
use tailetc_core::backend::{
    Compare, DeleteRequest, KeyRange, KvBackend, PutRequest, RangeRequest, RangeResponse,
    SortOrder, SortTarget, TxnRequest, WatchRequest, WatchResponse,
};
use tailetc_memkv::MemKv;
use tokio::runtime::Runtime;
use tokio::time::Instant;

const VALUE_BYTES: usize = 100;

struct Sizes {
    keys: u64,
    versions: u64,
    watchers: u64,
}

fn main() {
    // Cargo passes flags of its own.
    let numbers = std::env::args().skip(1).filter(|arg| !arg.starts_with('-'));
    let mut numbers = numbers.map(|arg| arg.parse().expect("a number"));
    let mut next = |default: u64| numbers.next().unwrap_or(default).max(1);
    let sizes = Sizes { keys: next(1_000_000), versions: next(10), watchers: next(10_000) };
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let Sizes { keys, versions, watchers } = sizes;
    println!("{keys} keys of {VALUE_BYTES} bytes, {versions} versions, {watchers} watchers\n");

    let empty = resident_bytes();
    let store = load(keys);
    let loaded = resident_bytes();
    note("memory by key", bytes_each(loaded - empty, keys));
    let revision = current(&store);
    reads(&runtime, &store, &sizes);
    writes(&runtime, &store, &sizes);
    old_reads(&runtime, &store, &sizes, revision);

    let before = resident_bytes();
    let added = rewrite(&store, &sizes);
    note("memory by further version", bytes_each(resident_bytes() - before, added));
    compaction(&runtime, &store);
    reads_past_deletions(&runtime, &store, &sizes);
    for watchers in [1, 100, watchers] {
        fan_out(&runtime, watchers);
    }
}

/// Keys in an order that is not theirs.
fn load(keys: u64) -> MemKv {
    let store = MemKv::builder().with_quota_backend_bytes(-1).build();
    measure("put of a new key", keys, |i| put(&store, scattered(i, keys)));
    store
}

fn reads(runtime: &Runtime, store: &MemKv, sizes: &Sizes) {
    let keys = sizes.keys;
    let range = |request: RangeRequest| -> RangeResponse {
        run(runtime, store.range(request)).expect("a readable revision")
    };
    measure("range of one key", 200_000, |i| {
        let found = range(RangeRequest::new(KeyRange::key(key(scattered(i, keys)))));
        assert_eq!(found.kvs.len(), 1);
    });
    let span = keys.min(1000);
    let thousand = |i| {
        let start = scattered(i, keys).min(keys - span);
        KeyRange::span(key(start), key(start + span))
    };
    measure("range of 1,000 keys", 2_000, |i| {
        assert_eq!(range(RangeRequest::new(thousand(i))).kvs.len() as u64, span);
    });
    measure("first 10 of all keys, counted", 50_000, |_| {
        let found = range(RangeRequest::new(KeyRange::all()).with_limit(10));
        assert_eq!(found.count as u64, keys);
    });
    measure("count of all keys", 50_000, |_| {
        let found = range(RangeRequest::new(KeyRange::all()).with_count_only());
        assert_eq!(found.count as u64, keys);
    });
    measure("1,000 keys sorted by value", 1_000, |i| {
        let sorted = RangeRequest::new(thousand(i)).with_sort(SortTarget::Value, SortOrder::Ascend);
        assert_eq!(range(sorted).kvs.len() as u64, span);
    });
}

fn writes(runtime: &Runtime, store: &MemKv, sizes: &Sizes) {
    let keys = sizes.keys;
    measure("put of an old key", 200_000, |i| put(store, scattered(i, keys)));
    measure("guarded transaction of one put", 100_000, |i| {
        let key = key(scattered(i, keys));
        let put = PutRequest::new(key.clone(), value());
        let absent = Compare::mod_revision(key, Revision::ZERO);
        let request = TxnRequest::default().when([absent]).otherwise([put.into()]);
        assert!(!run(runtime, store.txn(request)).expect("a transaction").succeeded);
    });
    measure("deletion and creation of a key", 50_000, |i| {
        let index = scattered(i, keys);
        let delete = DeleteRequest::new(KeyRange::key(key(index)));
        let (_, deleted) = store.plain_delete(&delete).expect("a deletion");
        assert_eq!(deleted.deleted, 1);
        put(store, index);
    });
}

fn old_reads(runtime: &Runtime, store: &MemKv, sizes: &Sizes, loaded: Revision) {
    let keys = sizes.keys;
    let range = |request: RangeRequest| -> RangeResponse {
        run(runtime, store.range(request)).expect("a readable revision")
    };
    let just_now = Revision::new(current(store).get() - 100);
    // The first revision with a key is 2.
    let few = keys.min(20);
    let early = Revision::new(1 + few as i64);
    for (when, revision, existed) in
        [("a while ago", loaded, keys), ("just now", just_now, keys), ("early on", early, few)]
    {
        let all = RangeRequest::new(KeyRange::all()).with_revision(revision);
        measure(&format!("first 10 of all keys, {when}"), 5_000, |_| {
            let found = range(all.clone().with_limit(10));
            assert_eq!(found.kvs.len() as u64, existed.min(10));
        });
        measure(&format!("count of all keys, {when}"), 5_000, |_| {
            let found = range(all.clone().with_count_only());
            assert!(found.count as u64 == existed || found.count as u64 == existed - 1);
        });
    }
    measure("first 10 from any key, at any revision", 20_000, |i| {
        let request = RangeRequest::new(KeyRange::from_key(key(scattered(i, keys)))).with_limit(10);
        range(request.with_revision(any_revision(i, current(store))));
    });
    measure("count of any range, at any revision", 20_000, |i| {
        let (a, b) = (scattered(i, keys), scattered(i + keys / 2, keys));
        let request = RangeRequest::new(KeyRange::span(key(a.min(b)), key(a.max(b) + 1)));
        range(request.with_count_only().with_revision(any_revision(i, current(store))));
    });
}

fn any_revision(i: u64, current: Revision) -> Revision {
    let revisions = current.get().unsigned_abs();
    Revision::new(1 + scattered(i.wrapping_mul(31), revisions) as i64)
}

/// What lies behind many keys that were deleted.
fn reads_past_deletions(runtime: &Runtime, store: &MemKv, sizes: &Sizes) {
    let (before, left) = (current(store), sizes.keys.min(10));
    measure("deletion of all keys but the last 10", 1, |_| {
        let range = KeyRange::span(key(0), key(sizes.keys - left));
        store.plain_delete(&DeleteRequest::new(range)).expect("a deletion");
    });
    let deleted = current(store);
    (0..100).for_each(|_| put(store, sizes.keys - 1));
    for (when, revision) in [("before it", before), ("after it", deleted), ("now", Revision::ZERO)]
    {
        let request = RangeRequest::new(KeyRange::all()).with_limit(10).with_revision(revision);
        measure(&format!("  first 10 of all keys, {when}"), 5_000, |_| {
            let found = run(runtime, store.range(request.clone())).expect("a readable revision");
            assert_eq!(found.kvs.len() as u64, left);
        });
    }
}

/// Gives every key further versions, and returns how many there are of them.
fn rewrite(store: &MemKv, sizes: &Sizes) -> u64 {
    let added = sizes.keys * (sizes.versions - 1);
    measure("put of a further version", added, |i| put(store, scattered(i, sizes.keys)));
    added.max(1)
}

fn compaction(runtime: &Runtime, store: &MemKv) {
    let before = resident_bytes();
    let (all, revision) = (store.full_status().db_size_in_use, current(store));
    let start = Instant::now();
    run(runtime, store.compact(revision)).expect("a compaction");
    note("compaction of all versions but the last", format!("{:.2?} in all", start.elapsed()));
    let left = store.full_status().db_size_in_use;
    let freed = (before - resident_bytes()) >> 20;
    note("  of so many bytes as records", format!("{all}, now {left}; {freed} MiB given back"));
}

/// A put that concerns one of many watchers, and its arrival there.
fn fan_out(runtime: &Runtime, watchers: u64) {
    let store = MemKv::new();
    let open = |i| {
        let request = WatchRequest::new(KeyRange::key(key(i)), Revision::ZERO);
        run(runtime, store.watch(request)).expect("a watch")
    };
    let mut open: Vec<_> = (0..watchers).map(open).collect();
    measure(&format!("put that concerns 1 of {watchers} watchers"), 50_000, |i| {
        let index = scattered(i, watchers);
        put(&store, index);
        let watcher = &mut open[index as usize];
        let response = run(runtime, watcher.next()).expect("an event");
        assert!(matches!(response, WatchResponse::Events { .. }));
    });
}

fn put(store: &MemKv, index: u64) {
    store.plain_put(&PutRequest::new(key(index), value())).expect("a put");
}

fn key(index: u64) -> String {
    format!("/registry/things/{index:012}")
}

fn value() -> Vec<u8> {
    vec![b'v'; VALUE_BYTES]
}

/// Every number below `count` once, while `i` counts up to it, in another order.
fn scattered(i: u64, count: u64) -> u64 {
    // A prime that divides no count which a machine has memory for.
    const STEP: u64 = 18_446_744_073_709_551_557;
    (u128::from(i % count) * u128::from(STEP) % u128::from(count)) as u64
}

fn current(store: &MemKv) -> Revision {
    store.full_status().header.revision
}

fn run<T>(runtime: &Runtime, future: impl Future<Output = T>) -> T {
    runtime.block_on(tokio::task::coop::unconstrained(future))
}

fn measure(name: &str, count: u64, mut operation: impl FnMut(u64)) {
    let start = Instant::now();
    (0..count).for_each(&mut operation);
    let took = start.elapsed();
    let each = Duration::from_secs_f64(took.as_secs_f64() / count.max(1) as f64);
    let rate = count as f64 / took.as_secs_f64().max(f64::MIN_POSITIVE);
    note(name, format!("{each:>10.2?} each, {rate:>9.0}/s ({count} of them)"));
}

fn note(name: &str, figure: impl Display) {
    println!("{name:<40} {figure}");
}

fn bytes_each(bytes: i64, count: u64) -> String {
    format!("{} bytes", bytes / count.max(1) as i64)
}

/// What the process has in memory.
fn resident_bytes() -> i64 {
    const PAGE: i64 = 4096;
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split_whitespace().nth(1).and_then(|pages| pages.parse().ok());
    pages.unwrap_or(0) * PAGE
}
