//! The conformance suite: what every store under tailetc must do, as tests.
//!
//! The cases hold a [`KvBackend`] against what an etcd server does, through the trait alone and as
//! one client. They pass on etcd 3.4.23, 3.5.1, 3.5.30, 3.6.16 and 3.7.3; where servers differ, a
//! case accepts exactly the variants that its documentation names, or does not look.
//!
//! # Testing a backend
//!
//! 1. Depend on this crate, and on `tokio` with the features `macros` and `rt-multi-thread`, among
//!    the dev-dependencies.
//! 2. Say how a fresh and empty store is made, and let the macro write the tests, in
//!    `tests/conformance.rs`:
//!
//!    ```
//!    use std::sync::Arc;
//!
//!    use tailetc_core::backend::KvBackend;
//!    use tailetc_memkv::MemKv;
//!    use tailetc_testkit::conformance::Fixture;
//!
//!    struct Fresh(MemKv);
//!
//!    impl Fixture for Fresh {
//!        async fn start() -> Self {
//!            Self(MemKv::new())
//!        }
//!
//!        fn backend(&self) -> Arc<dyn KvBackend> {
//!            Arc::new(self.0.clone())
//!        }
//!    }
//!
//!    tailetc_testkit::conformance_tests!(Fresh);
//!    # fn main() {}
//!    ```
//!
//! 3. If the store lacks something, say so in its
//!    [`Capabilities`](tailetc_core::backend::Capabilities), and refuse it (see below).
//! 4. `cargo test --test conformance`. Each case is a `#[tokio::test]` under its own name:
//!    `cargo test --test conformance watch_` runs what concerns watches,
//!    `cargo test --test conformance -- --exact range_of_an_absent_key_is_empty` one case.
//!
//! A backend cannot leave a case out: the list is written once, in this crate. [`CASES`] is the same
//! list as data, for a runner of one's own. In this crate's repository,
//! `crates/tailetc-testkit/tests/third_party` is the whole of it for a backend by somebody else,
//! which lacks leases and nested transactions: `plain.rs` is the backend, `main.rs` its test.
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
//! What a store cannot do it says in [`Capabilities`](tailetc_core::backend::Capabilities), and what
//! it says it lacks it refuses as
//! [`Unsupported`](tailetc_core::backend::BackendErrorKind::Unsupported), wherever it stands in a
//! request (the branch of a transaction that would not run included), before anything is applied.
//! Each case says what it [needs](Case::needs). None is skipped: on a store that lacks it, the case
//! asserts the refusal instead. A case about progress asserts on a store without reliable progress
//! what must hold all the same.
//!
//! # When a case fails
//!
//! - The message says which answer was wrong, or what was waited for: a case waits 10 s at most for
//!   any one thing, and 2 minutes in all.
//! - The case's documentation is the rule in words, and ends with the rules' identifiers
//!   (`Rules: G5, G6.`). `docs/fidelity.md` of the repository says the same of each rule, where in
//!   etcd's source it is, and which other cases are about it: they often fail together, and the
//!   simplest of them is where to begin.
//! - To see that it is the store and not the case, run the case on a real server: the facade's test
//!   `conformance_etcd` does, with the server's binary in `TAILETC_ETCD`. The server is right.
//! - Cases are independent: each has a store of its own, and no case leaves anything to another.
//!
//! # Names
//!
//! A case is called `<subject>_<condition>_<result>`. The modules are areas; names are unique over
//! all of them.

#![expect(clippy::missing_panics_doc, clippy::panic, reason = "a case fails by panicking")]

mod capability;
mod cases;
pub mod compaction;
pub mod compare;
pub mod concurrency;
pub mod filter;
mod follow;
pub mod history;
pub mod keep;
pub mod lease;
pub mod lease_txn;
mod list;
pub mod lost_history;
pub mod nesting;
pub mod precedence;
pub mod progress;
pub mod put_delete;
pub mod range;
pub mod revisions;
pub mod sort;
mod support;
pub mod txn;
pub mod validation;
pub mod watch;
pub mod watch_filter;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tailetc_core::backend::KvBackend;

pub use self::capability::Capability;
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

/// Runs the case called `name` on a fixture of its own; the tests of
/// [`conformance_tests!`](crate::conformance_tests) call it.
pub async fn run<F: Fixture>(name: &str) {
    let Some(case) = CASES.iter().find(|case| case.name == name) else {
        panic!("there is no case `{name}`");
    };
    let fixture = F::start().await;
    let outcome = tokio::time::timeout(CASE_DEADLINE, case.run(fixture.backend())).await;
    assert!(outcome.is_ok(), "the case took longer than {CASE_DEADLINE:?}");
}
