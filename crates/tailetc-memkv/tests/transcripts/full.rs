//! A server that is out of space.

use etcd_client::proto::{
    PbDeleteRequest, PbDeleteResponse, PbLeaseGrantRequest, PbLeaseGrantResponse, PbPutRequest,
    PbPutResponse, PbRangeRequest, PbTxnOpRequest, PbTxnRequest, PbTxnRequestOp, PbTxnResponse,
};
use tailetc_memkv::MemKv;
use tailetc_memkv::grpc::Server;
use tailetc_testkit::etcd_server::{EtcdServer, EtcdServerOptions};
use tonic::{Code, Status};

use crate::wire::Wire;

const QUOTA: i64 = 200_000;

// T17
#[tokio::test]
async fn what_is_taken_without_space_is_equal() {
    let options = EtcdServerOptions::default().with_arg(format!("--quota-backend-bytes={QUOTA}"));
    let real = EtcdServer::start_with(options).await.expect("starting etcd");
    let version = real.version().parse().expect("a release");
    let store = MemKv::builder().with_imitate(version).with_quota_backend_bytes(QUOTA).build();
    let fake = Server::bind(store, "127.0.0.1:0").await.expect("loopback can be listened on");
    let real = answers(real.url()).await;
    assert_eq!(answers(fake.url()).await, real, "memkv left, etcd right");
}

/// What is taken and what is refused, in what words.
async fn answers(url: String) -> Vec<(&'static str, String)> {
    let mut wire = Wire::connect(url).await;
    fill(&mut wire).await;
    let (get, delete) = (get("a"), delete("a"));
    let nested = op(PbTxnOpRequest::RequestTxn(txn(vec![put()], vec![])));
    let mut answers = Vec::new();
    for (name, txn) in [
        ("a read", txn(vec![get.clone()], vec![])),
        ("a deletion", txn(vec![delete.clone()], vec![])),
        ("both", txn(vec![get, delete], vec![])),
        ("a put", txn(vec![put()], vec![])),
        ("a put that is not chosen", txn(vec![], vec![put()])),
        ("a nested put", txn(vec![nested], vec![])),
    ] {
        let answer = wire.call::<_, PbTxnResponse>("KV/Txn", txn).await;
        answers.push((name, shown(answer)));
    }
    let grant = PbLeaseGrantRequest { ttl: 60, id: 7 };
    let answer = wire.call::<_, PbLeaseGrantResponse>("Lease/LeaseGrant", grant).await;
    answers.push(("a grant", shown(answer)));
    let delete = PbDeleteRequest { key: b"a".to_vec(), ..PbDeleteRequest::default() };
    let answer = wire.call::<_, PbDeleteResponse>("KV/DeleteRange", delete).await;
    answers.push(("a plain deletion", shown(answer)));
    answers
}

/// Puts of a little, so that in the end there is no room for anything, and not only for the last.
async fn fill(wire: &mut Wire) {
    loop {
        let value = vec![0; 600];
        let put = PbPutRequest { key: b"full".to_vec(), value, ..PbPutRequest::default() };
        if let Err(status) = wire.call::<_, PbPutResponse>("KV/Put", put).await {
            assert_eq!(status.code(), Code::ResourceExhausted);
            break;
        }
    }
}

fn shown<A>(answer: Result<A, Status>) -> String {
    match answer {
        Ok(_) => "taken".to_owned(),
        Err(status) => format!("{:?}: {}", status.code(), status.message()),
    }
}

fn op(request: PbTxnOpRequest) -> PbTxnRequestOp {
    PbTxnRequestOp { request: Some(request) }
}

fn put() -> PbTxnRequestOp {
    op(PbTxnOpRequest::RequestPut(PbPutRequest { key: b"a".to_vec(), ..Default::default() }))
}

fn get(key: &str) -> PbTxnRequestOp {
    op(PbTxnOpRequest::RequestRange(PbRangeRequest { key: key.into(), ..Default::default() }))
}

fn delete(key: &str) -> PbTxnRequestOp {
    let delete = PbDeleteRequest { key: key.into(), ..Default::default() };
    op(PbTxnOpRequest::RequestDeleteRange(delete))
}

fn txn(success: Vec<PbTxnRequestOp>, failure: Vec<PbTxnRequestOp>) -> PbTxnRequest {
    PbTxnRequest { success, failure, ..PbTxnRequest::default() }
}
