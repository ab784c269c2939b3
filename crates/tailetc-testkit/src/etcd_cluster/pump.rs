//! One way of one connection.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::watch;
use tokio::time::sleep;

use super::network::Disturbance;

/// The most bytes that are on their way at once.
const BUFFER: usize = 16 * 1024;

/// Waits while the network holds what is sent; whether a connection can be made then.
pub(super) async fn lets_connect(flow: &mut watch::Receiver<Disturbance>) -> bool {
    let passed = flow.wait_for(|now| *now != Disturbance::Hold).await;
    passed.is_ok_and(|now| *now != Disturbance::Refuse)
}

/// Carries bytes until the connection ends. `begun` goes first.
pub(super) async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut flow: watch::Receiver<Disturbance>,
    mut begun: Vec<u8>,
) {
    let mut refused = flow.clone();
    let carried = async {
        // Whether bytes got lost, so that later ones make no sense any more.
        let mut broken = false;
        loop {
            if broken && arrives(*flow.borrow_and_update()) {
                return;
            }
            if begun.is_empty() {
                begun.reserve(BUFFER);
                tokio::select! {
                    read = from.read_buf(&mut begun) => {
                        if !matches!(read, Ok(1..)) {
                            return;
                        }
                    }
                    changed = flow.changed(), if broken => {
                        if changed.is_err() {
                            return;
                        }
                        continue;
                    }
                }
            }
            let Ok(now) = flow.wait_for(|now| *now != Disturbance::Hold).await.map(|now| *now)
            else {
                return;
            };
            if let Disturbance::Delay(delay) = now {
                sleep(delay).await;
            }
            if now == Disturbance::Swallow {
                broken = true;
            } else if broken || to.write_all(&begun).await.is_err() {
                return;
            }
            begun.clear();
        }
    };
    tokio::select! {
        () = carried => {}
        _ = refused.wait_for(|now| *now == Disturbance::Refuse) => {}
    }
}

fn arrives(disturbance: Disturbance) -> bool {
    matches!(disturbance, Disturbance::None | Disturbance::Delay(_))
}
