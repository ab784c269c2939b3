//! How fast an import is, by the number of chunks under way at once.
//!
//! `cargo bench --bench bulk --features etcd -- URL RECORDS`: writes RECORDS records of about 300
//! bytes below `/bench-bulk/` of the store, with 1, 4 and 8 chunks under way, twice each, and
//! deletes them in between. Without arguments: `memory://`, 60,000 records.

#![expect(clippy::expect_used, reason = "a benchmark may end with a message")]

use serde::{Deserialize, Serialize};
use tailetc::{Collection, Db, Json};
use tokio::time::Instant;

#[derive(Debug, Serialize, Deserialize)]
struct Record {
    id: u64,
    name: String,
    text: String,
}

const RECORDS: Collection<Json<Record>> = Collection::new("records/");

fn main() {
    // `cargo bench` adds `--bench`.
    let mut arguments = std::env::args().skip(1).filter(|argument| !argument.starts_with("--"));
    let url = arguments.next().unwrap_or_else(|| "memory://".to_owned());
    let records = arguments.next().map_or(60_000, |records| records.parse().expect("a number"));
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(run(&url, records));
}

async fn run(url: &str, records: u64) {
    let builder = tailetc::open(url).prefix("/bench-bulk/").collection(RECORDS);
    let db = builder.delete_all_on_start().connect().await.expect("connecting");
    for concurrency in [1, 4, 8, 1, 4, 8] {
        let started = Instant::now();
        let mut bulk = db.bulk().concurrency(concurrency);
        for id in 0..records {
            let record = Record { id, name: format!("record {id}"), text: "x".repeat(250) };
            bulk.put(RECORDS, format!("{id:08}"), record).await.expect("writing");
        }
        let report = bulk.finish().await.expect("writing");
        let took = started.elapsed();
        println!(
            "{concurrency} under way: {records} records in {} chunks, {took:.2?}, {:.0} records/s",
            report.chunks,
            records as f64 / took.as_secs_f64(),
        );
        clear(&db).await;
    }
}

async fn clear(db: &Db) {
    let mut bulk = db.bulk();
    let snapshot = db.snapshot();
    for (key, _) in snapshot.range(RECORDS, ..).expect("records") {
        bulk.delete(RECORDS, key.as_bytes()).await.expect("deleting");
    }
    bulk.finish().await.expect("deleting");
}
