//! Watches on a real server.

use std::time::Duration;

use crate::common::{end, patient, soon, start, until};
use bytes::Bytes;
use tailetc_core::Revision;
use tailetc_core::backend::{
    BackendErrorKind, DeleteRequest, EventKind, KeyRange, KvBackend, KvBackendExt, PutRequest,
    TxnRequest, WatchRequest, WatchResponse, Watcher,
};
use tailetc_etcd::EtcdBackend;
use tailetc_testkit::etcd_server::EtcdServer;

fn events(responses: Vec<WatchResponse>) -> Vec<tailetc_core::backend::Event> {
    let events = |response| match response {
        WatchResponse::Events { events, .. } => events,
        _ => Vec::new(),
    };
    responses.into_iter().flat_map(events).collect()
}

#[tokio::test]
async fn watch_delivers_history_and_then_what_happens() {
    let (_server, etcd) = start().await;
    etcd.put(PutRequest::new("w/a", "1")).await.unwrap();
    etcd.put(PutRequest::new("other", "")).await.unwrap();
    let range = KeyRange::prefix("w/");
    let request = WatchRequest::new(range.clone(), Revision::new(2)).with_prev_kv();
    let mut watcher = soon(etcd.watch(request)).await.unwrap();
    let put = PutRequest::new("w/b", "2").into();
    let delete = DeleteRequest::new(KeyRange::key("w/a")).into();
    let last = etcd.txn(TxnRequest::new([put, delete])).await.unwrap();
    let last = last.header.revision;

    let events = events(until(&mut *watcher, last).await);
    let [old, put, delete] = &events[..] else {
        panic!("{events:?}");
    };
    assert_eq!((old.revision().get(), &old.kv.value[..]), (2, &b"1"[..]));
    assert_eq!((put.revision(), delete.revision()), (last, last));
    assert_eq!(delete.kind, EventKind::Delete);
    assert_eq!(delete.prev_kv.as_ref(), Some(&old.kv));
}

// D18
#[tokio::test]
async fn revision_larger_than_a_message_arrives_whole() {
    let (_server, etcd) = start().await;
    let value = Bytes::from(vec![b'x'; 400_000]);
    let keys: Vec<String> = (0..8).map(|n| format!("f/{n}")).collect();
    for key in &keys {
        let put = PutRequest::new(key.clone(), value.clone());
        etcd.put(put).await.unwrap();
    }
    // With the previous values, the deletion is above the 2 MiB at which the server splits.
    let delete = DeleteRequest::new(KeyRange::prefix("f/"));
    let request = WatchRequest::new(KeyRange::prefix("f/"), Revision::new(10)).with_prev_kv();
    let mut watcher = soon(etcd.watch(request)).await.unwrap();
    let (deleted, revision) = etcd.delete(delete.range).await.unwrap();
    assert_eq!(deleted, 8);

    let WatchResponse::Events { events, .. } = soon(watcher.next()).await.unwrap() else {
        panic!("no events");
    };
    assert_eq!(events.len(), 8, "a part of a revision was delivered");
    for (event, key) in events.iter().zip(&keys) {
        assert_eq!((event.revision(), &event.kv.key[..]), (revision, key.as_bytes()));
        assert_eq!(event.prev_kv.as_ref().unwrap().value, value);
    }
}

#[tokio::test]
async fn progress_comes_when_it_is_asked_for() {
    let (_server, etcd) = start().await;
    let request = WatchRequest::new(KeyRange::prefix("idle/"), Revision::new(2));
    let mut watcher = soon(etcd.watch(request)).await.unwrap();
    let target = etcd.put(PutRequest::new("elsewhere", "")).await.unwrap();
    let reached = async {
        loop {
            watcher.request_progress().await.unwrap();
            let next = tokio::time::timeout(Duration::from_millis(50), watcher.next()).await;
            if let Ok(Ok(WatchResponse::Progress { header })) = next
                && header.revision >= target
            {
                return;
            }
        }
    };
    soon(reached).await;
}

// D43
#[tokio::test]
async fn watch_below_the_compaction_revision_says_where_it_is() {
    let (_server, etcd) = start().await;
    for value in ["1", "2", "3", "4"] {
        etcd.put(PutRequest::new("k", value)).await.unwrap();
    }
    etcd.compact(Revision::new(4)).await.unwrap();
    let request = WatchRequest::new(KeyRange::key("k"), Revision::new(2));
    let error = match soon(etcd.watch(request)).await {
        Err(error) => error,
        Ok(mut watcher) => end(&mut *watcher).await,
    };
    let compact_revision = Revision::new(4);
    let expected = BackendErrorKind::Compacted { compact_revision };
    assert_eq!(error.kind(), expected, "{error}");
}

