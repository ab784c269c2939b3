//! What three indexes cost: in the time of the first load, in memory, and in the rate at which a
//! backlog is applied.
//!
//! `cargo bench --bench indexes --features etcd -- URL KEYS UPDATES`: writes KEYS small JSON records
//! below `/bench-indexes/`, if they are not there yet, loads them without and with three indexes,
//! each time in a process of its own, then cuts the copy off, writes UPDATES records again, half of
//! them with other index keys, and lets the copy catch up. Without arguments: `memory://`, 100,000
//! keys, 20,000 updates. A long backlog is best taken from memory: an etcd server reads it anew for
//! each part that it sends.

#![expect(clippy::expect_used, reason = "a benchmark may end with a message")]

use std::process::Command;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tailetc::backend::{
    KeyRange, KvBackend, KvBackendExt, PutRequest, RangeRequest, TxnOp, TxnRequest,
};
use tailetc::{Collection, Db, Index, Json};
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
const BY_ZONE: Index<Json<Record>, String> =
    RECORDS.index("zone", |_, record, keys| keys.add(&record.zone));
const BY_NAME: Index<Json<Record>, String> =
    RECORDS.index("name", |_, record, keys| keys.add(&record.name));
const BY_ID: Index<Json<Record>, u64> = RECORDS.index("id", |_, record, keys| keys.add(record.id));

const PREFIX: &str = "/bench-indexes/";

fn main() {
    // `cargo bench` adds `--bench`.
    let arguments = std::env::args().skip(1).filter(|argument| !argument.starts_with("--"));
    let arguments: Vec<_> = arguments.collect();
    let text = |at: usize, default: &str| {
        arguments.get(at).map_or_else(|| default.to_owned(), String::clone)
    };
    let number = |at, default| text(at, default).parse::<u64>().expect("a number");
    let (url, keys, updates) =
        (text(0, "memory://indexes"), number(1, "100000"), number(2, "20000"));
    match arguments.get(3) {
        Some(indexes) => {
            let runtime = tokio::runtime::Runtime::new().expect("a runtime");
            runtime.block_on(run(&url, keys, updates, indexes == "3"));
        }
        None => {
            for indexes in ["0", "3", "0", "3", "0", "3"] {
                let mut child = Command::new(std::env::current_exe().expect("a path"));
                child.args([&url, &keys.to_string(), &updates.to_string(), indexes]);
                assert!(child.status().expect("running").success());
            }
        }
    }
}

async fn run(url: &str, keys: u64, updates: u64, indexed: bool) {
    // An empty prefix: counting must not load what is to be measured.
    let direct = tailetc::open(url).prefix("/bench-backend/").connect().await.expect("connecting");
    let direct = direct.backend();
    let all = RangeRequest::new(KeyRange::prefix(format!("{PREFIX}records/")));
    let present = direct.range(all.with_count_only()).await.expect("counting").count;
    let present = u64::try_from(present).expect("a count");
    write(direct, (present..keys).map(|id| put(id, 0)).collect()).await;

    let client = Cluster::new(direct.clone()).client(FaultPlan::none());
    let mut builder = Db::builder(client.clone()).prefix(PREFIX).collection(RECORDS);
    if indexed {
        builder = builder.index(BY_ZONE).index(BY_NAME).index(BY_ID);
    }
    let before = resident();
    let started = Instant::now();
    let db = builder.connect().await.expect("loading");
    let loaded = started.elapsed();
    let used = resident().saturating_sub(before);

    client.disconnect();
    let salt = fastrand::u64(1..);
    write(direct, (0..updates).map(|id| put(id * 7 % keys, salt * (id % 2))).collect()).await;
    let last = direct.put(PutRequest::new(format!("{PREFIX}last"), "")).await.expect("writing");
    client.reconnect();
    let started = Instant::now();
    while db.snapshot().revision() < last {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let applied = started.elapsed();
    assert_eq!(db.stats().resyncs, 0);
    if indexed {
        assert_eq!(db.snapshot().index(BY_NAME).expect("declared").range(..).count() as u64, keys);
    }
    println!(
        "{} indexes: {keys} keys loaded in {loaded:.2?}, {} MiB more resident ({} bytes a key), \
         {updates} updates applied in {applied:.2?} ({:.0}/s)",
        if indexed { 3 } else { 0 },
        used >> 10,
        (used << 10) / keys,
        updates as f64 / applied.as_secs_f64(),
    );
}

async fn write(backend: &std::sync::Arc<dyn KvBackend>, puts: Vec<PutRequest>) {
    let mut writers = JoinSet::new();
    for chunk in puts.chunks(64) {
        if writers.len() == 32 {
            writers.join_next().await;
        }
        // A transaction must not put a key twice.
        let mut puts: Vec<PutRequest> = chunk.to_vec();
        puts.sort_by(|a, b| a.key.cmp(&b.key));
        puts.dedup_by(|a, b| a.key == b.key);
        let puts: Vec<TxnOp> = puts.into_iter().map(TxnOp::from).collect();
        let backend = backend.clone();
        writers.spawn(async move { backend.txn(TxnRequest::new(puts)).await.expect("writing") });
    }
    while writers.join_next().await.is_some() {}
}

fn put(id: u64, salt: u64) -> PutRequest {
    let zone = format!("zone-{}", id.wrapping_add(salt) % 7);
    let record = Record { id, name: format!("record {salt} number {id}"), zone };
    let value = serde_json::to_vec(&record).expect("encoding");
    PutRequest::new(format!("{PREFIX}records/{id:09}"), Bytes::from(value))
}

/// The resident memory of this process in KiB; 0 where the system does not say.
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}
