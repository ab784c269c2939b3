//! What failures of `etcd-client` mean: above all, whether a request was certainly not applied.

use std::error::Error as StdError;

use etcd_client::Error;
use tailetc_core::Revision;
use tailetc_core::backend::BackendErrorKind as Kind;
use tailetc_core::backend::{BackendError, BackendErrorKind};
use tonic::{Code, ConnectError, Status};

/// Turns a failure of `etcd-client` into one of the backend, with the cause kept.
pub(crate) fn from_client(error: Error) -> BackendError {
    match error {
        Error::GRpcStatus(status) => from_status(status),
        Error::TransportError(error) => {
            let kind = transport_kind(&error);
            BackendError::new(kind, error.to_string()).with_source(error)
        }
        Error::InvalidArgs(_) | Error::InvalidUri(_) | Error::InvalidMetadataValue(_) => {
            BackendError::new(Kind::InvalidRequest, error.to_string()).with_source(error)
        }
        Error::IoError(_) | Error::WatchError(_) | Error::LeaseKeepAliveError(_) => {
            BackendError::new(Kind::Unavailable, error.to_string()).with_source(error)
        }
        _ => BackendError::new(Kind::Unknown, error.to_string()).with_source(error),
    }
}

/// Turns the reason that a cancelled watch carries into an error. etcd gives the text alone, or a
/// whole gRPC error as text, or nothing.
pub(crate) fn from_cancel_reason(reason: &str, compact_revision: i64) -> BackendError {
    let compact_revision = Revision::new(compact_revision);
    let kind = if !compact_revision.is_zero() || reason.contains(COMPACTED) {
        Kind::Compacted { compact_revision }
    } else if reason.contains("watcher range is empty") {
        Kind::EmptyRange
    } else if reason.contains("permission denied") {
        Kind::PermissionDenied
    } else if is_about_the_token(reason) {
        Kind::Unauthenticated
    } else if reason.is_empty() || reason.contains("no leader") {
        Kind::Unavailable
    } else {
        Kind::Unknown
    };
    let message = match (kind, reason) {
        (Kind::Compacted { .. }, "") => "etcdserver: mvcc: required revision has been compacted",
        (_, "") => "the server cancelled the watch",
        (_, reason) => reason,
    };
    BackendError::new(kind, message)
}

/// A response that no etcd server sends.
pub(crate) fn malformed(what: &str) -> BackendError {
    BackendError::new(Kind::Unknown, format!("malformed response: {what}"))
}

const COMPACTED: &str = "required revision has been compacted";

fn from_status(status: Status) -> BackendError {
    // A status with a source was made here, from an error of the transport: its code is a guess,
    // and the server may have had the request.
    let kind = match status.source() {
        Some(source) => transport_kind(source),
        None => server_kind(status.code(), status.message()),
    };
    if status.source().is_none() {
        return BackendError::new(kind, status.message()).with_source(status);
    }
    // Every layer of the transport repeats the one below: the innermost says it all.
    let mut causes = std::iter::successors(status.source(), |&error| error.source());
    let text = causes.by_ref().last().map_or_else(String::new, ToString::to_string);
    BackendError::new(kind, text).with_source(status)
}

fn transport_kind(error: &(dyn StdError + 'static)) -> BackendErrorKind {
    let mut causes = std::iter::successors(Some(error), |&error| error.source());
    if causes.any(|cause| cause.is::<ConnectError>()) {
        Kind::Unreachable
    } else {
        Kind::Unavailable
    }
}

/// The kind of an error that the server sent. Texts are those of etcd's
/// `api/v3rpc/rpctypes/error.go`, and of the gRPC library that etcd is built with.
fn server_kind(code: Code, message: &str) -> BackendErrorKind {
    let says = |text| message.contains(text);
    match code {
        Code::InvalidArgument if says("too many operations in txn request") => Kind::TooManyOps,
        Code::InvalidArgument if says("duplicate key given in txn request") => Kind::DuplicateKey,
        Code::InvalidArgument if says("request is too large") => Kind::RequestTooLarge,
        Code::InvalidArgument if says("key not found") => Kind::KeyNotFound,
        Code::InvalidArgument if is_about_the_token(message) => Kind::Unauthenticated,
        Code::InvalidArgument => Kind::InvalidRequest,
        Code::OutOfRange if says(COMPACTED) => Kind::Compacted { compact_revision: Revision::ZERO },
        Code::OutOfRange if says("future revision") => Kind::FutureRevision,
        Code::OutOfRange if says("too large lease TTL") => Kind::LeaseTtlTooLarge,
        Code::NotFound if says("requested lease not found") => Kind::LeaseNotFound,
        Code::FailedPrecondition if says("lease already exists") => Kind::LeaseExists,
        Code::FailedPrecondition if says("authentication is not enabled") => Kind::Unsupported,
        Code::ResourceExhausted if says("database space exceeded") => Kind::NoSpace,
        Code::ResourceExhausted if says("too many requests") => Kind::TooManyRequests,
        Code::ResourceExhausted if says("received message larger than max") => {
            Kind::RequestTooLarge
        }
        Code::PermissionDenied => Kind::PermissionDenied,
        Code::Unauthenticated => Kind::Unauthenticated,
        Code::Unimplemented => Kind::Unsupported,
        Code::DeadlineExceeded => Kind::Timeout,
        Code::Unavailable => Kind::Unavailable,
        _ => Kind::Unknown,
    }
}

fn is_about_the_token(message: &str) -> bool {
    [
        "user name is empty",
        "authentication failed",
        "revision of auth store is old",
        "invalid auth token",
    ]
    .iter()
    .any(|text| message.contains(text))
}

#[cfg(test)]
mod tests;
