//! The conformance suite on memkv, as the newest etcd and as others.

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

/// The suite once more, on a store that imitates a release.
macro_rules! imitating {
    ($module:ident: $version:literal) => {
        mod $module {
            use super::*;

            struct Fresh(MemKv);

            impl Fixture for Fresh {
                async fn start() -> Self {
                    let version = $version.parse().expect("a release of etcd");
                    Self(MemKv::builder().with_imitate(version).build())
                }

                fn backend(&self) -> Arc<dyn KvBackend> {
                    Arc::new(self.0.clone())
                }
            }

            tailetc_testkit::conformance_tests!(Fresh);
        }
    };
}

imitating!(v3_4_23: "3.4.23");
imitating!(v3_5_1: "3.5.1");
imitating!(v3_5_12: "3.5.12");
imitating!(v3_5_30: "3.5.30");
imitating!(v3_6: "3.6");
