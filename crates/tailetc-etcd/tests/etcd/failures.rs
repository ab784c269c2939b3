//! What the backend says when servers fail.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::common::{connect, end, patient, soon, start, until};
use tailetc_core::Revision;
use tailetc_core::backend::{
    BackendErrorKind, KeyRange, KvBackend, KvBackendExt, PutRequest, RangeRequest, WatchRequest,
};
use tailetc_etcd::{EtcdBackend, EtcdOptions};
use tailetc_testkit::etcd_server::EtcdServer;
use tokio::time::Instant;

/// Nobody listens on the discard port.
const NOBODY: &str = "http://127.0.0.1:9";

#[tokio::test]
async fn unreachable_endpoints_are_named_without_credentials() {
    let options = EtcdOptions::new([NOBODY, "http://127.0.0.1:10"]).with_user("u", "secret");
    let error = soon(EtcdBackend::connect(options)).await.unwrap_err();
    assert_eq!(error.kind(), BackendErrorKind::Unreachable);
    let text = format!("{error} {error:?}");
    assert!(text.contains(NOBODY) && text.contains("http://127.0.0.1:10"));
    assert!(!text.contains("secret"), "{text}");
}

#[tokio::test]
async fn endpoint_that_accepts_and_says_nothing_is_unreachable_within_the_connect_timeout() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", silent.local_addr().unwrap());
    let options = EtcdOptions::new([endpoint.clone()]);
    let default = options.connect_timeout;
    let options = options.with_connect_timeout(Duration::from_millis(300));
    let began = Instant::now();
    let error = EtcdBackend::connect(options).await.unwrap_err();
    assert!(began.elapsed() < default);
    assert_eq!(error.kind(), BackendErrorKind::Unreachable);
    assert!(error.to_string().contains(&endpoint), "{error}");
}

#[tokio::test]
async fn one_endpoint_of_several_is_enough_but_its_progress_is_not_trusted() {
    let server = EtcdServer::start().await.unwrap();
    let options = EtcdOptions::new([NOBODY.to_owned(), server.url()]);
    let etcd = soon(EtcdBackend::connect(options)).await.unwrap();
    assert!(!etcd.capabilities().reliable_progress);
    for _ in 0..10 {
        etcd.put(PutRequest::new("k", "v")).await.unwrap();
    }
}

#[tokio::test]
async fn endpoints_of_different_clusters_are_refused() {
    let (a, b) = tokio::try_join!(EtcdServer::start(), EtcdServer::start()).unwrap();
    let options = EtcdOptions::new([a.url(), b.url()]);
    // Two clusters that are set up alike have the same id; these are told apart by their names.
    let result = soon(EtcdBackend::connect(options)).await;
    let error = result.unwrap_err();
    assert_eq!(error.kind(), BackendErrorKind::InvalidRequest, "{error}");
}

#[tokio::test]
async fn killed_server_is_unreachable_and_found_again_after_its_restart() {
    let (mut server, etcd) = start().await;
    etcd.put(PutRequest::new("k", "v")).await.unwrap();
    let request = WatchRequest::new(KeyRange::all(), Revision::new(2));
    let mut watcher = soon(etcd.watch(request.clone())).await.unwrap();
    server.kill().await.unwrap();

    let error = end(&mut *watcher).await;
    assert_eq!(error.kind(), BackendErrorKind::Unavailable, "{error}");
    let mut error = soon(etcd.put(PutRequest::new("k", "w"))).await.unwrap_err();
    if error.kind() == BackendErrorKind::Unavailable {
        // The connection for requests, which is another one, had not yet been found broken.
        error = soon(etcd.put(PutRequest::new("k", "w"))).await.unwrap_err();
    }
    assert_eq!(error.kind(), BackendErrorKind::Unreachable, "{error}");
    assert!(error.message().contains(&server.url()), "{error}");
    let error = soon(etcd.watch(request)).await.unwrap_err();
    assert_eq!(error.kind(), BackendErrorKind::Unreachable, "{error}");

    server.restart().await.unwrap();
    let kv = etcd.get("k".into()).await.unwrap().unwrap();
    assert_eq!(kv.value, "v", "a write that was never sent was applied");
}

