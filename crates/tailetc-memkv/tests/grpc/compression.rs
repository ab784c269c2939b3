//! Compressed messages.

use etcd_client::proto::{PbPutRequest, PbPutResponse, PbRangeRequest, PbRangeResponse};
use tailetc_memkv::{EtcdVersion, MemKv};
use tonic::Code;

use crate::wire::{Wire, create};
use crate::{serve, soon};

fn get() -> PbRangeRequest {
    PbRangeRequest { key: b"a".to_vec(), ..PbRangeRequest::default() }
}

fn put(size: usize) -> PbPutRequest {
    PbPutRequest { key: b"a".to_vec(), value: vec![b'v'; size], ..PbPutRequest::default() }
}

// S1
#[tokio::test]
async fn answer_is_compressed_if_the_request_is() {
    let (server, mut plain) = serve(&MemKv::new()).await;
    plain.call::<_, PbPutResponse>("KV/Put", put(100_000)).await.expect("a put");
    let mut accepting = Wire::connect(server.url()).await.accepting_compressed();
    let mut compressed = Wire::connect(server.url()).await.compressed();
    for (wire, expected) in
        [(&mut plain, None), (&mut accepting, None), (&mut compressed, Some("gzip"))]
    {
        let answer = wire.call_encoded::<_, PbRangeResponse>("KV/Range", get()).await;
        let (answer, encoding) = answer.expect("an answer");
        assert_eq!(encoding.as_deref(), expected);
        assert_eq!(answer.kvs[0].value.len(), 100_000);
    }
}

// S1
#[tokio::test]
async fn streams_are_compressed_too() {
    let (server, _plain) = serve(&MemKv::new()).await;
    let mut wire = Wire::connect(server.url()).await.compressed();
    let (requests, mut responses) = wire.watch();
    requests.send(create(("a", ""), 0, 0)).await.expect("it reads");
    let created = soon(responses.message()).await.expect("a response").expect("a response");
    assert!(created.created);
    wire.call::<_, PbPutResponse>("KV/Put", put(1)).await.expect("a put");
    let response = soon(responses.message()).await.expect("a response").expect("a response");
    assert_eq!(response.events.len(), 1);
}

/// What is small on the wire counts as what it is.
// S1, T16
#[tokio::test]
async fn limits_are_on_what_was_compressed() {
    let (server, _plain) = serve(&MemKv::new()).await;
    let mut wire = Wire::connect(server.url()).await.compressed();
    let mut refused = async |size| {
        let answer = wire.call::<_, PbPutResponse>("KV/Put", put(size)).await;
        let refused = answer.expect_err("it is too large");
        (refused.code(), refused.message().to_owned())
    };
    let as_request = (Code::InvalidArgument, "etcdserver: request is too large".to_owned());
    assert_eq!(refused(1_600_000).await, as_request);
    let text = "grpc: received message after decompression larger than max 2097152";
    assert_eq!(refused(2_200_000).await, (Code::ResourceExhausted, text.to_owned()));
}

// S1
#[tokio::test]
async fn release_3_4_knows_no_compression() {
    let store = MemKv::builder().with_imitate(EtcdVersion::V3_4).build();
    let (server, _plain) = serve(&store).await;
    let mut wire = Wire::connect(server.url()).await.compressed();
    let refused = wire.call::<_, PbRangeResponse>("KV/Range", get()).await;
    let refused = refused.expect_err("it is not known");
    let text = r#"grpc: Decompressor is not installed for grpc-encoding "gzip""#;
    assert_eq!((refused.code(), refused.message()), (Code::Unimplemented, text));
}
