//! Reads and writes against a real server.

use crate::common::{is_progress_reliable, start, start_with};
use bytes::Bytes;
use tailetc_core::Revision;
use tailetc_core::backend::{
    BackendErrorKind, Compare, CompareResult, CompareTarget, DeleteRequest, KeyRange, KvBackend,
    KvBackendExt, PutRequest, RangeRequest, TxnOp, TxnOpResponse, TxnRequest,
};
use tailetc_testkit::etcd_server::EtcdServerOptions;

#[tokio::test]
async fn txn_runs_the_branch_that_its_compares_choose() {
    let (_server, etcd) = start().await;
    let first = etcd.put(PutRequest::new("a", "1")).await.unwrap();
    assert_eq!(first, Revision::new(2));

    let request = TxnRequest::new([
        PutRequest::new("b", "2").with_prev_kv().into(),
        DeleteRequest::new(KeyRange::prefix("a")).with_prev_kv().into(),
        RangeRequest::new(KeyRange::all()).into(),
    ])
    .when([Compare::mod_revision("a", first), Compare::mod_revision("b", Revision::ZERO)])
    .otherwise([RangeRequest::new(KeyRange::key("a")).into()]);

    let response = etcd.txn(request.clone()).await.unwrap();
    assert!(response.succeeded);
    assert_eq!(response.header.revision, first.next());
    let [TxnOpResponse::Put(put), TxnOpResponse::Delete(delete), TxnOpResponse::Range(range)] =
        &response.responses[..]
    else {
        panic!("{response:?}");
    };
    assert_eq!(put.prev_kv, None);
    assert_eq!((delete.deleted, &delete.prev_kvs[0].value[..]), (1, &b"1"[..]));
    // The range sees the earlier operations of its transaction.
    assert_eq!(range.kvs.len(), 1);
    assert_eq!(range.kvs[0].mod_revision, first.next());

    let again = etcd.txn(request).await.unwrap();
    assert!(!again.succeeded);
    let [TxnOpResponse::Range(range)] = &again.responses[..] else {
        panic!("{again:?}");
    };
    assert!(range.kvs.is_empty());
}

#[tokio::test]
async fn range_pages_at_one_revision() {
    let (_server, etcd) = start().await;
    for key in ["k/a", "k/b", "k/c"] {
        etcd.put(PutRequest::new(key, "old")).await.unwrap();
    }
    let request = RangeRequest::new(KeyRange::prefix("k/")).with_limit(2);
    let page = etcd.range(request.clone()).await.unwrap();
    assert_eq!((page.kvs.len(), page.more, page.count), (2, true, 3));

    let at = page.header.revision;
    etcd.put(PutRequest::new("k/c", "new")).await.unwrap();
    let rest = RangeRequest::new(KeyRange::span("k/b\0", "k0")).with_revision(at);
    let page = etcd.range(rest).await.unwrap();
    assert_eq!(page.kvs[0].value, "old");
    assert_eq!(page.header.revision, at.next());

    let keys = etcd.range(request.with_keys_only()).await.unwrap();
    assert!(keys.kvs.iter().all(|kv| kv.value.is_empty()));
}

#[tokio::test]
async fn refusals_carry_their_kind() {
    let (_server, etcd) =
        start_with(EtcdServerOptions::default().with_arg("--max-txn-ops=4")).await;
    etcd.put(PutRequest::new("a", "1")).await.unwrap();
    etcd.put(PutRequest::new("a", "2")).await.unwrap();
    etcd.compact(Revision::new(3)).await.unwrap();

    let put = |key: &'static str| TxnOp::from(PutRequest::new(key, ""));
    let big = |len: usize| PutRequest::new("big", Bytes::from(vec![b'x'; len]));
    for (request, expected) in [
        (
            TxnRequest::new([put("a"), put("b"), put("c"), put("d"), put("e")]),
            BackendErrorKind::TooManyOps,
        ),
        (TxnRequest::new([put("a"), put("a")]), BackendErrorKind::DuplicateKey),
        (TxnRequest::new([put("")]), BackendErrorKind::InvalidRequest),
        (
            TxnRequest::new([PutRequest::new("none", "").with_ignore_value().into()]),
            BackendErrorKind::KeyNotFound,
        ),
        (
            TxnRequest::new([PutRequest::new("a", "")
                .with_lease(tailetc_core::LeaseId::new(77))
                .into()]),
            BackendErrorKind::LeaseNotFound,
        ),
        // The server's own limit, and that of its transport.
        (TxnRequest::new([big(1_600_000).into()]), BackendErrorKind::RequestTooLarge),
        (TxnRequest::new([big(2_200_000).into()]), BackendErrorKind::RequestTooLarge),
    ] {
        let error = etcd.txn(request).await.unwrap_err();
        assert_eq!(error.kind(), expected, "{error}");
        assert!(error.message().contains("etcdserver") || error.message().contains("grpc"));
    }

    let at =
        |revision| RangeRequest::new(KeyRange::key("a")).with_revision(Revision::new(revision));
    let compacted = etcd.range(at(2)).await.unwrap_err();
    assert!(matches!(compacted.kind(), BackendErrorKind::Compacted { .. }));
    let future = etcd.range(at(99)).await.unwrap_err();
    assert_eq!(future.kind(), BackendErrorKind::FutureRevision);
    let twice = etcd.compact(Revision::new(3)).await.unwrap_err();
    assert!(matches!(twice.kind(), BackendErrorKind::Compacted { .. }));
    let ahead = etcd.compact(Revision::new(99)).await.unwrap_err();
    assert_eq!(ahead.kind(), BackendErrorKind::FutureRevision);
    let current = etcd.get("a".into()).await.unwrap().unwrap();
    assert_eq!(current.value, "2");
}

#[tokio::test]
async fn answer_above_four_mebibytes_is_read() {
    let (_server, etcd) = start().await;
    for key in ["a", "b", "c", "d", "e", "f"] {
        let value = Bytes::from(vec![b'x'; 1_000_000]);
        etcd.put(PutRequest::new(key, value)).await.unwrap();
    }
    let all = etcd.range(RangeRequest::new(KeyRange::all())).await.unwrap();
    assert_eq!(all.kvs.len(), 6);
}

#[tokio::test]
async fn value_compare_reaches_a_whole_range() {
    let (_server, etcd) = start().await;
    etcd.put(PutRequest::new("r/a", "x")).await.unwrap();
    etcd.put(PutRequest::new("r/b", "y")).await.unwrap();
    let holds = async |value: &'static str, result| {
        let target = CompareTarget::Value(value.into());
        let compare = Compare::new(KeyRange::prefix("r/"), target, result);
        let range = RangeRequest::new(KeyRange::key("r/a"));
        let request =
            TxnRequest::new([range.clone().into()]).otherwise([range.into()]).when([compare]);
        etcd.txn(request).await.unwrap().succeeded
    };
    assert!(holds("w", CompareResult::Greater).await);
    assert!(!holds("x", CompareResult::Greater).await);
    assert!(holds("z", CompareResult::NotEqual).await);
}

#[tokio::test]
async fn status_names_the_version_and_decides_on_progress() {
    let (server, etcd) = start().await;
    let status = etcd.status().await.unwrap();
    assert_eq!(status.version, server.version());
    assert_eq!(status.header.revision, Revision::new(1));
    assert_ne!(status.header.cluster_id, 0);
    let reliable = is_progress_reliable(&server);
    assert_eq!(etcd.capabilities().reliable_progress, reliable);
}
