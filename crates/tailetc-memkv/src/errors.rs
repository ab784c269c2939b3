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

/// To a read or a compaction: the server does not say where it compacted.
pub(crate) fn compacted() -> BackendError {
    compacted_at(Revision::ZERO)
}

/// To a watch, which learns the compaction revision.
pub(crate) fn compacted_at(compact_revision: Revision) -> BackendError {
    BackendError::new(
        Kind::Compacted { compact_revision },
        "etcdserver: mvcc: required revision has been compacted",
    )
}

pub(crate) fn future_revision() -> BackendError {
    BackendError::new(
        Kind::FutureRevision,
        "etcdserver: mvcc: required revision is a future revision",
    )
}

pub(crate) fn empty_watch_range() -> BackendError {
    BackendError::new(Kind::EmptyRange, "mvcc: watcher range is empty")
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

/// Not one of etcd's: its servers panic at the request, after it is in the log.
pub(crate) fn crashes_servers() -> BackendError {
    BackendError::new(
        Kind::InvalidRequest,
        "memkv: refused, it would crash an etcd server: the transaction deletes a key and then \
         puts it with ignore_value or ignore_lease",
    )
}
