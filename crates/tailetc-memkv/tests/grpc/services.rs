//! Which services there are, and that they are those of the store.

use etcd_client::Client;
use etcd_client::proto::{PbPutRequest, PbPutResponse, PbRangeRequest, PbRangeStreamResponse};
use tailetc_core::backend::{KvBackendExt as _, PutRequest};
use tailetc_memkv::{EtcdVersion, MemKv};
use tonic::Code;

use crate::serve;

#[tokio::test]
async fn served_store_is_the_one_at_hand() {
    let store = MemKv::new();
    let (server, _wire) = serve(&store).await;
    let mut client = Client::connect([server.url()], None).await.expect("it listens");

    store.put(PutRequest::new("a", "1")).await.expect("a put");
    let response = client.get("a", None).await.expect("an answer");
    assert_eq!(response.kvs()[0].value(), b"1");

    client.put("a", "2", None).await.expect("a put");
    let pair = store.get("a".into()).await.expect("an answer").expect("it is there");
    assert_eq!((&pair.value[..], pair.version), (&b"2"[..], 2));
}

#[tokio::test]
async fn what_is_not_offered_is_unimplemented() {
    let (_server, mut wire) = serve(&MemKv::new()).await;
    for method in [
        "Auth/AuthEnable",
        "Auth/Authenticate",
        "Cluster/MemberList",
        "Maintenance/Snapshot",
        "Maintenance/Hash",
        "Maintenance/MoveLeader",
        "Maintenance/Downgrade",
        "KV/NoSuchMethod",
    ] {
        // All of these take a message without fields.
        let refused = wire.call::<(), ()>(method, ()).await.expect_err(method);
        assert_eq!(refused.code(), Code::Unimplemented, "{method}: {refused:?}");
    }
}

/// G10: chunks of one revision, the first of ten keys, and everything about the whole in the last.
// G10
#[tokio::test]
async fn g10_range_stream() {
    let store = MemKv::new();
    let (_server, mut wire) = serve(&store).await;
    for key in 0..25 {
        let put = PbPutRequest { key: format!("{key:02}").into(), ..PbPutRequest::default() };
        wire.call::<_, PbPutResponse>("KV/Put", put).await.expect("a put");
    }
    let all =
        PbRangeRequest { key: b"\0".to_vec(), range_end: b"\0".to_vec(), ..Default::default() };
    let chunks = async |wire: &mut crate::wire::Wire, request: PbRangeRequest| {
        let chunks = wire.read::<_, PbRangeStreamResponse>("KV/RangeStream", request).await;
        let chunks = chunks.expect("it is offered").into_iter();
        chunks.map(|chunk| chunk.range_response.expect("a chunk")).collect::<Vec<_>>()
    };
    let whole = chunks(&mut wire, all.clone()).await;
    assert_eq!(whole.iter().map(|chunk| chunk.kvs.len()).collect::<Vec<_>>(), [10, 15]);
    assert_eq!(whole[0].header, None);
    let header = whole[1].header.expect("the last one has it");
    assert_eq!((header.revision, whole[1].count, whole[1].more), (26, 25, false));

    let part = PbRangeRequest { limit: 12, ..all.clone() };
    let part = chunks(&mut wire, part).await;
    assert_eq!(part.iter().map(|chunk| chunk.kvs.len()).collect::<Vec<_>>(), [10, 2]);
    assert_eq!((part[1].count, part[1].more), (25, true));

    let count = PbRangeRequest { count_only: true, ..all.clone() };
    let count = chunks(&mut wire, count).await;
    assert_eq!((count.len(), count[0].count, count[0].kvs.len()), (1, 25, 0));

    for odd in [
        PbRangeRequest { sort_order: 2, ..all.clone() },
        PbRangeRequest { sort_order: 1, sort_target: 1, ..all.clone() },
        PbRangeRequest { min_mod_revision: 2, ..all.clone() },
    ] {
        let refused = wire.read::<_, PbRangeStreamResponse>("KV/RangeStream", odd).await;
        assert_eq!(refused.expect_err("it is odd").code(), Code::Unimplemented);
    }
}

// G10
#[tokio::test]
async fn g10_range_stream_is_unknown_before_3_7() {
    let store = MemKv::builder().with_imitate(EtcdVersion::V3_6).build();
    let (_server, mut wire) = serve(&store).await;
    let all = PbRangeRequest { key: b"a".to_vec(), ..Default::default() };
    let refused = wire.read::<_, PbRangeStreamResponse>("KV/RangeStream", all).await;
    let refused = refused.expect_err("it is not offered");
    assert_eq!(refused.code(), Code::Unimplemented);
    assert_eq!(refused.message(), "unknown method RangeStream for service etcdserverpb.KV");
}
