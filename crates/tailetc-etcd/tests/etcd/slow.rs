//! Consumers that do not read what they watch.

use bytes::Bytes;
use tailetc_core::Revision;
use tailetc_core::backend::{
    KeyRange, KvBackend, KvBackendExt, PutRequest, WatchRequest, WatchResponse,
};
use tailetc_etcd::EtcdBackend;
use tokio::task::JoinSet;

use crate::common::{patient, soon, start};

/// More messages than HTTP/2 lets pile up, and with the watches together more bytes than its
/// window.
const PUTS: usize = 16_000;

// D39
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watches_that_nobody_reads_hold_up_no_request() {
    let (server, _) = start().await;
    let etcd = EtcdBackend::connect(patient([server.url()])).await.unwrap();
    let mut watchers = Vec::new();
    for _ in 0..4 {
        let request = WatchRequest::new(KeyRange::prefix("s/"), Revision::new(2));
        watchers.push(soon(etcd.watch(request)).await.unwrap());
    }
    let mut writers = JoinSet::new();
    for writer in 0..16 {
        let etcd = etcd.clone();
        writers.spawn(async move {
            for n in 0..PUTS / 16 {
                let value = Bytes::from(vec![b'x'; 150]);
                let put = PutRequest::new(format!("s/{writer}"), value);
                soon(etcd.put(put)).await.unwrap_or_else(|error| panic!("put {n}: {error}"));
            }
        });
    }
    while let Some(written) = writers.join_next().await {
        written.unwrap();
    }
    let last = soon(etcd.put(PutRequest::new("s/last", ""))).await.unwrap();
    drop(watchers.split_off(1));

    // What was not read is not lost: it comes, or the watch ends and is resumed.
    let mut watcher = watchers.remove(0);
    let mut next = Revision::new(2);
    while next <= last {
        match soon(watcher.next()).await {
            Ok(WatchResponse::Events { events, .. }) => {
                for event in events {
                    assert_eq!(event.revision(), next, "an event is missing, or comes twice");
                    next = next.next();
                }
            }
            Ok(_) => {}
            Err(error) => {
                assert!(error.kind().is_transient(), "{error}");
                let request = WatchRequest::new(KeyRange::prefix("s/"), next);
                watcher = soon(etcd.watch(request)).await.unwrap();
            }
        }
    }
}
