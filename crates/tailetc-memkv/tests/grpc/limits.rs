//! Limits and how it feels to hit them.

use etcd_client::proto::{
    PbPutRequest, PbPutResponse, PbRangeRequest, PbRangeResponse, PbWatchRequest, PbWatchResponse,
};
use tailetc_memkv::MemKv;
use tailetc_memkv::grpc::ServerOptions;
use tonic::{Code, Status};

use crate::wire::{Answers, create};
use crate::{serve, serve_with, soon};

fn put(size: usize) -> PbPutRequest {
    PbPutRequest { key: b"a".to_vec(), value: vec![b'v'; size], ..PbPutRequest::default() }
}

/// T16: what is too large for a request is refused as a request, what is too large for a message by
/// the transport.
// T16
#[tokio::test]
async fn t16_message_sizes() {
    let (_server, mut wire) = serve(&MemKv::new()).await;
    let mut refused = async |size| {
        let answer = wire.call::<_, PbPutResponse>("KV/Put", put(size)).await;
        let refused = answer.expect_err("it is too large");
        (refused.code(), refused.message().to_owned())
    };
    let as_request = (Code::InvalidArgument, "etcdserver: request is too large".to_owned());
    assert_eq!(refused(1_600_000).await, as_request);
    let text = "grpc: received message larger than max (2100008 vs. 2097152)";
    assert_eq!(refused(2_100_000).await, (Code::ResourceExhausted, text.to_owned()));
}

/// T16: the same for a message of a stream, which it ends.
// T16
#[tokio::test]
async fn t16_message_size_of_a_stream() {
    let (_server, wire) = serve(&MemKv::new()).await;
    let (requests, mut responses) = wire.watch();
    requests.send(create(("a", "\0"), 1, 0)).await.expect("it reads");
    assert!(next(&mut responses).await.created);
    let large = create((&"k".repeat(2_100_000), ""), 1, 0);
    requests.send(large).await.expect("it reads");
    let end = soon(responses.message()).await.expect_err("the stream ends");
    assert_eq!(end.code(), Code::ResourceExhausted);
    assert!(end.message().starts_with("grpc: received message larger than max ("), "{end:?}");
}

/// T16: what is read may be larger than what may be written.
#[tokio::test]
async fn answers_have_no_limit() {
    let store = MemKv::new();
    let (_server, mut wire) = serve(&store).await;
    for key in ["a", "b", "c", "d"] {
        let put = PbPutRequest { key: key.into(), ..put(1_500_000) };
        wire.call::<_, PbPutResponse>("KV/Put", put).await.expect("a put");
    }
    let all = PbRangeRequest { key: b"a".to_vec(), range_end: vec![0], ..Default::default() };
    let all = wire.call::<_, PbRangeResponse>("KV/Range", all).await.expect("an answer");
    assert_eq!(all.kvs.len(), 4);

    let (requests, mut responses) = wire.watch();
    requests.send(create(("a", "\0"), 1, 0)).await.expect("it reads");
    assert!(next(&mut responses).await.created);
    assert_eq!(next(&mut responses).await.events.len(), 4);
}

#[tokio::test]
async fn streams_are_limited_and_given_back() {
    let options = ServerOptions::default().with_max_watch_streams(1);
    let (_server, wire) = serve_with(&MemKv::new(), options).await;
    let (requests, mut responses) = wire.watch();
    requests.send(create(("a", ""), 0, 0)).await.expect("it reads");
    assert!(next(&mut responses).await.created);
    let (_requests, mut refused) = wire.watch();
    let refused = soon(refused.message()).await.expect_err("it is one too many");
    assert_eq!(refused.code(), Code::ResourceExhausted);
    drop((requests, responses));
    let again = async {
        loop {
            let (requests, mut responses) = wire.watch();
            let sent = requests.send(create(("a", ""), 0, 0)).await;
            if sent.is_ok() && responses.message().await.is_ok() {
                break;
            }
        }
    };
    soon(again).await;
}

#[tokio::test]
async fn watchers_of_a_stream_are_limited() {
    let options = ServerOptions::default().with_max_watchers_per_stream(2);
    let (_server, wire) = serve_with(&MemKv::new(), options).await;
    let (requests, mut responses) = wire.watch();
    for _ in 0..3 {
        requests.send(create(("a", "\0"), 0, 0)).await.expect("it reads");
    }
    let mut created = 0;
    let end = loop {
        match soon(responses.message()).await {
            Ok(Some(response)) => created += i32::from(response.created),
            Ok(None) => panic!("the stream ends without a word"),
            Err(end) => break end,
        }
    };
    // The end may overtake what was not sent yet.
    assert!(created <= 2);
    assert_eq!(end.code(), Code::ResourceExhausted);
}

async fn next(responses: &mut Answers<PbWatchResponse>) -> PbWatchResponse {
    let response: Result<_, Status> = soon(responses.message()).await;
    response.expect("the stream goes on").expect("the stream goes on")
}

/// As in etcd, a request without a request is passed over.
// X-E
#[tokio::test]
async fn empty_watch_request_is_passed_over() {
    let (_server, wire) = serve(&MemKv::new()).await;
    let (requests, mut responses) = wire.watch();
    requests.send(PbWatchRequest::default()).await.expect("it reads");
    requests.send(create(("a", "\0"), 1, 7)).await.expect("it reads");
    assert_eq!(next(&mut responses).await.watch_id, 7);
}
