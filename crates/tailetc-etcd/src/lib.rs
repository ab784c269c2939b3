//! The etcd backend of tailetc: [`EtcdBackend`], a [`KvBackend`](tailetc_core::backend::KvBackend)
//! over the crate `etcd-client`.
//!
//! ```no_run
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! use tailetc_core::backend::{KvBackendExt, PutRequest};
//! use tailetc_etcd::{EtcdBackend, EtcdOptions};
//!
//! let options = EtcdOptions::new(["http://127.0.0.1:2379"]);
//! let backend = EtcdBackend::connect(options).await?;
//! let revision = backend.put(PutRequest::new("key", "value")).await?;
//! # Ok(())
//! # }
//! ```
//!
//! # Which member answers
//!
//! All requests go to one member of the cluster, at first the first endpoint that answers. When it
//! cannot be reached, is cut off from its leader, loses the connection, lets a deadline pass or
//! answers with an error that says nothing of the request, the next request goes to the next
//! endpoint. Watches stay where they were opened until they fail.
//!
//! # Connections
//!
//! Up to three to each endpoint, each made when it is first used: for requests, for watches, and
//! for the streams on which leases are renewed. A consumer that does not read its watch makes
//! HTTP/2 hold back everything on the connection, or end it (the `h2` library does so over some
//! 13,000 small messages that nobody has read); so only watches suffer from it. Streams that stay
//! open count against what a proxy allows on one connection; so no request waits for them. Each
//! connection logs in by itself.
//!
//! # What is sent again, and what never is
//!
//! A request is sent again only when it certainly was not applied, and only
//!
//! - to the next endpoint (or once more to the only one) when no connection could be made, so that
//!   it was never sent at all;
//! - once, with a new token, when the server did not accept the token.
//!
//! Nothing else is repeated, at any layer: `tonic` does not retry, reconnects only for a later
//! request, and has one endpoint in each of its channels here, so that its balancer has nothing to
//! choose; the retry that `etcd-client` has for expired tokens is off. A write that was sent and
//! not answered ends with a kind for which
//! [`is_outcome_unknown`](tailetc_core::backend::BackendErrorKind::is_outcome_unknown) is true.
//!
//! # Deadlines
//!
//! Every request, the opening of a watch and a request for progress included, ends within
//! [`EtcdOptions::request_timeout`]. An open watch has no deadline; a connection on which nothing
//! comes back is closed by HTTP/2 pings within [`EtcdOptions::keep_alive_interval`] plus
//! [`EtcdOptions::keep_alive_timeout`], which ends its watches with an error.
//!
//! # Errors
//!
//! | gRPC code, text | kind |
//! |---|---|
//! | none: the connection could not be made | `Unreachable` |
//! | none: the connection broke | `Unavailable` |
//! | none: no answer within the deadline | `Timeout` |
//! | `InvalidArgument`, too many operations in txn request | `TooManyOps` |
//! | `InvalidArgument`, duplicate key given in txn request | `DuplicateKey` |
//! | `InvalidArgument`, request is too large | `RequestTooLarge` |
//! | `InvalidArgument`, key not found | `KeyNotFound` |
//! | `InvalidArgument`, user name is empty; authentication failed; revision of auth store is old | `Unauthenticated` |
//! | `InvalidArgument`, anything else | `InvalidRequest` |
//! | `OutOfRange`, required revision has been compacted | `Compacted` |
//! | `OutOfRange`, required revision is a future revision | `FutureRevision` |
//! | `OutOfRange`, too large lease TTL | `LeaseTtlTooLarge` |
//! | `OutOfRange`, anything else (an answer above the message limit) | `Unknown` |
//! | `NotFound`, requested lease not found | `LeaseNotFound` |
//! | `FailedPrecondition`, lease already exists | `LeaseExists` |
//! | `FailedPrecondition`, authentication is not enabled | `Unsupported` |
//! | `ResourceExhausted`, database space exceeded | `NoSpace` |
//! | `ResourceExhausted`, too many requests | `TooManyRequests` |
//! | `ResourceExhausted`, received message larger than max | `RequestTooLarge` |
//! | `PermissionDenied` | `PermissionDenied` |
//! | `Unauthenticated` | `Unauthenticated` |
//! | `Unimplemented` | `Unsupported` |
//! | `DeadlineExceeded` | `Timeout` |
//! | `Unavailable` (no leader, leader changed, stopped, request timed out) | `Unavailable` |
//! | anything else | `Unknown` |
//!
//! # Limits
//!
//! - Watch responses are asked for in fragments and put together; what a response may hold is
//!   bounded by [`EtcdOptions::max_message_bytes`].
//! - The answer to `lease_time_to_live` with keys must fit in 4 MiB, which `etcd-client` does not
//!   let one change.
//! - The first `lease_keep_alive` of a lease renews twice and so takes two round trips:
//!   `etcd-client` keeps the first answer to itself. Each later one takes one, on the same stream.
//!   There is a stream for each lease, because a renewal that is refused ends its stream; it takes
//!   some 13 KiB here and as much on the server. When no more can be opened, half of them are
//!   closed, and for some minutes the leases beyond are renewed on a stream for each time.

mod backend;
mod connect;
mod connection;
mod convert;
mod error;
mod fragments;
mod lease;
mod member;
mod members;
mod options;
#[cfg(feature = "tls")]
mod tls;
mod version;
mod watch;

pub use self::backend::EtcdBackend;
pub use self::options::EtcdOptions;
#[cfg(feature = "tls")]
pub use self::tls::EtcdTls;
