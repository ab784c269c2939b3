//! The backend, and the launcher of servers, with a real etcd server.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "the helpers of a test may fail it"
)]

mod auth;
mod common;
mod failures;
mod kv;
mod launcher;
mod leases;
#[cfg(feature = "tls")]
mod tls;
mod watches;
