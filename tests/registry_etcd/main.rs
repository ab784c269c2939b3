//! The example `registry` on a real etcd server: two replicas, foreign writers, and crashes.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "the helpers of a test may fail it"
)]

mod crash;
mod imports;
mod replicas;
#[path = "../registry_support/mod.rs"]
mod support;
