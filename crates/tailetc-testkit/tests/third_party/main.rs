//! The conformance test of somebody else's backend, whole. The backend itself is in `plain.rs`: a
//! store without leases and without nested transactions.

mod plain;

use std::sync::Arc;

use tailetc_core::backend::KvBackend;
use tailetc_testkit::conformance::Fixture;

use crate::plain::Plain;

/// A store of its own for each case.
struct Fresh(Plain);

impl Fixture for Fresh {
    async fn start() -> Self {
        Self(Plain::new())
    }

    fn backend(&self) -> Arc<dyn KvBackend> {
        Arc::new(self.0.clone())
    }
}

tailetc_testkit::conformance_tests!(Fresh);
