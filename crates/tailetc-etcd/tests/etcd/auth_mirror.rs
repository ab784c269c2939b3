//! A mirror whose user loses its rights while it follows the store. What is open stays open on the
//! server, so that only a look at the store finds out.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tailetc_core::backend::BackendErrorKind::{self, PermissionDenied, Unauthenticated};
use tailetc_core::backend::{KvBackendExt, PutRequest};
use tailetc_core::{Db, Options, RAW};
use tailetc_etcd::EtcdBackend;
use tailetc_testkit::etcd_server::EtcdServer;

use crate::auth;
use crate::common::{patient, soon};

async fn as_root(server: &EtcdServer, command: &str) {
    if let Some((user, password)) =
        command.strip_prefix("user passwd ").and_then(|c| c.split_once(':'))
    {
        // etcdctl would read it from its standard input.
        let root = etcd_client::ConnectOptions::new().with_user("root", "r00t");
        let client = etcd_client::Client::connect([server.url()], Some(root)).await;
        client.unwrap().user_change_password(user, password).await.unwrap();
        return;
    }
    let mut args = vec!["--user=root:r00t"];
    args.extend(command.split(' '));
    server.etcdctl(&args).await.unwrap_or_else(|error| panic!("{command}: {error}"));
}

async fn root(server: &EtcdServer) -> EtcdBackend {
    let options = patient([server.url()]).with_user("root", "r00t");
    EtcdBackend::connect(options).await.unwrap()
}

async fn mirror(server: &EtcdServer) -> Db {
    let etcd = EtcdBackend::connect(auth::options(server)).await.unwrap();
    let mut options = Options::default();
    options.progress_interval = Duration::from_millis(200);
    options.backoff_max = Duration::from_secs(1);
    Db::builder(Arc::new(etcd)).prefix("app/").options(options).connect().await.unwrap()
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let polling = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), polling).await.expect(what);
}

async fn put(db: &Db, value: &'static str) -> Result<(), BackendErrorKind> {
    let put = db.transact(|txn| txn.put(RAW, "k", Bytes::from(value)));
    match soon(put).await {
        Ok(_) => Ok(()),
        Err(error) => {
            assert!(!error.is_outcome_unknown(), "{error}");
            Err(error.backend_kind().unwrap_or_else(|| panic!("{error}")))
        }
    }
}

/// Runs commands that take a right away, then others that give it back. `kinds` are what a request
/// in between may fail with.
async fn loses_and_regains(take: &[&str], kinds: &[BackendErrorKind], give: &[&str]) {
    let server = auth::start(&[]).await;
    let (db, root) = (mirror(&server).await, root(&server).await);
    put(&db, "1").await.unwrap();
    for command in take {
        as_root(&server, command).await;
    }
    // At once, whatever has been noticed.
    let error = put(&db, "lost").await.unwrap_err();
    assert!(kinds.contains(&error), "{error:?}");

    until("noticed", || !db.health().is_tailing() && db.health().last_error.is_some()).await;
    let health = db.health();
    let said = health.last_error.unwrap();
    let causes = ["permission denied", "authentication failed", "invalid auth token"];
    assert!(causes.iter().any(|cause| said.contains(cause)), "{said}");
    let behind = root.put(PutRequest::new("app/k", "2")).await.unwrap();
    assert_eq!(*db.get(RAW, "k").unwrap().unwrap(), "1", "reads go on");
    let error = put(&db, "lost").await.unwrap_err();
    assert!(kinds.contains(&error), "{error:?}");
    let error = soon(db.fresh()).await.unwrap_err();
    let kind = error.backend_kind().unwrap_or_else(|| panic!("{error}"));
    assert!(kinds.contains(&kind), "{error}");
    assert!(!db.health().is_tailing());

    for command in give {
        as_root(&server, command).await;
    }
    until("recovered", || db.health().is_tailing() && db.snapshot().revision() >= behind).await;
    assert_eq!(*db.get(RAW, "k").unwrap().unwrap(), "2");
    assert!(db.health().last_error.is_none());
    put(&db, "3").await.unwrap();
    let written = root.put(PutRequest::new("app/k", "4")).await.unwrap();
    until("the next change", || db.snapshot().revision() >= written).await;
    assert_eq!(db.stats().resyncs, 0);
}

// D41
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mirror_whose_role_is_revoked_says_so_and_recovers() {
    loses_and_regains(
        &["role revoke-permission app --prefix=true app/"],
        &[PermissionDenied],
        &["role grant-permission app --prefix=true readwrite app/"],
    )
    .await;
}

// D41
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mirror_whose_user_loses_its_role_says_so_and_recovers() {
    let give = ["user grant-role app app"];
    loses_and_regains(&["user revoke-role app app"], &[PermissionDenied], &give).await;
}

// D41
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mirror_whose_user_is_deleted_says_so_and_recovers() {
    let give = ["user add app:secret", "user grant-role app app"];
    loses_and_regains(&["user delete app"], &[Unauthenticated, PermissionDenied], &give).await;
}

// D41
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mirror_whose_password_is_changed_says_so_and_recovers() {
    let give = ["user passwd app:secret"];
    loses_and_regains(&["user passwd app:other"], &[Unauthenticated], &give).await;
}
