//! Which refusal wins when there are several reasons.

use tailetc_core::Revision;
use tailetc_core::backend::{
    BackendErrorKind, Compare, KeyRange, KvBackend, PutRequest, RangeRequest, TxnOp, TxnRequest,
};
use tailetc_memkv::MemKv;

use crate::support::{assert_txn_refused, current, imitating, lease, put, read, rev};

fn leased(key: &'static str) -> TxnOp {
    PutRequest::new(key, "").with_lease(lease(404)).into()
}

fn kept(key: &'static str) -> TxnOp {
    PutRequest::new(key, "").with_ignore_value().into()
}

fn future() -> TxnOp {
    RangeRequest::new(KeyRange::key("a")).with_revision(rev(99)).into()
}

// X-A
#[tokio::test]
async fn form_is_checked_before_duplicates_before_size_before_state() {
    let small = MemKv::builder().with_max_request_bytes(40).build();
    let absent = Compare::mod_revision("", Revision::ZERO);
    let many = TxnRequest::new((0..129).map(|_| put("a", ""))).when([absent]);
    assert_txn_refused(&small, many, BackendErrorKind::TooManyOps).await;

    let empty_key = TxnRequest::new([put("a", ""), put("a", ""), put("", "")]);
    assert_txn_refused(&small, empty_key, BackendErrorKind::InvalidRequest).await;

    let duplicate = TxnRequest::new([leased("a"), put("a", "")]);
    assert_txn_refused(&small, duplicate, BackendErrorKind::DuplicateKey).await;

    let large = TxnRequest::new([leased("a"), put("b", "twenty bytes and more")]);
    assert_txn_refused(&small, large, BackendErrorKind::RequestTooLarge).await;

    let no_lease = TxnRequest::new([leased("a")]);
    assert_txn_refused(&small, no_lease, BackendErrorKind::LeaseNotFound).await;
}

// X-A
#[tokio::test]
async fn form_is_checked_in_the_branch_that_does_not_run() {
    let store = MemKv::new();
    let request = TxnRequest::new([]).otherwise([put("", "")]);
    assert_txn_refused(&store, request, BackendErrorKind::InvalidRequest).await;
    let request = TxnRequest::new([]).otherwise([put("a", ""), put("a", "")]);
    assert_txn_refused(&store, request, BackendErrorKind::DuplicateKey).await;
}

// T8
#[tokio::test]
async fn state_is_checked_only_in_the_branch_that_runs() {
    let store = MemKv::new();
    let request = TxnRequest::new([]).otherwise([leased("a"), kept("b"), future()]);
    assert!(store.txn(request).await.is_ok());
    let nested = TxnRequest::new([]).otherwise([leased("a")]);
    assert!(store.txn(TxnRequest::new([nested.into()])).await.is_ok());
}

// T8
#[tokio::test]
async fn state_is_checked_in_the_order_of_the_request() {
    use BackendErrorKind::{FutureRevision, KeyNotFound, LeaseNotFound};
    let store = MemKv::new();
    for (ops, kind) in [
        ([leased("a"), kept("b"), future()], LeaseNotFound),
        ([kept("b"), leased("a"), future()], KeyNotFound),
        ([future(), leased("a"), kept("b")], FutureRevision),
    ] {
        assert_txn_refused(&store, TxnRequest::new(ops.clone()), kind).await;
        let nested = TxnRequest::new([TxnRequest::new(ops).into()]);
        assert_txn_refused(&store, nested, kind).await;
    }
}

// T8
#[tokio::test]
async fn absent_key_or_unknown_lease_wins_in_one_put_by_version() {
    let put = || PutRequest::new("a", "").with_ignore_value().with_lease(lease(404));
    for (version, kind) in [
        ("3.4", BackendErrorKind::KeyNotFound),
        ("3.5", BackendErrorKind::KeyNotFound),
        ("3.6", BackendErrorKind::KeyNotFound),
        ("3.7", BackendErrorKind::LeaseNotFound),
    ] {
        let store = imitating(version);
        assert_txn_refused(&store, TxnRequest::new([put().into()]), kind).await;
        let plain = store.plain_put(&put()).expect_err("refused").kind();
        assert_eq!(plain, BackendErrorKind::LeaseNotFound, "{version}");
    }
}

// T8
#[tokio::test]
async fn puts_are_checked_before_all_ranges_or_in_turn_by_version() {
    let request = || {
        let nested = TxnRequest::new([future()]);
        TxnRequest::new([nested.into(), leased("b"), kept("c")])
    };
    for (version, kind) in [
        ("3.4", BackendErrorKind::LeaseNotFound),
        ("3.5", BackendErrorKind::LeaseNotFound),
        ("3.6", BackendErrorKind::FutureRevision),
        ("3.7", BackendErrorKind::FutureRevision),
    ] {
        assert_txn_refused(&imitating(version), request(), kind).await;
    }
}

// R3, T8
#[tokio::test]
async fn refusal_leaves_no_trace_of_earlier_operations() {
    let store = MemKv::new();
    let request = TxnRequest::new([put("a", ""), leased("b")]);
    assert_txn_refused(&store, request, BackendErrorKind::LeaseNotFound).await;
    assert_eq!(read(&store, "a").await, None);
}

// P2, T8
#[tokio::test]
async fn key_put_earlier_in_the_transaction_does_not_exist_yet() {
    let store = MemKv::new();
    let first = TxnRequest::new([put("a", "")]);
    let request = TxnRequest::new([first.into(), kept("b")]);
    assert_txn_refused(&store, request, BackendErrorKind::KeyNotFound).await;
    let range_at_the_new_revision =
        RangeRequest::new(KeyRange::key("a")).with_revision(rev(current(&store).await + 1));
    let request = TxnRequest::new([put("a", ""), range_at_the_new_revision.into()]);
    assert_txn_refused(&store, request, BackendErrorKind::FutureRevision).await;
}
