//! The backend, and the launcher of servers, with a real etcd server.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "the helpers of a test may fail it"
)]

mod auth;
mod auth_mirror;
mod broken;
mod common;
mod failures;
mod kv;
mod launcher;
mod leases;
mod slow;
mod stub;
#[cfg(feature = "tls")]
mod tls;
mod watches;
