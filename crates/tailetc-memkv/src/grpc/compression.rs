//! When messages are compressed: the rule of the Go library that etcd is built with
//! (`google.golang.org/grpc`, `server.go`).

use hyper::http::{HeaderMap, HeaderName, HeaderValue};
use tonic::Status;

use crate::version::EtcdVersion;

const ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
const ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");

/// Makes answers compressed if the request is, whatever the client says that it accepts.
///
/// # Errors
///
/// An encoding that the release does not know, even if no message makes use of it.
pub(super) fn settle(headers: &mut HeaderMap, version: EtcdVersion) -> Result<(), Status> {
    headers.remove(ACCEPT_ENCODING);
    let encoding = headers.get(ENCODING).map(HeaderValue::as_bytes).unwrap_or_default();
    match encoding {
        b"" | b"identity" => Ok(()),
        b"gzip" if version.has_gzip() => {
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
            Ok(())
        }
        other => {
            let other = String::from_utf8_lossy(other);
            Err(Status::unimplemented(format!(
                "grpc: Decompressor is not installed for grpc-encoding {other:?}"
            )))
        }
    }
}
