//! Messages that no `etcdctl` sends: the answers must be equal in every field but the server's own.

use std::fmt::Debug;

use etcd_client::proto::{
    PbAlarmRequest, PbAlarmResponse, PbCompare, PbDeleteRequest, PbHashKvRequest, PbHashKvResponse,
    PbLeaseGrantRequest, PbLeaseGrantResponse, PbLeaseKeepAliveRequest, PbLeaseRevokeRequest,
    PbLeaseRevokeResponse, PbLeaseTimeToLiveRequest, PbLeaseTimeToLiveResponse, PbPutRequest,
    PbPutResponse, PbRangeRequest, PbRangeResponse, PbRangeStreamResponse, PbTargetUnion,
    PbTxnOpRequest, PbTxnRequest, PbTxnRequestOp, PbTxnResponse, PbWatchRequest,
    PbWatchRequestUnion, PbWatchResponse,
};
use prost::Message;

use crate::normal::without_ids;
use tokio::time::timeout;

use crate::pair::{PATIENCE, Pair};
use crate::wire::{Answers, Wire, create};

/// A connection to each.
struct Wires {
    real: Wire,
    fake: Wire,
}

impl Wires {
    async fn connect(pair: &Pair) -> Self {
        let url = |address: &str| format!("http://{address}");
        Self {
            real: Wire::connect(url(&pair.real.own.address)).await,
            fake: Wire::connect(url(&pair.fake.own.address)).await,
        }
    }

    async fn call<Q, A>(&mut self, method: &str, request: Q)
    where
        Q: Message + Default + Clone + Debug + 'static,
        A: Message + Default + Debug + 'static,
    {
        let real = self.real.call::<Q, A>(method, request.clone()).await;
        let fake = self.fake.call::<Q, A>(method, request.clone()).await;
        let text = |answer: Result<A, tonic::Status>| match answer {
            Ok(answer) => without_ids(&format!("{answer:?}")),
            Err(status) => format!("{:?}: {}", status.code(), status.message()),
        };
        let (fake, real) = (text(fake), text(real));
        assert_eq!(fake, real, "memkv left, etcd right: {method} {request:?}");
    }

    async fn txn(&mut self, txn: PbTxnRequest) {
        self.call::<_, PbTxnResponse>("KV/Txn", txn).await;
    }
}

async fn with_two_keys() -> (Pair, Wires) {
    let mut pair = Pair::start().await;
    let mut wires = Wires::connect(&pair).await;
    pair.ctl("put a 1").await;
    let empty = PbPutRequest { key: b"b".to_vec(), ..PbPutRequest::default() };
    wires.call::<_, PbPutResponse>("KV/Put", empty).await;
    pair.ctl("put a 2").await;
    (pair, wires)
}

fn put(key: &str) -> PbTxnRequestOp {
    let put = PbPutRequest { key: key.into(), ..PbPutRequest::default() };
    PbTxnRequestOp { request: Some(PbTxnOpRequest::RequestPut(put)) }
}

fn nested(txn: PbTxnRequest) -> PbTxnRequestOp {
    PbTxnRequestOp { request: Some(PbTxnOpRequest::RequestTxn(txn)) }
}

fn succeed(success: Vec<PbTxnRequestOp>) -> PbTxnRequest {
    PbTxnRequest { success, ..PbTxnRequest::default() }
}

// X-C, T5
/// Results and targets that nobody knows, unions of another type, no union at all.
#[tokio::test]
async fn odd_compares_decide_alike() {
    let (_pair, mut wires) = with_two_keys().await;
    let unions = [
        None,
        Some(PbTargetUnion::Version(0)),
        Some(PbTargetUnion::CreateRevision(2)),
        Some(PbTargetUnion::ModRevision(4)),
        Some(PbTargetUnion::Value(Vec::new())),
        Some(PbTargetUnion::Lease(0)),
    ];
    for result in [0, 1, 2, 3, 4, -1] {
        for target in [0, 1, 2, 3, 4, 5, -1] {
            for target_union in &unions {
                for (key, end) in [("a", ""), ("b", ""), ("none", ""), ("a", "c"), ("b", "a")] {
                    let compare = PbCompare {
                        result,
                        target,
                        key: key.into(),
                        range_end: end.into(),
                        target_union: target_union.clone(),
                    };
                    wires.txn(PbTxnRequest { compare: vec![compare], ..Default::default() }).await;
                }
            }
        }
    }
}

// T12, X-A, X-X
/// An operation that is none, alone and among other mistakes.
#[tokio::test]
async fn t12_unset_operation() {
    let (_pair, mut wires) = with_two_keys().await;
    let unset = PbTxnRequestOp::default;
    for success in [
        vec![unset()],
        vec![put(""), unset()],
        vec![unset(), put("")],
        vec![put("x"), put("x"), unset()],
        vec![nested(succeed(vec![put("x")])), put("x"), nested(succeed(vec![unset()]))],
    ] {
        wires.txn(succeed(success.clone())).await;
        wires.txn(PbTxnRequest { failure: success, ..Default::default() }).await;
    }
}

