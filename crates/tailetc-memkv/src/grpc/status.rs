//! Refusals as gRPC statuses.

use tailetc_core::backend::{BackendError, BackendErrorKind as Kind};
use tonic::{Code, Status};

/// A refusal in etcd's words under etcd's code (etcd: `api/v3rpc/rpctypes/error.go`).
pub(super) fn refused(error: &BackendError) -> Status {
    Status::new(code(error.kind()), error.message())
}

fn code(kind: Kind) -> Code {
    match kind {
        Kind::DuplicateKey
        | Kind::InvalidRequest
        | Kind::KeyNotFound
        | Kind::RequestTooLarge
        | Kind::TooManyOps => Code::InvalidArgument,
        Kind::Compacted { .. } | Kind::FutureRevision | Kind::LeaseTtlTooLarge => Code::OutOfRange,
        Kind::LeaseNotFound => Code::NotFound,
        Kind::LeaseExists => Code::FailedPrecondition,
        Kind::NoSpace | Kind::TooManyRequests => Code::ResourceExhausted,
        Kind::Closed | Kind::Unavailable | Kind::Unreachable => Code::Unavailable,
        Kind::PermissionDenied => Code::PermissionDenied,
        Kind::Unauthenticated => Code::Unauthenticated,
        Kind::Unsupported => Code::Unimplemented,
        Kind::Timeout => Code::DeadlineExceeded,
        // The kinds of other backends, of which this store has none.
        _ => Code::Unknown,
    }
}

/// What a real server has and this one has not.
pub(super) fn not_offered(what: &str) -> Status {
    Status::unimplemented(format!("memkv: this in-memory etcd does not offer {what}"))
}

/// A method that the release imitated has not, in the words of a gRPC server without it.
pub(super) fn unknown_method(service: &str, method: &str) -> Status {
    Status::unimplemented(format!("unknown method {method} for service {service}"))
}

/// Why the streams of a server end that shuts down.
pub(super) fn stopped() -> Status {
    Status::unavailable("etcdserver: server stopped")
}
