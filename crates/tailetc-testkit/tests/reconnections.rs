//! When a `Db` connects anew, and when it does not.

#![expect(clippy::expect_used, reason = "a test ends at the first thing that is not as expected")]

use std::time::Duration;

use tailetc_core::backend::{KvBackend, PutRequest, TxnRequest};
use tailetc_core::{Bytes, Db, Error, Options, Phase, RAW};
use tailetc_memkv::MemKv;
use tailetc_testkit::faulty::FaultyBackend;
use tokio::time::{Instant, sleep};

/// With looks at the store so rare that they are in nobody's way.
async fn open(client: &FaultyBackend) -> Db {
    let mut options = Options::default();
    options.catch_up_timeout = Duration::from_secs(2);
    options.progress_interval = Duration::from_secs(1_000);
    options.progress_timeout = Duration::from_secs(1_000);
    let builder = Db::builder(client.clone()).prefix("/t/").options(options);
    builder.connect().await.expect("connecting")
}

async fn put(db: &Db, key: &str) -> Result<(), Error> {
    let mut txn = db.txn();
    txn.put(RAW, key, Bytes::new())?;
    txn.commit().await.map(|_| ())
}

// D13
#[tokio::test(start_paused = true)]
async fn first_answer_after_an_outage_ends_the_pause() {
    let client = FaultyBackend::new(MemKv::new());
    let db = open(&client).await;
    client.disconnect();
    // Long enough for pauses of many seconds.
    sleep(Duration::from_secs(60)).await;
    assert_eq!(db.health().phase, Phase::Reconnecting);
    client.reconnect();
    let began = Instant::now();
    put(&db, "a").await.expect("a commit");
    while !db.health().is_tailing() {
        sleep(Duration::from_millis(1)).await;
    }
    assert!(began.elapsed() < Duration::from_millis(100), "{:?}", began.elapsed());
}

// D35
#[tokio::test(start_paused = true)]
async fn suspicion_of_a_watch_spares_the_next_one() {
    let client = FaultyBackend::new(MemKv::new());
    let db = open(&client).await;
    client.hold_watch();
    // Somebody else's write, before which one's own cannot be shown.
    let foreign = TxnRequest::new([PutRequest::new("/t/a", "").into()]);
    client.txn(foreign).await.expect("an answer");
    let wait = tokio::spawn({
        let db = db.clone();
        async move { put(&db, "b").await }
    });
    sleep(Duration::from_secs(1)).await;
    client.cut_watch();
    let late = wait.await.expect("no panic").expect_err("the watch withholds it");
    assert!(late.committed().is_some(), "{late:?}");
    sleep(Duration::from_secs(1)).await;
    assert_eq!(db.stats().reconnects, 1);
    client.release_watch();
    while !db.snapshot().contains(RAW, "b").expect("a read") {
        sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(db.stats().reconnects, 1);
}
