//! The conformance suite on a real etcd server, through the etcd backend.
//!
//! `TAILETC_ETCD` names the binary. Without it every test fails: none is skipped.

#![expect(clippy::expect_used, reason = "a fixture that cannot start fails its test")]

use std::sync::Arc;

use tailetc_core::backend::KvBackend;
use tailetc_etcd::{EtcdBackend, EtcdOptions};
use tailetc_testkit::conformance::Fixture;
use tailetc_testkit::etcd_server::EtcdServer;

/// A server of its own for each case, killed when the case is over.
struct Fresh {
    backend: Arc<EtcdBackend>,
    _server: EtcdServer,
}

impl Fixture for Fresh {
    async fn start() -> Self {
        let server = EtcdServer::start().await.expect("starting etcd");
        let options = EtcdOptions::new([server.url()]);
        let backend = EtcdBackend::connect(options).await;
        Self { backend: Arc::new(backend.expect("connecting to etcd")), _server: server }
    }

    fn backend(&self) -> Arc<dyn KvBackend> {
        Arc::clone(&self.backend) as Arc<dyn KvBackend>
    }
}

tailetc_testkit::conformance_tests!(Fresh);
