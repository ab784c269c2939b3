//! TLS with a real server. `certs/make.sh` says how the certificates were made.

use std::path::Path;

use tailetc_core::backend::{BackendErrorKind, KvBackendExt, PutRequest};
use tailetc_etcd::{EtcdBackend, EtcdOptions, EtcdTls};
use tailetc_testkit::etcd_server::{EtcdServer, EtcdServerOptions, EtcdServerTls};

const CA: &str = include_str!("certs/ca.pem");
const CERTIFICATE: &str = include_str!("certs/etcd.pem");
const KEY: &str = include_str!("certs/etcd.key");

async fn start(client_certificates: bool) -> EtcdServer {
    let certs = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/etcd/certs");
    let mut tls = EtcdServerTls::new(certs.join("etcd.pem"), certs.join("etcd.key"));
    if client_certificates {
        tls = tls.with_client_ca(certs.join("ca.pem"));
    }
    EtcdServer::start_with(EtcdServerOptions::default().with_tls(tls)).await.unwrap()
}

#[tokio::test]
async fn server_is_trusted_for_its_authority_and_its_name() {
    let server = start(false).await;
    let options = EtcdOptions::new([server.url()]);
    let connect = async |tls| EtcdBackend::connect(options.clone().with_tls(tls)).await;

    let etcd = connect(EtcdTls::new().with_ca(CA)).await.unwrap();
    etcd.put(PutRequest::new("k", "v")).await.unwrap();
    let other_name = EtcdTls::new().with_ca(CA).with_domain("etcd.test");
    connect(other_name).await.unwrap();

    let system_roots = EtcdTls::new();
    let wrong_name = EtcdTls::new().with_ca(CA).with_domain("elsewhere.test");
    for tls in [system_roots, wrong_name] {
        let error = connect(tls).await.unwrap_err();
        assert_eq!(error.kind(), BackendErrorKind::Unreachable, "{error}");
        assert!(error.to_string().contains("certificate"), "{error}");
    }
}

#[tokio::test]
async fn client_certificate_is_shown_to_a_server_that_asks_for_it() {
    let server = start(true).await;
    // Without a scheme: TLS because there are TLS options.
    let endpoint = server.url().trim_start_matches("https://").to_owned();
    let options = EtcdOptions::new([endpoint]);
    let tls = EtcdTls::new().with_ca(CA);

    let with = tls.clone().with_identity(CERTIFICATE, KEY);
    let etcd = EtcdBackend::connect(options.clone().with_tls(with)).await;
    let revision = etcd.unwrap().put(PutRequest::new("k", "v")).await.unwrap();
    assert_eq!(revision.get(), 2);

    let without = EtcdBackend::connect(options.with_tls(tls)).await;
    assert_eq!(without.unwrap_err().kind(), BackendErrorKind::Unreachable);
    assert_eq!(server.etcdctl(&["get", "k", "--print-value-only"]).await.unwrap(), "v\n");
}
