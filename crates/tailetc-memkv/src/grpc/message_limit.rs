//! The limit on received messages, in the words of the Go library that etcd is built with.

use tonic::{Code, Status};

/// What a server takes on top of its largest request (etcd: `grpcOverheadBytes` of
/// `server/etcdserver/api/v3rpc/grpc.go`).
const OVERHEAD_BYTES: usize = 512 * 1024;

/// The largest message that a server with `max_request_bytes` receives, in bytes.
pub(super) fn of(max_request_bytes: usize) -> usize {
    max_request_bytes.saturating_add(OVERHEAD_BYTES)
}

/// The status that tonic gives for a message above the limit, as etcd gives it; any other as it
/// is.
pub(super) fn reword(status: Status) -> Status {
    too_large(&status).unwrap_or(status)
}

/// What etcd says instead of `status`, if that is for a message above the limit.
pub(super) fn too_large(status: &Status) -> Option<Status> {
    let text = match sizes(status.code(), status.message()) {
        Some((found, limit)) => {
            format!("grpc: received message larger than max ({found} vs. {limit})")
        }
        None => {
            let limit = decompression_limit(status.code(), status.message())?;
            format!("grpc: received message after decompression larger than max {limit}")
        }
    };
    Some(Status::resource_exhausted(text))
}

/// The limit, from the text of tonic's decoder for what becomes too large by decompression.
fn decompression_limit(code: Code, message: &str) -> Option<&str> {
    if code != Code::ResourceExhausted {
        return None;
    }
    let rest = message.strip_prefix("Error decompressing: size limit, of ")?;
    rest.strip_suffix(" bytes, exceeded while decompressing message")
}

/// The size found and the limit, from the text of tonic's decoder.
fn sizes(code: Code, message: &str) -> Option<(&str, &str)> {
    if code != Code::OutOfRange {
        return None;
    }
    let rest = message.strip_prefix("Error, decoded message length too large: found ")?;
    let (found, rest) = rest.split_once(" bytes, the limit is: ")?;
    Some((found, rest.strip_suffix(" bytes")?))
}
