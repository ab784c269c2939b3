//! The conformance suite: what every store under tailetc must do, as tests.
//!
//! The cases hold a [`KvBackend`] against what an etcd server does, through the trait alone and as
//! one client. They pass on etcd 3.4.23, 3.5.1 and 3.5.30; where these differ, no case looks.
//!
//! # Testing a backend
//!
//! Say how a fresh and empty store is made, and let the macro write the tests:
//!
//! ```
//! use std::sync::Arc;
//!
//! use tailetc_core::backend::KvBackend;
//! use tailetc_memkv::MemKv;
//! use tailetc_testkit::conformance::Fixture;
//!
//! struct Fresh(MemKv);
//!
//! impl Fixture for Fresh {
//!     async fn start() -> Self {
//!         Self(MemKv::new())
//!     }
//!
//!     fn backend(&self) -> Arc<dyn KvBackend> {
//!         Arc::new(self.0.clone())
//!     }
//! }
//!
//! tailetc_testkit::conformance_tests!(Fresh);
//! # fn main() {}
//! ```
//!
//! Each case is then a `#[tokio::test]` under its own name, so `cargo test watch_` runs what
//! concerns watches. A backend cannot leave a case out: the list is written once, in this crate.
//! [`CASES`] is the same list as data, for a runner of one's own.
//!
//! # What a fixture owes
//!
//! - [`Fixture::start`] makes a store that nobody else uses: empty, at revision 1, never compacted,
//!   with etcd's default limits or those that its capabilities state.
//! - It lives until it is dropped, which is when the case is over; dropping it ends whatever it
//!   started.
//! - Time is real. Some cases wait for leases of 2 s.
//!
//! # Capabilities
//!
//! What a store cannot do it says in [`Capabilities`](tailetc_core::backend::Capabilities). No case
//! is skipped for it: a case about progress asserts on a store without reliable progress what must
//! hold all the same.
//!
//! # Names
//!
//! A case is called `<subject>_<condition>_<result>`, and its documentation is the rule that it
//! checks. The modules are areas; names are unique over all of them. Helpers and deadlines: a case
//! waits 10 s at most for any one thing and then says what it waited for.

#![expect(clippy::missing_panics_doc, clippy::panic, reason = "a case fails by panicking")]

mod cases;
pub mod compaction;
pub mod compare;
pub mod concurrency;
mod follow;
pub mod history;
pub mod lease;
pub mod progress;
pub mod put_delete;
pub mod range;
pub mod revisions;
mod support;
pub mod txn;
pub mod validation;
pub mod watch;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tailetc_core::backend::KvBackend;

pub use self::cases::{CASES, Case};

/// The longest that a case may take, whatever it does.
const CASE_DEADLINE: Duration = Duration::from_secs(120);

/// A fresh store for one case, and whatever keeps it running.
pub trait Fixture: Send + Sync + Sized + 'static {
    /// Makes a store that is empty, at revision 1, and nobody else's. Panics if it cannot: there
    /// is no test without a store.
    fn start() -> impl Future<Output = Self> + Send;

    /// The store under test.
    fn backend(&self) -> Arc<dyn KvBackend>;
}

/// Runs one case on a fixture of its own; the tests of
/// [`conformance_tests!`](crate::conformance_tests) call it.
pub async fn run<F, C, R>(case: C)
where
    F: Fixture,
    C: FnOnce(Arc<dyn KvBackend>) -> R + Send,
    R: Future<Output = ()> + Send,
{
    let fixture = F::start().await;
    let outcome = tokio::time::timeout(CASE_DEADLINE, case(fixture.backend())).await;
    assert!(outcome.is_ok(), "the case took longer than {CASE_DEADLINE:?}");
}
