//! Many writers on few keys: nothing is lost, and sums never waver.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test ends at the first thing that is not as expected"
)]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use support::Store;
use tailetc::{Db, Error, RAW, Snapshot};

on_every_backend! {
    no_increment_of_a_shared_counter_is_lost,
    sum_of_all_accounts_never_wavers,
}

fn number(bytes: &[u8]) -> i64 {
    std::str::from_utf8(bytes).unwrap().parse().unwrap()
}

const TASKS: u32 = 16;
const INCREMENTS: u32 = 200;
const COUNTERS: u32 = 4;

async fn no_increment_of_a_shared_counter_is_lost(store: Store) {
    // Two copies, so that conflicts are met within one and between both.
    let dbs = [store.db().await, store.db().await];
    let tasks = (0..TASKS).map(|task| {
        let db = dbs[task as usize % 2].clone();
        tokio::spawn(async move {
            for round in 0..INCREMENTS {
                let counter = format!("counter/{}", (task + round) % COUNTERS);
                let add_one = db.transact(|txn| {
                    let count = txn.get(RAW, &counter)?.map_or(0, |bytes| number(&bytes));
                    txn.put(RAW, &counter, Bytes::from((count + 1).to_string()))?;
                    Ok::<_, Error>(count + 1)
                });
                let (count, _) = add_one.await.expect("increment");
                // Read your writes.
                assert!(number(&db.get(RAW, &counter).unwrap().unwrap()) >= count);
            }
        })
    });
    let tasks: Vec<_> = tasks.collect();
    let all = async {
        for task in tasks {
            task.await.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(120), all).await.expect("increments hang");
    let fresh = dbs[0].fresh().await.unwrap();
    let sum: i64 = fresh.range(RAW, ..).unwrap().map(|(_, bytes)| number(&bytes)).sum();
    assert_eq!(sum, i64::from(TASKS * INCREMENTS));
}

const ACCOUNTS: u32 = 100;
const TRANSFERS: u32 = 150;

fn total(snapshot: &Snapshot) -> i64 {
    snapshot.range(RAW, ..).unwrap().map(|(_, bytes)| number(&bytes)).sum()
}

async fn transfer(db: &Db, from: u32, to: u32, amount: i64) {
    let (from, to) = (format!("{from:03}"), format!("{to:03}"));
    let transfer = db.transact(|txn| {
        let balance = |bytes: Option<Arc<Bytes>>| number(&bytes.unwrap());
        let (a, b) = (balance(txn.get(RAW, &from)?), balance(txn.get(RAW, &to)?));
        txn.put(RAW, &from, Bytes::from((a - amount).to_string()))?;
        txn.put(RAW, &to, Bytes::from((b + amount).to_string()))
    });
    transfer.await.expect("transfer");
}

async fn sum_of_all_accounts_never_wavers(store: Store) {
    let accounts: Vec<_> = (0..ACCOUNTS).map(|i| format!("/t/{i:03}")).collect();
    let accounts: Vec<_> = accounts.iter().map(|key| (key.as_str(), "100")).collect();
    store.put_all(&accounts).await;
    let dbs = [store.db().await, store.db().await];
    let stop = Arc::new(AtomicBool::new(false));
    let auditors = dbs.clone().map(|db| {
        let stop = Arc::clone(&stop);
        tokio::spawn(async move {
            let mut audits = 0;
            while !stop.load(Ordering::Relaxed) {
                let snapshot = db.snapshot();
                assert_eq!(total(&snapshot), 10_000, "at revision {}", snapshot.revision());
                audits += 1;
                tokio::task::yield_now().await;
            }
            audits
        })
    });
    let tellers = (0..8_u32).map(|teller| {
        let db = dbs[teller as usize % 2].clone();
        // A fixed walk: every run makes the same transfers.
        let mut rng = fastrand::Rng::with_seed(u64::from(teller));
        tokio::spawn(async move {
            for _ in 0..TRANSFERS {
                let from = rng.u32(..ACCOUNTS);
                let to = (from + rng.u32(1..ACCOUNTS)) % ACCOUNTS;
                transfer(&db, from, to, rng.i64(1..50)).await;
            }
        })
    });
    for teller in tellers.collect::<Vec<_>>() {
        tokio::time::timeout(Duration::from_secs(120), teller).await.expect("hangs").unwrap();
    }
    stop.store(true, Ordering::Relaxed);
    for auditor in auditors {
        assert!(auditor.await.unwrap() > 0);
    }
    assert_eq!(total(&dbs[0].fresh().await.unwrap()), 10_000);
}
