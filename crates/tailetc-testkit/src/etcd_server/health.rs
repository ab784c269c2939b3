//! Whether a server serves: etcd's `/health`, asked in plain HTTP/1.1.

use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

/// Waits until the server on `port` has a leader and answers a linearizable read, which is what
/// its `/health` means (etcd: `server/etcdserver/api/etcdhttp/health.go`).
pub(crate) async fn serving(port: u16) {
    while !is_healthy(port).await {
        sleep(Duration::from_millis(5)).await;
    }
}

async fn is_healthy(port: u16) -> bool {
    let answer = timeout(Duration::from_secs(2), get(port, "/health")).await;
    matches!(answer, Ok(Ok(body)) if body.contains(r#""health":"true""#))
}

/// The answer to an HTTP GET, headers included.
pub(crate) async fn get(port: u16, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
