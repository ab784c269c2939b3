//! Leases on a real server.

use std::time::Duration;

use crate::broken::RENEWED;
use crate::common::{soon, start, start_with};
use crate::stub::{Answer, FEW_STREAMS, Stub};
use tailetc_core::LeaseId;
use tailetc_core::backend::{BackendErrorKind, KvBackend, KvBackendExt, PutRequest};
use tailetc_etcd::{EtcdBackend, EtcdOptions};
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

// D42
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leases_are_renewed_where_few_streams_are_allowed() {
    let stub = Stub::start(Answer::Each(RENEWED, Duration::ZERO)).await;
    let options = EtcdOptions::new([stub.url.clone()]);
    let options = options.with_request_timeout(Duration::from_secs(8));
    let etcd = soon(Box::pin(EtcdBackend::connect(options))).await.unwrap();
    for _ in 0..3 {
        for id in 0..3 * i64::from(FEW_STREAMS) {
            let renewed = soon(etcd.lease_keep_alive(LeaseId::new(id))).await.unwrap();
            assert_eq!(renewed.unwrap().ttl_seconds, 60);
        }
    }
}

// D42
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leases_are_renewed_at_once_where_few_streams_are_allowed_and_answers_are_slow() {
    // All streams are in use for longer than anybody waits for one.
    let stub = Stub::start(Answer::Each(RENEWED, Duration::from_millis(400))).await;
    let options = EtcdOptions::new([stub.url.clone()]);
    let options = options.with_request_timeout(Duration::from_secs(30));
    let etcd = soon(Box::pin(EtcdBackend::connect(options))).await.unwrap();
    // The connection is there before all of them need it, and no stream of it is idle.
    soon(etcd.lease_keep_alive(LeaseId::new(100))).await.unwrap();
    let revoked = etcd.lease_revoke(LeaseId::new(100));
    let _ = tokio::time::timeout(Duration::from_millis(50), revoked).await;
    let mut renewals = tokio::task::JoinSet::new();
    for id in 0..3 * i64::from(FEW_STREAMS) {
        let etcd = etcd.clone();
        renewals.spawn(async move { etcd.lease_keep_alive(LeaseId::new(id)).await });
    }
    while let Some(renewed) = soon(renewals.join_next()).await {
        assert_eq!(renewed.unwrap().unwrap().unwrap().ttl_seconds, 60);
    }
}

// D42
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn renewals_of_one_lease_do_not_take_each_others_answers() {
    let (_server, etcd) = start().await;
    let leases = [etcd.lease_grant(LeaseId::NONE, 60), etcd.lease_grant(LeaseId::NONE, 70)];
    let [one, other] = leases;
    let leases = [one.await.unwrap(), other.await.unwrap()];
    for _ in 0..5 {
        let mut renewals = tokio::task::JoinSet::new();
        for n in 0..20 {
            let (etcd, lease) = (etcd.clone(), leases[n % 2].clone());
            renewals.spawn(async move {
                // Some are given up in the middle.
                let limit = Duration::from_micros(if n % 3 == 0 { 300 } else { 60_000_000 });
                let renewed = tokio::time::timeout(limit, etcd.lease_keep_alive(lease.id)).await;
                if let Ok(renewed) = renewed {
                    let renewed = renewed.unwrap().unwrap();
                    assert_eq!((renewed.id, renewed.ttl_seconds), (lease.id, lease.ttl_seconds));
                }
            });
        }
        while let Some(renewed) = renewals.join_next().await {
            renewed.unwrap();
        }
    }
    etcd.lease_revoke(leases[0].id).await.unwrap();
    assert!(etcd.lease_keep_alive(leases[0].id).await.unwrap().is_none());
    assert!(etcd.lease_keep_alive(leases[1].id).await.unwrap().is_some());
}
