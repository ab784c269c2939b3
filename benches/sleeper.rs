//! A coalesced consumer that sleeps while the store is written to, and wakes to the exact
//! difference: the rate that was reached, and what it cost in memory.
//!
//! `cargo bench --bench sleeper --features etcd -- URL RATE SECONDS KEYS`: writes RATE single keys
//! of KEYS a second below `/bench/`, for SECONDS while nobody watches and for as long while the
//! consumer sleeps, and compacts the store once a second. Without arguments: `memory://`, 5,000
//! writes/s, 10 s, 20,000 keys.

#![expect(clippy::expect_used, reason = "a benchmark may end with a message")]

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tailetc::backend::{KvBackend, KvBackendExt, PutRequest};
use tailetc::{Db, RAW, Revision, Snapshot, WatchMode};
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, sleep_until};

/// Writes that are under way at once.
const WRITERS: u64 = 64;

fn main() {
    // `cargo bench` adds `--bench`.
    let mut arguments = std::env::args().skip(1).filter(|argument| !argument.starts_with("--"));
    let url = arguments.next().unwrap_or_else(|| "memory://sleeper".to_owned());
    let mut number =
        |default| arguments.next().map_or(default, |n: String| n.parse().expect("a number"));
    let load = Load { rate: number(5_000), seconds: number(10), keys: number(20_000) };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(run(&url, load));
}

#[derive(Clone, Copy, Debug)]
struct Load {
    rate: u64,
    seconds: u64,
    keys: u64,
}

async fn run(url: &str, load: Load) {
    let db = tailetc::open(url).prefix("/bench/").connect().await.expect("connecting");
    let first = Load { rate: load.keys, seconds: 1, ..load };
    println!("{} keys are written", written(&db, first, "filling").await);
    written(&db, load, "nobody watches").await;

    let mut watch = db.watch(RAW, .., WatchMode::Coalesced).expect("a watch");
    let initial = watch.next().await.expect("an item").expect("the initial state");
    assert_eq!(initial.revision(), db.snapshot().revision());
    drop(initial);
    let before = revisions(&db.snapshot());
    written(&db, load, "the consumer sleeps").await;
    let started = Instant::now();
    let update = watch.next().await.expect("an item").expect("the difference");
    let took = started.elapsed();
    let snapshot = db.snapshot();
    assert_eq!(update.revision(), snapshot.revision());
    assert_exact(&before, &revisions(&snapshot), &update);
    println!("woke to the exact difference of {} keys in {took:.2?}", update.changes().count());
}

/// Everything that a difference must agree with.
fn revisions(snapshot: &Snapshot) -> HashMap<String, Revision> {
    let scan = snapshot.scan(RAW, ..).expect("raw");
    scan.map(|item| (item.key().to_string(), item.metadata().mod_revision)).collect()
}

fn assert_exact(
    before: &HashMap<String, Revision>,
    after: &HashMap<String, Revision>,
    update: &tailetc::Update<tailetc::Raw>,
) {
    let mut found = 0;
    for change in update.changes() {
        let key = change.key().to_string();
        assert_eq!(change.metadata_before().map(|m| m.mod_revision), before.get(&key).copied());
        assert_eq!(change.metadata_after().map(|m| m.mod_revision), after.get(&key).copied());
        found += 1;
    }
    let differs = after.iter().filter(|(key, revision)| before.get(*key) != Some(revision));
    assert_eq!(found, differs.count(), "no key is ever deleted here");
}

/// Puts the load on the store, and returns how many writes it was, all of which `db` shows.
async fn written(db: &Db, load: Load, what: &str) -> u64 {
    let resident_before = resident();
    let started = Instant::now();
    let (writes, next) = (load.rate * load.seconds, Arc::new(AtomicU64::new(0)));
    let mut writers = JoinSet::new();
    for _ in 0..WRITERS {
        let (backend, next) = (Arc::clone(db.backend()), Arc::clone(&next));
        writers.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= writes {
                    return;
                }
                sleep_until(started + Duration::from_secs(1) / load.rate as u32 * number as u32)
                    .await;
                let key = format!("/bench/{:08}", number * 7_919 % load.keys);
                let value = format!("{number:0100}");
                backend.put(PutRequest::new(key, value)).await.expect("a put");
            }
        });
    }
    let compactor = tokio::spawn(compact(db.clone()));
    while let Some(writer) = writers.join_next().await {
        writer.expect("a writer");
    }
    compactor.abort();
    let took = started.elapsed();
    db.fresh().await.expect("catching up");
    println!(
        "{what}: {writes} writes in {took:.2?} ({:.0}/s), resident {} MiB before, {} MiB after",
        writes as f64 / took.as_secs_f64(),
        resident_before >> 10,
        resident() >> 10,
    );
    writes
}

/// Lets go of the store's own history, which in memory is this process's.
async fn compact(db: Db) {
    let mut ticks = interval(Duration::from_secs(1));
    loop {
        ticks.tick().await;
        // The same revision again is refused.
        let _ = db.backend().compact(db.snapshot().revision()).await;
    }
}

/// The memory of this process, in KiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok()).unwrap_or(0)
}
