//! What the tests against a real server share.

use std::future::Future;
use std::time::Duration;

use tailetc_core::Revision;
use tailetc_core::backend::{BackendError, WatchResponse, Watcher};
use tailetc_etcd::{EtcdBackend, EtcdOptions};
use tailetc_testkit::etcd_server::{EtcdServer, EtcdServerOptions};

/// More than anything here may take; what hangs fails.
pub(crate) async fn soon<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(60), future)
        .await
        .expect("nothing happened for a minute")
}

pub(crate) async fn start() -> (EtcdServer, EtcdBackend) {
    start_with(EtcdServerOptions::default()).await
}

pub(crate) async fn start_with(options: EtcdServerOptions) -> (EtcdServer, EtcdBackend) {
    let server = EtcdServer::start_with(options).await.unwrap_or_else(|error| panic!("{error}"));
    let backend = connect(&server).await;
    (server, backend)
}

/// Options for tests that are not about deadlines.
pub(crate) fn patient<E: Into<String>>(endpoints: impl IntoIterator<Item = E>) -> EtcdOptions {
    EtcdOptions::new(endpoints).with_request_timeout(Duration::from_secs(60))
}

pub(crate) async fn connect(server: &EtcdServer) -> EtcdBackend {
    EtcdBackend::connect(EtcdOptions::new([server.url()])).await.expect("the server serves")
}

/// Responses until one reaches `revision`, by an event.
pub(crate) async fn until(watcher: &mut dyn Watcher, revision: Revision) -> Vec<WatchResponse> {
    let mut responses = Vec::new();
    loop {
        let response = soon(watcher.next()).await.expect("the watch goes on");
        let reached = matches!(&response, WatchResponse::Events { events, .. }
            if events.last().is_some_and(|event| event.revision() >= revision));
        responses.push(response);
        if reached {
            return responses;
        }
    }
}

/// The error that ends a watch.
pub(crate) async fn end(watcher: &mut dyn Watcher) -> BackendError {
    loop {
        if let Err(error) = soon(watcher.next()).await {
            return error;
        }
    }
}

/// Whether the progress notifications of this server can be relied on, decided without the code
/// under test. The servers that `test.sh` installs lie on both sides.
pub(crate) fn is_progress_reliable(server: &EtcdServer) -> bool {
    let patch = |minor| server.version().strip_prefix(minor)?.parse::<u32>().ok();
    match (patch("3.4."), patch("3.5.")) {
        (Some(patch), _) => patch >= 31,
        (_, Some(patch)) => patch >= 13,
        _ => true,
    }
}