// R9, R10
/// The headers of the parts of a transaction.
#[tokio::test]
async fn r9_headers_of_nested_answers() {
    let (_pair, mut wires) = with_two_keys().await;
    let range = |key: &str| PbTxnRequestOp {
        request: Some(PbTxnOpRequest::RequestRange(PbRangeRequest {
            key: key.into(),
            ..PbRangeRequest::default()
        })),
    };
    let delete = |key: &str| PbTxnRequestOp {
        request: Some(PbTxnOpRequest::RequestDeleteRange(PbDeleteRequest {
            key: key.into(),
            prev_kv: true,
            ..PbDeleteRequest::default()
        })),
    };
    for success in [
        vec![range("a"), delete("none")],
        vec![range("a"), delete("none"), put("x"), delete("none"), range("a"), delete("a")],
        vec![nested(succeed(vec![range("b"), put("y")])), delete("none"), range("b")],
        vec![delete("none"), nested(succeed(vec![])), nested(succeed(vec![delete("b")]))],
    ] {
        wires.txn(succeed(success)).await;
    }
}

// X-B
/// An unknown order is ignored, or refused from 3.6 on.
#[tokio::test]
async fn unknown_sort_order() {
    let (_pair, mut wires) = with_two_keys().await;
    for sort_order in [3, -1] {
        for sort_target in [0, 1, 2, 3, 4] {
            for limit in [0, 1] {
                let range = PbRangeRequest {
                    key: b"\0".to_vec(),
                    range_end: b"\0".to_vec(),
                    sort_order,
                    sort_target,
                    limit,
                    ..PbRangeRequest::default()
                };
                wires.call::<_, PbRangeResponse>("KV/Range", range).await;
            }
        }
    }
}

// R9, T17, X-R
/// Alarms, and what a full store refuses.
#[tokio::test]
async fn alarms() {
    let (mut pair, mut wires) = with_two_keys().await;
    let alarm = |action, alarm| PbAlarmRequest { action, member_id: 7, alarm };
    // A server before 3.5 keeps an alarm of no kind, which memkv refuses.
    if !pair.real.own.version.starts_with("3.4.") {
        wires.call::<_, PbAlarmResponse>("Maintenance/Alarm", alarm(1, 0)).await;
    }
    for request in [alarm(0, 0), alarm(1, 1), alarm(1, 1), alarm(0, 0), alarm(0, 1), alarm(0, 2)] {
        wires.call::<_, PbAlarmResponse>("Maintenance/Alarm", request).await;
    }
    for command in ["put a 1", "del a", "lease grant 9", "get b", "alarm list", "endpoint status"] {
        pair.ctl(command).await;
    }
    for request in [alarm(2, 2), alarm(2, 0), alarm(2, 1), alarm(2, 1), alarm(0, 0)] {
        wires.call::<_, PbAlarmResponse>("Maintenance/Alarm", request).await;
    }
    pair.ctl("put a 1").await;
}

// L1, P1, P3, X-Q
/// What `etcdctl` does not let one ask.
#[tokio::test]
async fn odd_leases_puts_and_hashes() {
    let (_pair, mut wires) = with_two_keys().await;
    for (ttl, id) in [(0, 5), (-3, 6), (600, 5), (9_000_000_001, 5), (9_000_000_000, 9), (60, -4)] {
        let grant = PbLeaseGrantRequest { ttl, id };
        wires.call::<_, PbLeaseGrantResponse>("Lease/LeaseGrant", grant).await;
    }
    for id in [0, 9, -4, 99] {
        let revoke = PbLeaseRevokeRequest { id };
        wires.call::<_, PbLeaseRevokeResponse>("Lease/LeaseRevoke", revoke).await;
        let left = PbLeaseTimeToLiveRequest { id, keys: true };
        wires.call::<_, PbLeaseTimeToLiveResponse>("Lease/LeaseTimeToLive", left).await;
    }
    for odd in [
        PbPutRequest::default(),
        PbPutRequest { lease: 77, ..Default::default() },
        PbPutRequest { key: b"a".to_vec(), lease: 77, ignore_lease: true, ..Default::default() },
        PbPutRequest { key: b"x".to_vec(), lease: 77, ignore_value: true, ..Default::default() },
    ] {
        wires.call::<_, PbPutResponse>("KV/Put", odd).await;
    }
    for revision in [-1, 0, 1, 2, 99] {
        let hash = PbHashKvRequest { revision };
        wires.call::<_, PbHashKvResponse>("Maintenance/HashKV", hash).await;
    }
}

