//! etcd's refusals in its own words (`api/v3rpc/rpctypes/error.go`).

use tailetc_core::Revision;
use tailetc_core::backend::{BackendError, BackendErrorKind as Kind};

pub(crate) fn empty_key() -> BackendError {
    BackendError::new(Kind::InvalidRequest, "etcdserver: key is not provided")
}

pub(crate) fn value_provided() -> BackendError {
    BackendError::new(Kind::InvalidRequest, "etcdserver: value is provided")
}

pub(crate) fn lease_provided() -> BackendError {
    BackendError::new(Kind::InvalidRequest, "etcdserver: lease is provided")
}

/// What etcd says to an operation that is none.
pub(crate) fn unset_op() -> BackendError {
    BackendError::new(Kind::InvalidRequest, "etcdserver: key not found")
}

pub(crate) fn invalid_sort_option() -> BackendError {
    BackendError::new(Kind::InvalidRequest, "etcdserver: invalid sort option")
}

pub(crate) fn key_not_found() -> BackendError {
    BackendError::new(Kind::KeyNotFound, "etcdserver: key not found")
}

pub(crate) fn too_many_ops() -> BackendError {
    BackendError::new(Kind::TooManyOps, "etcdserver: too many operations in txn request")
}

pub(crate) fn duplicate_key() -> BackendError {
    BackendError::new(Kind::DuplicateKey, "etcdserver: duplicate key given in txn request")
}

pub(crate) fn request_too_large() -> BackendError {
    BackendError::new(Kind::RequestTooLarge, "etcdserver: request is too large")
}

/// As a text: watches carry it without a code.
pub(crate) const COMPACTED: &str = "etcdserver: mvcc: required revision has been compacted";

/// The reason of a watch that was not created.
pub(crate) const EMPTY_WATCH_RANGE: &str = "mvcc: watcher range is empty";

/// The reason of a watch that was not created.
pub(crate) const DUPLICATE_WATCH_ID: &str = "mvcc: duplicate watch ID provided on the WatchStream";

/// To a read or a compaction: the server does not say where it compacted.
pub(crate) fn compacted() -> BackendError {
    compacted_at(Revision::ZERO)
}

/// To a watch, which learns the compaction revision.
pub(crate) fn compacted_at(compact_revision: Revision) -> BackendError {
    BackendError::new(Kind::Compacted { compact_revision }, COMPACTED)
}

pub(crate) fn future_revision() -> BackendError {
    BackendError::new(
        Kind::FutureRevision,
        "etcdserver: mvcc: required revision is a future revision",
    )
}

pub(crate) fn no_space() -> BackendError {
    BackendError::new(Kind::NoSpace, "etcdserver: mvcc: database space exceeded")
}

pub(crate) fn empty_watch_range() -> BackendError {
    BackendError::new(Kind::EmptyRange, EMPTY_WATCH_RANGE)
}

pub(crate) fn lease_not_found() -> BackendError {
    BackendError::new(Kind::LeaseNotFound, "etcdserver: requested lease not found")
}

pub(crate) fn lease_exists() -> BackendError {
    BackendError::new(Kind::LeaseExists, "etcdserver: lease already exists")
}

pub(crate) fn lease_ttl_too_large() -> BackendError {
    BackendError::new(Kind::LeaseTtlTooLarge, "etcdserver: too large lease TTL")
}

/// Not one of etcd's.
pub(crate) fn kept_of_deleted() -> BackendError {
    BackendError::new(
        Kind::InvalidRequest,
        "memkv: ignore_value or ignore_lease of a key that the transaction deletes",
    )
}
