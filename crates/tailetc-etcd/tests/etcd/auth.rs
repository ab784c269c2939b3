//! Name, password and token on a real server.

use std::time::Duration;

use crate::common::{is_progress_reliable, patient, soon, start_with, until};
use tailetc_core::backend::{
    BackendErrorKind, KeyRange, KvBackend, KvBackendExt, PutRequest, WatchRequest,
};
use tailetc_core::{LeaseId, Revision};
use tailetc_etcd::{EtcdBackend, EtcdOptions};
use tailetc_testkit::etcd_server::{EtcdServer, EtcdServerOptions};

/// A server with authentication on: `root` may do everything, `app` may use `app/`.
pub(crate) async fn start(args: &[&str]) -> EtcdServer {
    // The cheapest hash: each login takes a password check.
    let mut options = EtcdServerOptions::default().with_arg("--bcrypt-cost=4");
    for arg in args {
        options = options.with_arg(*arg);
    }
    let (server, _) = start_with(options).await;
    for command in [
        "user add root:r00t",
        "user grant-role root root",
        "role add app",
        "role grant-permission app --prefix=true readwrite app/",
        "user add app:secret",
        "user grant-role app app",
        "auth enable",
    ] {
        let args: Vec<_> = command.split(' ').collect();
        let result = server.etcdctl(&args).await;
        // etcd has no role `root` before somebody makes one.
        if result.is_err() && command == "user grant-role root root" {
            server.etcdctl(&["role", "add", "root"]).await.unwrap();
            server.etcdctl(&args).await.unwrap();
        } else {
            result.unwrap();
        }
    }
    server
}

pub(crate) fn options(server: &EtcdServer) -> EtcdOptions {
    patient([server.url()]).with_user("app", "secret")
}

#[tokio::test]
async fn user_may_do_what_its_role_allows() {
    let server = start(&[]).await;
    let etcd = EtcdBackend::connect(options(&server)).await.unwrap();
    etcd.put(PutRequest::new("app/k", "v")).await.unwrap();
    let error = etcd.put(PutRequest::new("k", "v")).await.unwrap_err();
    assert_eq!(error.kind(), BackendErrorKind::PermissionDenied, "{error}");

    let reliable = is_progress_reliable(&server);
    assert_eq!(etcd.capabilities().reliable_progress, reliable);

    let own = WatchRequest::new(KeyRange::prefix("app/"), Revision::new(2));
    soon(etcd.watch(own)).await.unwrap();
    let all = WatchRequest::new(KeyRange::all(), Revision::new(2));
    let error = soon(etcd.watch(all)).await.unwrap_err();
    assert_eq!(error.kind(), BackendErrorKind::PermissionDenied, "{error}");
}

#[tokio::test]
async fn wrong_password_is_said_at_connect() {
    let server = start(&[]).await;
    let wrong = EtcdOptions::new([server.url()]).with_user("app", "wr0ng");
    let error = EtcdBackend::connect(wrong).await.unwrap_err();
    assert_eq!(error.kind(), BackendErrorKind::Unauthenticated, "{error}");
    assert!(!format!("{error} {error:?}").contains("wr0ng"));
}

#[tokio::test]
async fn request_without_a_user_is_unauthenticated() {
    let server = start(&[]).await;
    // Old servers tell anybody their status, so the refusal may come later.
    let error = match EtcdBackend::connect(EtcdOptions::new([server.url()])).await {
        Ok(etcd) => etcd.get("app/k".into()).await.unwrap_err(),
        Err(error) => error,
    };
    assert_eq!(error.kind(), BackendErrorKind::Unauthenticated, "{error}");
}

// D15
#[tokio::test]
async fn expired_token_is_renewed_for_requests_and_watches() {
    let server = start(&["--auth-token-ttl=1"]).await;
    let etcd = EtcdBackend::connect(options(&server)).await.unwrap();
    etcd.put(PutRequest::new("app/k", "1")).await.unwrap();
    // The server drops tokens that were not used for a second, with a tick of a second.
    tokio::time::sleep(Duration::from_secs(3)).await;
    etcd.put(PutRequest::new("app/k", "2")).await.unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    let request = WatchRequest::new(KeyRange::prefix("app/"), Revision::new(2));
    soon(etcd.watch(request)).await.unwrap();
}

