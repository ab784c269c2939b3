//! The conformance suite on memkv through its gRPC face and this backend.

#![expect(clippy::expect_used, reason = "a fixture that cannot start fails its test")]

use std::sync::Arc;

use tailetc_core::backend::KvBackend;
use tailetc_etcd::{EtcdBackend, EtcdOptions};
use tailetc_memkv::MemKv;
use tailetc_memkv::grpc::Server;
use tailetc_testkit::conformance::Fixture;

/// A store of its own for each case, behind a server that ends with it.
struct Fresh {
    backend: Arc<EtcdBackend>,
    _server: Server,
}

impl Fixture for Fresh {
    async fn start() -> Self {
        let server = Server::bind(MemKv::new(), "127.0.0.1:0").await.expect("listening");
        let backend = EtcdBackend::connect(EtcdOptions::new([server.url()])).await;
        Self { backend: Arc::new(backend.expect("connecting to memkv")), _server: server }
    }

    fn backend(&self) -> Arc<dyn KvBackend> {
        Arc::clone(&self.backend) as Arc<dyn KvBackend>
    }
}

tailetc_testkit::conformance_tests!(Fresh);