// G10
/// Not known to servers before 3.7.
#[tokio::test]
async fn g10_range_stream() {
    let (_pair, mut wires) = with_two_keys().await;
    let range = PbRangeRequest { key: b"a".to_vec(), ..PbRangeRequest::default() };
    let mut answers = Vec::new();
    for wire in [&mut wires.real, &mut wires.fake] {
        let chunks = wire.read::<_, PbRangeStreamResponse>("KV/RangeStream", range.clone()).await;
        answers.push(match chunks {
            Ok(chunks) => without_ids(&format!("{chunks:?}")),
            Err(status) => format!("{:?}: {}", status.code(), status.message()),
        });
    }
    assert_eq!(answers[0], answers[1]);
}

// L4
/// Renewals, of leases that live and of others.
#[tokio::test]
async fn l4_keep_alive() {
    let (_pair, mut wires) = with_two_keys().await;
    let grant = PbLeaseGrantRequest { ttl: 60, id: 5 };
    wires.call::<_, PbLeaseGrantResponse>("Lease/LeaseGrant", grant).await;
    let mut answers = Vec::new();
    for wire in [&wires.real, &wires.fake] {
        let (requests, mut responses) = wire.keep_alive();
        for id in [5, 6, 0] {
            requests.send(PbLeaseKeepAliveRequest { id }).await.expect("it reads");
        }
        drop(requests);
        let mut answer = String::new();
        while let Some(response) = responses.message().await.expect("no error") {
            answer += &without_ids(&format!("{response:?}\n"));
        }
        answers.push(answer);
    }
    assert_eq!(answers[0], answers[1]);
}

// W1, W2, W5, W10, W19, X-D, X-E
/// What a stream answers to what it is asked. Each request has the number of its responses: the
/// next one must not overtake them.
#[tokio::test]
async fn w1_frames_of_a_watch_stream() {
    let (mut pair, wires) = with_two_keys().await;
    pair.ctl("compact 3").await;
    let cancel = |id| {
        let mut union = PbWatchRequestUnion::CancelRequest(Default::default());
        if let PbWatchRequestUnion::CancelRequest(cancel) = &mut union {
            cancel.watch_id = id;
        }
        PbWatchRequest { request_union: Some(union) }
    };
    let progress = PbWatchRequest {
        request_union: Some(PbWatchRequestUnion::ProgressRequest(Default::default())),
    };
    let script = [
        (create(("a", ""), 4, 0), 2),
        (create(("a", "\0"), 0, 5), 1),
        (create(("a", "\0"), 0, 5), 1),
        (create(("b", "a"), 0, 0), 1),
        (create(("b", "a"), 0, 5), 1),
        (create(("", ""), 100, 0), 1),
        (create(("a", ""), 0, -1), 1),
        (cancel(77), 0),
        (cancel(-1), 1),
        (cancel(-1), 0),
        (create(("a", ""), 0, 1), 1),
        (create(("a", ""), 0, 0), 1),
        (cancel(5), 1),
        (create(("a", ""), 0, 5), 1),
        (create(("a", ""), 2, 0), 2),
        (PbWatchRequest::default(), 0),
        (cancel(3), 1),
    ];
    let mut answers = Vec::new();
    for wire in [&wires.real, &wires.fake] {
        let (requests, mut responses) = wire.watch();
        let mut answer = Vec::new();
        for (request, count) in &script {
            requests.send(request.clone()).await.expect("it reads");
            for _ in 0..*count {
                let response = timeout(PATIENCE, responses.message()).await;
                let response = response
                    .unwrap_or_else(|_| panic!("no answer to {request:?}, after {answer:#?}"));
                let response = response.expect("no error").expect("it goes on");
                answer.push(without_ids(&format!("{response:?}")));
            }
        }
        // Only of the watcher that began at 100 there is nothing to say.
        requests.send(cancel(1)).await.expect("it reads");
        requests.send(progress.clone()).await.expect("it reads");
        let response = responses.message().await.expect("no error").expect("it goes on");
        answer.push(without_ids(&format!("{response:?}")));
        answers.push(answer);
    }
    assert_eq!(answers[1], answers[0], "memkv left, etcd right");
}

// X-I
/// A client that has no more to ask still gets its events.
#[tokio::test]
async fn half_closed_watch_goes_on() {
    let (mut pair, wires) = with_two_keys().await;
    let mut streams = Vec::new();
    for wire in [&wires.real, &wires.fake] {
        let (requests, mut responses) = wire.watch();
        requests.send(create(("a", ""), 4, 0)).await.expect("it reads");
        drop(requests);
        let answers = [next(&mut responses).await, next(&mut responses).await];
        streams.push((responses, answers.to_vec()));
    }
    pair.ctl("put a 3").await;
    for (responses, answers) in &mut streams {
        answers.push(next(responses).await);
    }
    assert_eq!(streams[1].1, streams[0].1, "memkv left, etcd right");
}

async fn next(responses: &mut Answers<PbWatchResponse>) -> String {
    let response = timeout(PATIENCE, responses.message()).await.expect("an answer");
    without_ids(&format!("{:?}", response.expect("no error").expect("it goes on")))
}
