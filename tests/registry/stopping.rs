//! Stopping on a signal.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::support::{Http, Registry};

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
    let (registry, http) = Registry::serve(&["--grace", "10"]).await;
    let body = r#"{"version":"1"}"#;
    let mut connection = open_put(&http, "if-none-match: *", body.len()).await;
    registry.signal("INT").await;
    connection.write_all(body.as_bytes()).await.unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.unwrap();
    assert!(answer.trim_start().starts_with("HTTP/1.1 201"), "{answer}");
    let ended = registry.ended().await;
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
}

#[tokio::test]
async fn request_that_does_not_end_is_abandoned_after_the_grace_time() {
    let (registry, http) = Registry::serve(&["--grace", "0.3"]).await;
    let connection = open_put(&http, "if-match: *", 100).await;
    let asked = Instant::now();
    registry.signal("INT").await;
    let ended = registry.ended().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stderr.contains("abandoned"), "{ended:?}");
    assert!(asked.elapsed() >= Duration::from_millis(300));
    drop(connection);
}

/// Begins a request, without its body.
async fn open_put(http: &Http, condition: &str, length: usize) -> TcpStream {
    let address = http.base().strip_prefix("http://").unwrap();
    let mut connection = TcpStream::connect(address).await.unwrap();
    let head = format!(
        "PUT /v1/services/a HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: {length}\r\n\
         expect: 100-continue\r\ncontent-type: application/json\r\n{condition}\r\n\r\n"
    );
    connection.write_all(head.as_bytes()).await.unwrap();
    // That the rest is asked for shows that the request is being handled.
    let mut answer = [0; 25];
    connection.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 100 Continue\r\n\r\n");
    connection
}
