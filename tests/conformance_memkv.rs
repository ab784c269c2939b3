//! The conformance suite on memkv.

use std::sync::Arc;

use tailetc_core::backend::KvBackend;
use tailetc_memkv::MemKv;
use tailetc_testkit::conformance::Fixture;

struct Fresh(MemKv);

impl Fixture for Fresh {
    async fn start() -> Self {
        Self(MemKv::new())
    }

    fn backend(&self) -> Arc<dyn KvBackend> {
        Arc::new(self.0.clone())
    }
}

tailetc_testkit::conformance_tests!(Fresh);
