//! What the cross-crate tests share: stores to run on, a backend to interfere with, deadlines.

#![allow(clippy::allow_attributes, reason = "which items are unused differs by test binary")]
#![allow(dead_code, unused_imports, reason = "each test binary uses a part of it")]

mod gate;
mod replica;
pub(crate) mod session;
mod store;

use std::future::Future;
use std::time::Duration;

pub(crate) use self::gate::Gate;
pub(crate) use self::replica::{Replica, next, next_error, utf8, values_of, write_about};
pub(crate) use self::store::{Store, builder_on};

/// Expands to one test for each case and each kind of store: `memory::case`, and with the feature
/// `etcd` also `etcd::case` on a real server of its own (the binary is named by `TAILETC_ETCD`;
/// without it the test fails).
#[macro_export]
macro_rules! on_every_backend {
    ($($case:ident),* $(,)?) => {
        mod memory {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                super::$case(super::support::Store::memory()).await;
            })*
        }

        #[cfg(feature = "etcd")]
        mod etcd {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                super::$case(super::support::Store::etcd().await).await;
            })*
        }
    };
}

/// How long anything that must happen may take. Generous: it bounds hangs, not speed.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// Waits for what must happen.
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    let outcome = tokio::time::timeout(DEADLINE, future).await;
    outcome.unwrap_or_else(|_| panic!("not within {DEADLINE:?}: {what}"))
}

/// Polls until `holds` is true.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    within(what, async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}
