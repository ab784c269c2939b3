//! What the store does, seen through [`KvBackend`](tailetc_core::backend::KvBackend).
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking, in its helpers too"
)]

mod compaction;
mod delete;
#[cfg(feature = "faults")]
mod faults;
mod hash;
mod leases;
mod limits;
mod maintenance;
mod put;
mod range;
mod refusals;
mod revisions;
mod support;
mod txn;
mod watch;
mod watch_backlog;
mod watch_progress;
mod wide;
