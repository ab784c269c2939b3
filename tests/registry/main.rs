//! The example `registry`, as a process of its own, on memory.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests fail the test that uses them"
)]

mod changes;
mod imports;
mod listing;
mod preconditions;
mod services;
mod starting;
mod stopping;
#[path = "../registry_support/mod.rs"]
mod support;
mod tokens;
