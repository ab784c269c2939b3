//! Leases on a real server.

use crate::common::{start, start_with};
use tailetc_core::LeaseId;
use tailetc_core::backend::{BackendErrorKind, KvBackend, KvBackendExt, PutRequest};
use tailetc_testkit::etcd_server::EtcdServerOptions;

#[tokio::test]
async fn lease_lives_until_it_is_revoked_and_takes_its_keys_along() {
    let (_server, etcd) = start().await;
    let lease = etcd.lease_grant(LeaseId::NONE, 60).await.unwrap();
    assert!(!lease.id.is_none());
    assert_eq!(lease.ttl_seconds, 60);
    let put = PutRequest::new("k", "v").with_lease(lease.id);
    etcd.put(put).await.unwrap();

    let renewed = etcd.lease_keep_alive(lease.id).await.unwrap().unwrap();
    assert_eq!((renewed.id, renewed.ttl_seconds), (lease.id, 60));
    assert_ne!(renewed.header.cluster_id, 0);
    let left = etcd.lease_time_to_live(lease.id, true).await.unwrap();
    let left = left.expect("alive");
    assert_eq!((left.granted_ttl_seconds, &left.keys[..]), (60, &["k".into()][..]));
    assert!((58..=60).contains(&left.ttl_seconds), "{left:?}");
    let without_keys = etcd.lease_time_to_live(lease.id, false).await.unwrap();
    assert!(without_keys.expect("alive").keys.is_empty());

    let revoked = etcd.lease_revoke(lease.id).await.unwrap();
    assert_eq!(revoked.revision.get(), 3);
    assert_eq!(etcd.get("k".into()).await.unwrap(), None);
    assert_eq!(etcd.lease_keep_alive(lease.id).await.unwrap(), None);
    assert_eq!(etcd.lease_time_to_live(lease.id, true).await.unwrap(), None);
    let error = etcd.lease_revoke(lease.id).await.unwrap_err();
    assert_eq!(error.kind(), BackendErrorKind::LeaseNotFound);
}

#[tokio::test]
async fn lease_grants_that_the_server_refuses_have_their_kind() {
    let (_server, etcd) = start().await;
    let id = LeaseId::new(42);
    etcd.lease_grant(id, 60).await.unwrap();
    let exists = etcd.lease_grant(id, 60).await.unwrap_err();
    assert_eq!(exists.kind(), BackendErrorKind::LeaseExists);
    let too_large = etcd.lease_grant(LeaseId::NONE, 9_000_000_001).await;
    assert_eq!(too_large.unwrap_err().kind(), BackendErrorKind::LeaseTtlTooLarge);
}

#[tokio::test]
async fn server_with_the_default_min_ttl_raises_a_lease_to_two_seconds() {
    let options = EtcdServerOptions::default().with_default_min_ttl();
    let (_server, etcd) = start_with(options).await;
    let lease = etcd.lease_grant(LeaseId::NONE, 0).await.unwrap();
    assert_eq!(lease.ttl_seconds, 2);
}
