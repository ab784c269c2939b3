//! Ports for test servers.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU32, Ordering};

use super::EtcdServerError;

/// Below the range from which systems take the ports of outgoing connections (Linux: 32768 up): a
/// client that keeps trying to reach a killed server may be given the server's port as its own,
/// and the server could not come back.
const FIRST: u32 = 12_000;
const COUNT: u32 = 20_000;

/// A port on the loopback interface that nobody listens on now.
pub(crate) fn free() -> Result<u16, EtcdServerError> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // Test processes run side by side, so each begins somewhere else.
    let start = std::process::id().wrapping_mul(97);
    for _ in 0..COUNT {
        let offset = start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % COUNT;
        let Ok(port) = u16::try_from(FIRST + offset) else {
            continue;
        };
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    Err(EtcdServerError::new(format!("no free port from {FIRST} to {}", FIRST + COUNT - 1)))
}
