//! A server that is killed under load.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tailetc_testkit::etcd_server::{EtcdServer, EtcdServerOptions};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::support::{Http, Registry, eventually};

const WRITERS: usize = 4;
/// The writes that must be acknowledged before each kill, and after the last restart.
const WRITES: u64 = 100;
const KILLS: u64 = 2;

#[tokio::test]
async fn killed_server_loses_no_acknowledged_write_and_the_replicas_converge() {
    // Flushing to disk, as in production: else the server itself may lose what it acknowledged.
    let options = EtcdServerOptions::default().with_durable();
    let mut server = EtcdServer::start_with(options).await.unwrap();
    let url = server.url();
    let args = ["--url", &url, "--timeout", "2"];
    let (mut a, to_a) = Registry::serve(&args).await;
    let (mut b, to_b) = Registry::serve(&args).await;
    let zero = json!({ "version": "1", "size": 0 });
    to_a.put("counter", &[("if-none-match", "*")], &zero).await.ok();

    let load = Load::default();
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let http = if writer % 2 == 0 { &to_a } else { &to_b };
        writers.spawn(load.clone().write(writer, http.clone()));
    }
    for kill in 1..=KILLS {
        load.acknowledged(kill * WRITES).await;
        server.kill().await.unwrap();
        server.restart().await.unwrap();
    }
    load.acknowledged((KILLS + 1) * WRITES).await;
    load.stop.store(true, Ordering::Relaxed);
    let (mut created, mut counted, mut unknown) = (Vec::new(), 0, 0);
    while let Some(written) = writers.join_next().await {
        let written = written.unwrap();
        created.extend(written.created);
        counted += written.counted;
        unknown += written.unknown;
    }

    assert!(a.is_running() && b.is_running());
    // A write of unknown outcome may still be on its way to the server, or from it to a replica.
    let listing = eventually("two replicas that list what the server has", async || {
        let (a, b) = (to_a.list_all("", &[]).await, to_b.list_all("", &[]).await);
        let listing: BTreeSet<_> = a.iter().map(name).collect();
        (a == b && listing == stored(&server).await).then_some(listing)
    });
    let listing = listing.await;
    let lost: Vec<_> = created.iter().filter(|name| !listing.contains(*name)).collect();
    assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
    let counter = to_b.get("/v1/services/counter", &[]).await.ok();
    let counter = counter["size"].as_u64().unwrap();
    assert!((counted..=counted + unknown).contains(&counter), "{counter}, {counted}, {unknown}");
    a.stop().await;
    b.stop().await;
}

fn name(item: &Value) -> String {
    item["name"].as_str().expect("a name").to_owned()
}

/// The names that the server itself has.
async fn stored(server: &EtcdServer) -> BTreeSet<String> {
    let prefix = "/registry/services/";
    let keys = server.etcdctl(&["get", prefix, "--prefix", "--keys-only"]).await.unwrap();
    keys.lines().filter_map(|line| line.strip_prefix(prefix)).map(str::to_owned).collect()
}

/// What the writers share.
#[derive(Clone, Default)]
struct Load {
    stop: Arc<AtomicBool>,
    acknowledged: Arc<AtomicU64>,
}

/// What one writer was told.
#[derive(Default)]
struct Written {
    /// The services whose creation was acknowledged.
    created: Vec<String>,
    /// The increments of the counter that were acknowledged.
    counted: u64,
    /// The increments of which nobody knows.
    unknown: u64,
}

impl Load {
    async fn acknowledged(&self, writes: u64) {
        let enough = || self.acknowledged.load(Ordering::Relaxed) >= writes;
        eventually("acknowledged writes", async || enough().then_some(())).await;
    }

    async fn write(self, writer: usize, http: Http) -> Written {
        let mut written = Written::default();
        for number in 0.. {
            if self.stop.load(Ordering::Relaxed) {
                break;
            }
            let name = format!("{writer}-{number:06}");
            let service = json!({ "version": "1" });
            match http.put(&name, &[("if-none-match", "*")], &service).await.status {
                201 | 202 => {
                    written.created.push(name);
                    self.acknowledged.fetch_add(1, Ordering::Relaxed);
                }
                503 | 504 => sleep(Duration::from_millis(20)).await,
                status => panic!("{status}"),
            }
            match increment(&http).await {
                200 | 202 => written.counted += 1,
                504 => written.unknown += 1,
                412 | 503 => {}
                status => panic!("{status}"),
            }
        }
        written
    }
}

async fn increment(http: &Http) -> u16 {
    let read = http.get("/v1/services/counter", &[]).await;
    let etag = read.header("etag").to_owned();
    let mut counter = read.ok();
    counter["size"] = json!(counter["size"].as_u64().expect("a number") + 1);
    http.put("counter", &[("if-match", &etag)], &counter).await.status
}
