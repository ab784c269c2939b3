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

/// Whether an answer to `/version` tells the same storage version as that of the cluster, or none
/// at all.
pub(crate) fn storage_version_is_settled(answer: &str) -> bool {
    let value = |name: &str| {
        let (_, rest) = answer.split_once(&format!(r#""{name}":""#))?;
        rest.split_once('"').map(|(value, _)| value)
    };
    value("storage").is_none() || value("storage") == value("etcdcluster")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn storage_version_is_settled_once_it_is_the_clusters() {
        let answer =
            |storage: &str| format!(r#"{{"etcdserver":"3.7.3","etcdcluster":"3.7.0"{storage}}}"#);
        assert!(!storage_version_is_settled(&answer(r#","storage":"unknown""#)));
        assert!(!storage_version_is_settled(&answer(r#","storage":"3.5.0""#)));
        assert!(storage_version_is_settled(&answer(r#","storage":"3.7.0""#)));
        assert!(storage_version_is_settled(&answer("")));
    }
}