#[tokio::test]
async fn user_is_ignored_while_authentication_is_off_and_used_once_it_is_on() {
    let (server, _) = start_with(EtcdServerOptions::default().with_arg("--bcrypt-cost=4")).await;
    let user = EtcdOptions::new([server.url()]).with_user("root", "r00t");
    let etcd = EtcdBackend::connect(user).await.unwrap();
    etcd.put(PutRequest::new("k", "1")).await.unwrap();
    server.etcdctl(&["role", "add", "root"]).await.unwrap();
    for command in ["user add root:r00t", "user grant-role root root", "auth enable"] {
        let args: Vec<_> = command.split(' ').collect();
        server.etcdctl(&args).await.unwrap();
    }
    etcd.put(PutRequest::new("k", "2")).await.unwrap();
}

// D41
#[tokio::test]
async fn open_watch_outlives_the_right_to_it() {
    let server = start(&[]).await;
    let etcd = EtcdBackend::connect(options(&server)).await.unwrap();
    let root = patient([server.url()]).with_user("root", "r00t");
    let root = EtcdBackend::connect(root).await.unwrap();
    let request = WatchRequest::new(KeyRange::prefix("app/"), Revision::new(2));
    let mut watcher = soon(etcd.watch(request.clone())).await.unwrap();
    for command in ["user revoke-role app app", "user delete app"] {
        let mut args = vec!["--user=root:r00t"];
        args.extend(command.split(' '));
        server.etcdctl(&args).await.unwrap();
        let written = root.put(PutRequest::new("app/k", command)).await.unwrap();
        until(&mut *watcher, written).await;
        // But no other is opened.
        let error = soon(etcd.watch(request.clone())).await.unwrap_err();
        let refused = [BackendErrorKind::PermissionDenied, BackendErrorKind::Unauthenticated];
        assert!(refused.contains(&error.kind()), "{error}");
    }
}

// D42
#[tokio::test]
async fn renewal_that_is_refused_leaves_other_leases_alone() {
    let server = start(&[]).await;
    let etcd = EtcdBackend::connect(options(&server)).await.unwrap();
    let root = patient([server.url()]).with_user("root", "r00t");
    let root = EtcdBackend::connect(root).await.unwrap();
    let (own, foreign) = ([LeaseId::new(11), LeaseId::new(12)], LeaseId::new(99));
    root.lease_grant(foreign, 60).await.unwrap();
    root.put(PutRequest::new("secret", "").with_lease(foreign)).await.unwrap();
    for lease in own {
        etcd.lease_grant(lease, 60).await.unwrap();
        etcd.put(PutRequest::new("app/k", "").with_lease(lease)).await.unwrap();
    }
    for _ in 0..3 {
        let mut renewals = tokio::task::JoinSet::new();
        for lease in own {
            let etcd = etcd.clone();
            renewals.spawn(async move { soon(etcd.lease_keep_alive(lease)).await });
        }
        // Whether it is refused differs between servers.
        if let Err(error) = soon(etcd.lease_keep_alive(foreign)).await {
            assert_eq!(error.kind(), BackendErrorKind::PermissionDenied, "{error}");
        }
        while let Some(renewed) = renewals.join_next().await {
            assert_eq!(renewed.unwrap().unwrap().unwrap().ttl_seconds, 60);
        }
    }
}

// D42 D15
#[tokio::test]
async fn renewals_go_on_after_the_token_has_expired() {
    let server = start(&["--auth-token-ttl=1"]).await;
    let etcd = EtcdBackend::connect(options(&server)).await.unwrap();
    let lease = etcd.lease_grant(LeaseId::NONE, 60).await.unwrap().id;
    for _ in 0..3 {
        assert!(soon(etcd.lease_keep_alive(lease)).await.unwrap().is_some());
        tokio::time::sleep(Duration::from_secs(3)).await;
    }
    etcd.lease_revoke(lease).await.unwrap();
    assert!(soon(etcd.lease_keep_alive(lease)).await.unwrap().is_none());
}
