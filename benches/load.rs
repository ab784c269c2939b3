//! How long the first load takes, and how much memory the copy takes; the same for loading anew
//! when ten keys have changed.
//!
//! `cargo bench --bench load --features etcd -- URL KEYS`: writes KEYS small JSON records below
//! `/bench/` of the store, if they are not there yet, and loads them three times. Then three times
//! a copy is cut off, ten records are written again, and the history up to them is compacted.
//! Without arguments: `memory://`, 100,000 keys.

#![expect(clippy::expect_used, reason = "a benchmark may end with a message")]

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tailetc::backend::{KeyRange, KvBackend, PutRequest, RangeRequest, TxnOp, TxnRequest};
use tailetc::{ChangeKind, Collection, Db, Json};
use tailetc_testkit::faulty::{Cluster, FaultPlan};
use tokio::task::JoinSet;
use tokio::time::Instant;

#[derive(Debug, Serialize, Deserialize)]
struct Record {
    id: u64,
    name: String,
    zone: String,
}

const RECORDS: Collection<Json<Record>> = Collection::new("records/");

fn main() {
    // `cargo bench` adds `--bench`.
    let mut arguments = std::env::args().skip(1).filter(|argument| !argument.starts_with("--"));
    let url = arguments.next().unwrap_or_else(|| "memory://load".to_owned());
    let keys = arguments.next().map_or(100_000, |keys| keys.parse().expect("a number of keys"));
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(run(&url, keys));
}

async fn run(url: &str, keys: u64) {
    fill(url, keys).await;
    for round in 1..=3 {
        let before = resident();
        let started = Instant::now();
        let connect = tailetc::open(url).prefix("/bench/").collection(RECORDS).connect();
        let db = connect.await.expect("loading");
        let took = started.elapsed();
        let used = resident().saturating_sub(before);
        let len = db.snapshot().len();
        println!(
            "load {round}: {len} keys in {took:.2?} ({:.0} keys/s), {} MiB more resident, {} MiB peak",
            per_second(len, took),
            used >> 10,
            peak() >> 10,
        );
    }
    for round in 1..=3 {
        resync(url, round).await;
    }
}

async fn resync(url: &str, round: u32) {
    let direct = tailetc::open(url).prefix("/bench-backend/").connect().await.expect("connecting");
    let direct = direct.backend();
    let client = Cluster::new(direct.clone()).client(FaultPlan::none());
    let connect = Db::builder(client.clone()).prefix("/bench/").collection(RECORDS).connect();
    let db = connect.await.expect("loading");
    let (told, changes) = std::sync::mpsc::channel();
    let observer = db.observe(move |set| {
        let _ = told.send((set.kind(), set.len()));
    });
    let _observer = observer.expect("observing");
    changes.recv().expect("the present state");

    client.disconnect();
    let puts = (0..10).map(|id| put(id * 997).into());
    direct.txn(TxnRequest::new(puts)).await.expect("writing");
    // At the compaction's own revision a watch could still go on.
    let later = TxnRequest::new([PutRequest::new("/bench-backend/later", "").into()]);
    let later = direct.txn(later).await.expect("writing");
    direct.compact(later.header.revision).await.expect("compacting");
    let before = resident();
    // Makes the peak begin anew, where the system can.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
    let started = Instant::now();
    client.reconnect();
    while db.stats().resyncs == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let took = started.elapsed();
    let (kind, changed) = changes.recv().expect("the difference");
    assert_eq!((kind, changed), (ChangeKind::Resync, 10));
    println!(
        "resync {round}: {changed} changes of {} keys in {took:.2?}, {} MiB more at its peak",
        db.snapshot().len(),
        peak().saturating_sub(before) >> 10,
    );
}

/// Writes the records that are missing.
async fn fill(url: &str, keys: u64) {
    // An empty prefix: counting must not load what is to be measured.
    let db = tailetc::open(url).prefix("/bench-backend/").connect().await.expect("connecting");
    let count = RangeRequest::new(KeyRange::prefix("/bench/records/")).with_count_only();
    let count = db.backend().range(count).await.expect("counting").count;
    let present = u64::try_from(count).expect("a count");
    if present >= keys {
        return;
    }
    let started = Instant::now();
    let mut writers = JoinSet::new();
    let numbers: Vec<u64> = (present..keys).collect();
    for chunk in numbers.chunks(128) {
        if writers.len() == 32 {
            writers.join_next().await;
        }
        let puts: Vec<TxnOp> = chunk.iter().map(|id| put(*id).into()).collect();
        let backend = db.backend().clone();
        writers.spawn(async move { backend.txn(TxnRequest::new(puts)).await.expect("writing") });
    }
    while writers.join_next().await.is_some() {}
    let missing = (keys - present) as usize;
    println!("wrote {missing} keys: {:.0} keys/s", per_second(missing, started.elapsed()));
}

fn put(id: u64) -> PutRequest {
    let zone = format!("zone-{}", id % 7);
    let record = Record { id, name: format!("record number {id}"), zone };
    let value = serde_json::to_vec(&record).expect("encoding");
    PutRequest::new(format!("/bench/records/{id:09}"), Bytes::from(value))
}

fn per_second(count: usize, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64()
}

/// The resident memory of this process in KiB; 0 where the system does not say.
fn resident() -> u64 {
    status("VmRSS:")
}

fn peak() -> u64 {
    status("VmHWM:")
}

fn status(field: &str) -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(field));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}
