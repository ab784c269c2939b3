use std::sync::Arc;

use super::*;

fn kind(code: Code, message: &str) -> BackendErrorKind {
    from_client(Error::GRpcStatus(Status::new(code, message))).kind()
}

#[test]
fn refusals_of_the_server_have_a_kind_that_says_not_applied() {
    let compacted = Kind::Compacted { compact_revision: Revision::ZERO };
    for (code, message, expected) in [
        (Code::InvalidArgument, "etcdserver: key is not provided", Kind::InvalidRequest),
        (Code::InvalidArgument, "etcdserver: key not found", Kind::KeyNotFound),
        (Code::InvalidArgument, "etcdserver: value is provided", Kind::InvalidRequest),
        (Code::InvalidArgument, "etcdserver: too many operations in txn request", Kind::TooManyOps),
        (
            Code::InvalidArgument,
            "etcdserver: duplicate key given in txn request",
            Kind::DuplicateKey,
        ),
        (Code::InvalidArgument, "etcdserver: request is too large", Kind::RequestTooLarge),
        (Code::InvalidArgument, "etcdserver: user name is empty", Kind::Unauthenticated),
        (
            Code::InvalidArgument,
            "etcdserver: authentication failed, invalid user ID or password",
            Kind::Unauthenticated,
        ),
        (Code::InvalidArgument, "etcdserver: revision of auth store is old", Kind::Unauthenticated),
        (Code::OutOfRange, "etcdserver: mvcc: required revision has been compacted", compacted),
        (
            Code::OutOfRange,
            "etcdserver: mvcc: required revision is a future revision",
            Kind::FutureRevision,
        ),
        (Code::OutOfRange, "etcdserver: too large lease TTL", Kind::LeaseTtlTooLarge),
        (Code::NotFound, "etcdserver: requested lease not found", Kind::LeaseNotFound),
        (Code::FailedPrecondition, "etcdserver: lease already exists", Kind::LeaseExists),
        (Code::ResourceExhausted, "etcdserver: mvcc: database space exceeded", Kind::NoSpace),
        (Code::ResourceExhausted, "etcdserver: too many requests", Kind::TooManyRequests),
        (
            Code::ResourceExhausted,
            "grpc: received message larger than max (2099200 vs. 2097152)",
            Kind::RequestTooLarge,
        ),
        (Code::PermissionDenied, "etcdserver: permission denied", Kind::PermissionDenied),
        (Code::Unauthenticated, "etcdserver: invalid auth token", Kind::Unauthenticated),
        (Code::Unimplemented, "unknown method RangeStream", Kind::Unsupported),
    ] {
        assert_eq!(kind(code, message), expected, "{message}");
        assert!(!expected.is_outcome_unknown(), "{message}");
    }
}

#[test]
fn failures_on_the_way_leave_the_outcome_unknown() {
    for (code, message) in [
        (Code::Unavailable, "etcdserver: leader changed"),
        (Code::Unavailable, "etcdserver: request timed out"),
        (Code::DeadlineExceeded, "context deadline exceeded"),
        (Code::Cancelled, "context canceled"),
        (Code::Internal, "stream terminated by RST_STREAM"),
        (Code::DataLoss, "etcdserver: corrupt cluster"),
        // The answer was too large, not the request.
        (
            Code::OutOfRange,
            "Error, decoded message length too large: found 5 bytes, the limit is: 4 bytes",
        ),
        (Code::ResourceExhausted, "trying to send message larger than max (5 vs. 4)"),
    ] {
        assert!(kind(code, message).is_outcome_unknown(), "{message}");
    }
}

#[test]
fn unreachable_is_only_what_was_never_sent() {
    let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
    let mut status = Status::unavailable("tcp connect error");
    status.set_source(Arc::new(ConnectError(refused.into())));
    assert_eq!(from_client(Error::GRpcStatus(status)).kind(), Kind::Unreachable);

    // A broken connection can look like a refusal by its code.
    let reset = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
    let mut status = Status::permission_denied("h2 protocol error");
    status.set_source(Arc::new(reset));
    assert_eq!(from_client(Error::GRpcStatus(status)).kind(), Kind::Unavailable);
}

#[test]
fn error_keeps_the_words_of_the_server_and_the_cause() {
    let error = from_client(Error::GRpcStatus(Status::unavailable("etcdserver: no leader")));
    assert_eq!(error.message(), "etcdserver: no leader");
    assert!(error.source().is_some_and(|source| source.is::<Status>()));
}

#[test]
fn cancel_reasons_become_kinds() {
    let seven = Kind::Compacted { compact_revision: Revision::new(7) };
    let zero = Kind::Compacted { compact_revision: Revision::ZERO };
    for (reason, compact_revision, expected) in [
        ("", 7, seven),
        ("etcdserver: mvcc: required revision has been compacted", 0, zero),
        ("mvcc: watcher range is empty", 0, Kind::EmptyRange),
        (
            "rpc error: code = PermissionDenied desc = etcdserver: permission denied",
            0,
            Kind::PermissionDenied,
        ),
        (
            "rpc error: code = Unauthenticated desc = etcdserver: invalid auth token",
            0,
            Kind::Unauthenticated,
        ),
        (
            "rpc error: code = InvalidArgument desc = etcdserver: user name is empty",
            0,
            Kind::Unauthenticated,
        ),
        ("etcdserver: no leader", 0, Kind::Unavailable),
        ("", 0, Kind::Unavailable),
        ("something new", 0, Kind::Unknown),
    ] {
        let error = from_cancel_reason(reason, compact_revision);
        assert_eq!(error.kind(), expected, "{reason}");
        assert!(!error.message().is_empty());
    }
}
