//! An import that is killed, and runs again.

use serde_json::Value;
use tailetc_testkit::etcd_server::EtcdServer;

use crate::support::{Registry, Scratch, eventually};

const RECORDS: usize = 30_000;

#[tokio::test]
async fn killed_import_continues_and_imports_each_record_once() {
    let server = EtcdServer::start().await.unwrap();
    let scratch = Scratch::new();
    let url = server.url();
    let file = scratch.services("a", RECORDS, 100);
    let args = ["--url", &url, "--import", &file, "--import-only"];

    let first = Registry::spawn(&args);
    let progress = format!(" of {RECORDS} services");
    eventually("progress", async || first.stderr().contains(&progress).then_some(())).await;
    first.signal("KILL").await;
    assert_eq!(first.ended().await.code, None, "killed before its end");

    let second = Registry::spawn(&args).ended().await;
    assert_eq!((second.code, second.stdout.as_str()), (Some(0), ""), "{second:?}");
    assert!((1..RECORDS).contains(&new(&second.stderr)), "{second:?}");

    let third = Registry::spawn(&args).ended().await;
    assert_eq!(third.code, Some(0), "{third:?}");
    assert_eq!(new(&third.stderr), 0, "{third:?}");
    assert_each_once(&server).await;
}

#[tokio::test]
async fn two_imports_at_once_share_the_work() {
    let server = EtcdServer::start().await.unwrap();
    let scratch = Scratch::new();
    let url = server.url();
    let file = scratch.services("a", RECORDS, 100);
    let args = ["--url", &url, "--import", &file, "--import-only"];
    let (first, second) = (Registry::spawn(&args), Registry::spawn(&args));
    let (first, second) = tokio::join!(first.ended(), second.ended());
    assert_eq!((first.code, second.code), (Some(0), Some(0)), "{first:?} {second:?}");
    assert_each_once(&server).await;
}

/// How many services an import says that it has added.
fn new(stderr: &str) -> usize {
    let (_, rest) = stderr.split_once(&format!("complete: {RECORDS} services, ")).expect("an end");
    rest.split_once(' ').expect("a number").0.parse().expect("a number")
}

/// Each record is there, written exactly once.
async fn assert_each_once(server: &EtcdServer) {
    let prefix = "/registry/services/";
    let json = server.etcdctl(&["get", prefix, "--prefix", "--keys-only", "-w", "json"]).await;
    let found: Value = serde_json::from_str(&json.unwrap()).unwrap();
    let keys = found["kvs"].as_array().unwrap();
    assert_eq!(keys.len(), RECORDS);
    assert!(keys.iter().all(|key| key["version"] == 1));
}
