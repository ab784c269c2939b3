//! Streams: who may end them, and what a slow client gets.

use etcd_client::proto::PbLeaseKeepAliveRequest;
use tailetc_core::backend::{KvBackend as _, KvBackendExt as _, PutRequest};
use tailetc_core::{LeaseId, Revision};
use tailetc_memkv::MemKv;

use crate::wire::create;
use crate::{serve, soon};

/// A client that has no more requests still gets what its watchers see.
// X-I
#[tokio::test]
async fn half_closed_watch_goes_on() {
    let store = MemKv::new();
    let (_server, wire) = serve(&store).await;
    let (requests, mut responses) = wire.watch();
    requests.send(create(("a", "\0"), 0, 0)).await.expect("it reads");
    drop(requests);
    let created = soon(responses.message()).await.expect("a response").expect("a response");
    assert!(created.created);
    for value in ["1", "2"] {
        store.put(PutRequest::new("a", value)).await.expect("a put");
        let response = soon(responses.message()).await.expect("a response").expect("a response");
        let kv = response.events[0].kv.clone().expect("a pair");
        assert_eq!(kv.value, value.as_bytes());
    }
}

/// Of the header, the revision alone is missing; whose watch it was is told by the id.
// W6, X-D
#[tokio::test]
async fn cancellation_for_compaction_has_revision_0_and_no_reason() {
    let store = MemKv::new();
    for value in ["1", "2", "3"] {
        store.put(PutRequest::new("a", value)).await.expect("a put");
    }
    store.compact(Revision::new(3)).await.expect("a compaction");
    let (_server, wire) = serve(&store).await;
    let (requests, mut responses) = wire.watch();
    requests.send(create(("a", ""), 2, 7)).await.expect("it reads");
    let mut next =
        async || soon(responses.message()).await.expect("a response").expect("a response");
    let created = next().await;
    let of_created = created.header.expect("a header");
    assert_eq!((created.created, created.canceled, of_created.revision), (true, false, 4));
    let canceled = next().await;
    let of_canceled = canceled.header.expect("a header");
    assert_eq!((canceled.created, canceled.canceled, canceled.watch_id), (false, true, 7));
    assert_eq!((canceled.compact_revision, canceled.cancel_reason.as_str()), (3, ""));
    assert_eq!(of_canceled.revision, 0);
    assert_eq!(of_canceled.cluster_id, of_created.cluster_id);
    assert_eq!(of_canceled.member_id, of_created.member_id);
    assert_eq!(of_canceled.raft_term, of_created.raft_term);
}

/// A client that reads late gets everything in order, although the server did not keep it.
// W22
#[tokio::test]
async fn slow_client_misses_nothing() {
    const WRITES: i64 = 2_000;

    let store = MemKv::new();
    let (_server, wire) = serve(&store).await;
    let (requests, mut responses) = wire.watch();
    requests.send(create(("a", "\0"), 2, 0)).await.expect("it reads");
    assert!(soon(responses.message()).await.expect("a response").expect("a response").created);
    for _ in 0..WRITES {
        store.put(PutRequest::new("a", vec![0; 10_000])).await.expect("a put");
        tokio::task::yield_now().await;
    }
    let mut seen = 1;
    let mut sizes = Vec::new();
    while seen < WRITES + 1 {
        let response = soon(responses.message()).await.expect("a response").expect("a response");
        sizes.push(response.events.len());
        for event in response.events {
            seen += 1;
            assert_eq!(event.kv.expect("a pair").mod_revision, seen);
        }
    }
    // It fell behind: the last ones come together.
    assert!(sizes.iter().any(|size| *size > 1), "{} responses", sizes.len());
}

// L4
#[tokio::test]
async fn keep_alive_answers_in_order_and_ends_with_its_requests() {
    let store = MemKv::new();
    let lease = store.lease_grant(LeaseId::new(7), 60).await.expect("a lease");
    let (_server, wire) = serve(&store).await;
    let (requests, mut responses) = wire.keep_alive();
    for id in [lease.id.get(), 8, 7] {
        requests.send(PbLeaseKeepAliveRequest { id }).await.expect("it reads");
    }
    drop(requests);
    let mut answers = Vec::new();
    while let Some(answer) = soon(responses.message()).await.expect("no error") {
        answers.push((answer.id, answer.ttl));
    }
    assert_eq!(answers, [(7, 60), (8, 0), (7, 60)]);
}