#[tokio::test]
async fn frozen_server_makes_requests_time_out_and_the_outcome_unknown() {
    let (mut server, _) = start().await;
    let options = EtcdOptions::new([server.url()]);
    let default = options.request_timeout;
    // Long enough for a server that runs.
    let options = options.with_request_timeout(Duration::from_secs(1));
    let etcd = EtcdBackend::connect(options).await.unwrap();
    let request = WatchRequest::new(KeyRange::all(), Revision::new(2));
    let mut watcher = soon(etcd.watch(request.clone())).await.unwrap();
    server.pause().await.unwrap();

    let began = Instant::now();
    let requests = 4;
    let put = etcd.put(PutRequest::new("k", "v")).await.unwrap_err();
    assert_eq!(put.kind(), BackendErrorKind::Timeout);
    assert!(put.message().contains(&server.url()), "{put}");
    let range = etcd.range(RangeRequest::new(KeyRange::all())).await;
    assert_eq!(range.unwrap_err().kind(), BackendErrorKind::Timeout);
    let watch = etcd.watch(request).await.unwrap_err();
    assert_eq!(watch.kind(), BackendErrorKind::Timeout);
    let lease = etcd.lease_keep_alive(tailetc_core::LeaseId::new(1)).await;
    assert_eq!(lease.unwrap_err().kind(), BackendErrorKind::Timeout);
    assert!(began.elapsed() < default * requests);

    server.resume().await.unwrap();
    let mut last = None;
    while last.is_none() {
        last = etcd.put(PutRequest::new("k", "w")).await.ok();
    }
    until(&mut *watcher, last.unwrap()).await;
}

#[tokio::test]
async fn connection_that_went_silent_ends_its_watches() {
    let (mut server, _) = start().await;
    let beat = Duration::from_secs(1);
    let options = EtcdOptions::new([server.url()]).with_keep_alive(beat, beat);
    let etcd = EtcdBackend::connect(options).await.unwrap();
    let request = WatchRequest::new(KeyRange::all(), Revision::new(2));
    let mut watcher = soon(etcd.watch(request)).await.unwrap();
    server.pause().await.unwrap();
    let error = end(&mut *watcher).await;
    assert_eq!(error.kind(), BackendErrorKind::Unavailable, "{error}");
}

#[tokio::test]
async fn requests_move_to_the_next_endpoint_when_one_fails() {
    // Two addresses of one server: the second goes through a relay that is cut.
    let server = EtcdServer::start().await.unwrap();
    let relay = Relay::start(server.url()).await;
    let options = EtcdOptions::new([relay.url.clone(), server.url()]);
    let etcd = soon(EtcdBackend::connect(options)).await.unwrap();
    etcd.put(PutRequest::new("k", "1")).await.unwrap();
    relay.cut();
    for n in 0..20 {
        let result = etcd.put(PutRequest::new("k", n.to_string())).await;
        if let Err(error) = result {
            // Only what was on its way may be lost; the next one is served.
            assert_eq!(n, 0, "{error}");
            assert!(error.kind().is_outcome_unknown(), "{error}");
        }
    }
    drop(connect(&server).await);
}

// D45
#[tokio::test]
async fn connection_without_requests_is_not_ended_for_its_pings() {
    let server = EtcdServer::start().await.unwrap();
    let relay = Relay::start(server.url()).await;
    // Much more often than a server allows on a connection without streams.
    let beat = Duration::from_millis(500);
    let options = patient([relay.url.clone()]).with_keep_alive(beat, 60 * beat);
    let etcd = soon(EtcdBackend::connect(options)).await.unwrap();
    etcd.put(PutRequest::new("k", "1")).await.unwrap();
    for n in 0..3 {
        tokio::time::sleep(5 * beat).await;
        etcd.put(PutRequest::new("k", n.to_string())).await.unwrap();
    }
    assert_eq!(relay.connections.load(Ordering::SeqCst), 1);
}

/// A TCP relay that can be cut off for good.
struct Relay {
    url: String,
    connections: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
}

impl Relay {
    async fn start(target: String) -> Self {
        let target = target.trim_start_matches("http://").to_owned();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let count = Arc::new(AtomicUsize::new(0));
        let accepted = Arc::clone(&count);
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            loop {
                let (mut near, _) = listener.accept().await.unwrap();
                accepted.fetch_add(1, Ordering::SeqCst);
                let mut far = tokio::net::TcpStream::connect(&target).await.unwrap();
                connections.spawn(async move {
                    let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
                });
            }
        });
        Self { url, connections: count, task }
    }

    fn cut(&self) {
        self.task.abort();
    }
}
