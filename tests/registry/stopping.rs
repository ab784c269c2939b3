//! Stopping on a signal.

use std::time::Duration;

use tailetc::Token;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::support::{Registry, eventually};

#[tokio::test]
async fn signal_ends_streams_and_then_the_process() {
    for signal in ["INT", "TERM"] {
        let (registry, http) = Registry::serve(&[]).await;
        let mut events = http.events("/v1/changes").await;
        assert_eq!(events.next().await.name, "initial");
        registry.signal(signal).await;
        assert_eq!(events.next().await.name, "end");
        assert_eq!(events.next_or_end().await, None);
        let ended = registry.ended().await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert!(ended.stdout.ends_with("stopped\n"), "{ended:?}");
        assert_eq!(ended.stderr, "");
    }
}

#[tokio::test]
async fn open_request_is_answered_before_the_end() {
    let (registry, http) = Registry::serve(&["--timeout", "1", "--grace", "10"]).await;
    let own: Token = http.get("/healthz", &[]).await.token().parse().unwrap();
    let later = format!("{:x}-{:x}-ffff", own.cluster_id(), own.epoch());
    let waiting = tokio::spawn({
        let http = http.clone();
        async move { http.get("/v1/services", &[("tailetc-token", &later)]).await }
    });
    // The waiting request asks the store for proof that there is nothing new.
    eventually("a request that waits", async || {
        let stats = http.get("/stats", &[]).await.ok();
        (stats["progress_requests"] != 0 || stats["proofs"] != 0).then_some(())
    })
    .await;
    registry.signal("INT").await;
    assert_eq!(waiting.await.unwrap().status, 503);
    let ended = registry.ended().await;
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
}

#[tokio::test]
async fn request_that_does_not_end_is_abandoned_after_the_grace_time() {
    let (registry, http) = Registry::serve(&["--grace", "0.3"]).await;
    let address = http.base().strip_prefix("http://").unwrap();
    let mut connection = TcpStream::connect(address).await.unwrap();
    let head = "PUT /v1/services/a HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\
                expect: 100-continue\r\ncontent-type: application/json\r\nif-match: *\r\n\r\n";
    connection.write_all(head.as_bytes()).await.unwrap();
    // That the rest is asked for shows that the request is being handled.
    let mut answer = [0; 12];
    connection.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 100");

    let asked = Instant::now();
    registry.signal("INT").await;
    let ended = registry.ended().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stderr.contains("abandoned"), "{ended:?}");
    assert!(asked.elapsed() >= Duration::from_millis(300));
    drop(connection);
}