// D43
#[tokio::test]
async fn watch_of_a_range_without_keys_is_refused() {
    let (_server, etcd) = start().await;
    let request = WatchRequest::new(KeyRange::span("b", "a"), Revision::new(2));
    let error = soon(etcd.watch(request)).await.unwrap_err();
    assert_eq!(error.kind(), BackendErrorKind::EmptyRange);
}

#[tokio::test]
async fn dropped_watch_is_gone_from_the_server() {
    let (server, etcd) = start().await;
    let mut watchers = Vec::new();
    for _ in 0..3 {
        let request = WatchRequest::new(KeyRange::all(), Revision::new(2));
        watchers.push(soon(etcd.watch(request)).await.unwrap());
    }
    soon(watchers_on(&server, 3)).await;
    watchers.clear();
    soon(watchers_on(&server, 0)).await;
    // The connection stays in use.
    etcd.put(PutRequest::new("k", "")).await.unwrap();
}

/// Waits until the server's own count of watchers is this.
async fn watchers_on(server: &EtcdServer, expected: u32) {
    let line = format!("etcd_debugging_mvcc_watcher_total {expected}");
    loop {
        let metrics = server.http_get("/metrics").await.unwrap();
        if metrics.lines().any(|l| l == line) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// What comes after the first error of a watch is an error, and the server is rid of the watch,
/// although its handle is still there.
async fn assert_final(server: &EtcdServer, etcd: &EtcdBackend, mut watcher: Box<dyn Watcher>) {
    let error = end(&mut *watcher).await;
    assert!(error.kind().is_transient(), "{error}");
    soon(watchers_on(server, 0)).await;
    etcd.put(PutRequest::new("f/next", "small")).await.unwrap();
    for _ in 0..3 {
        soon(watcher.next()).await.unwrap_err();
        soon(watcher.request_progress()).await.unwrap_err();
    }
}

// D38
#[tokio::test]
async fn message_that_is_too_large_ends_the_watch_for_good() {
    let (server, _) = start().await;
    let options = patient([server.url()]).with_max_message_bytes(100_000);
    let etcd = EtcdBackend::connect(options).await.unwrap();
    let request = WatchRequest::new(KeyRange::prefix("f/"), Revision::new(2));
    let watcher = soon(etcd.watch(request)).await.unwrap();
    for value in [vec![b'x'; 10], vec![b'x'; 500_000], vec![b'x'; 10]] {
        etcd.put(PutRequest::new("f/large", value)).await.unwrap();
    }
    assert_final(&server, &etcd, watcher).await;
}

// D38 D17
#[tokio::test]
async fn fragments_that_are_too_large_together_end_the_watch_for_good() {
    let (server, _) = start().await;
    let options = patient([server.url()]).with_max_message_bytes(3_000_000);
    let etcd = EtcdBackend::connect(options).await.unwrap();
    let value = Bytes::from(vec![b'x'; 400_000]);
    for n in 0..10 {
        etcd.put(PutRequest::new(format!("f/{n}"), value.clone())).await.unwrap();
    }
    let request = WatchRequest::new(KeyRange::prefix("f/"), Revision::new(12)).with_prev_kv();
    let watcher = soon(etcd.watch(request)).await.unwrap();
    assert_eq!(etcd.delete(KeyRange::prefix("f/")).await.unwrap().0, 10);
    assert_final(&server, &etcd, watcher).await;
}

#[tokio::test]
async fn backlog_is_delivered_once_and_in_order() {
    let (_server, etcd) = start().await;
    let mut last = Revision::ZERO;
    for n in 0..1200 {
        last = etcd.put(PutRequest::new("b/k", n.to_string())).await.unwrap();
    }
    let request = WatchRequest::new(KeyRange::prefix("b/"), Revision::new(2));
    let mut watcher = soon(etcd.watch(request)).await.unwrap();
    let revisions: Vec<_> = events(until(&mut *watcher, last).await)
        .iter()
        .map(|event| event.revision().get())
        .collect();
    let expected: Vec<_> = (2..=last.get()).collect();
    assert_eq!(revisions, expected);
}
