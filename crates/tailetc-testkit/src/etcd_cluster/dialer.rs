//! Which member has made a connection: etcd says so in the headers of its requests to peers (etcd:
//! `server/etcdserver/api/rafthttp`, `X-Server-From`).

use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::network::Dialer;

const PATIENCE: Duration = Duration::from_secs(10);
const LONGEST: usize = 16 * 1024;

/// The dialer, and what was read to find it out. None if nothing came that is a request.
pub(super) async fn of(stream: &mut TcpStream) -> Option<(Dialer, Vec<u8>)> {
    let mut head = Vec::new();
    while !head.windows(4).any(|bytes| bytes == b"\r\n\r\n") {
        let read = timeout(PATIENCE, stream.read_buf(&mut head)).await.ok()?.ok()?;
        if read == 0 || head.len() > LONGEST {
            return None;
        }
    }
    Some((named_in(&head), head))
}

fn named_in(head: &[u8]) -> Dialer {
    let text = String::from_utf8_lossy(head).to_ascii_lowercase();
    let named = text.lines().find_map(|line| line.strip_prefix("x-server-from:"));
    match named.map(|name| u64::from_str_radix(name.trim(), 16)) {
        Some(Ok(identifier)) => Dialer::Member(identifier),
        _ => Dialer::SomeMember,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn member_is_known_by_its_header() {
        let request = b"POST /raft HTTP/1.1\r\nHost: x\r\nX-Server-From: 8e9e05c52164694d\r\n\r\n";
        assert_eq!(named_in(request), Dialer::Member(0x8e9e_05c5_2164_694d));
    }

    #[test]
    fn request_without_the_header_is_of_some_member() {
        assert_eq!(named_in(b"GET /version HTTP/1.1\r\n\r\n"), Dialer::SomeMember);
    }
}
