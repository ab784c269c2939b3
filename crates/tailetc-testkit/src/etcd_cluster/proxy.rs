//! A proxy before one port of a member.

use std::net::Ipv4Addr;
use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};

use super::dialer;
use super::network::{Dialer, Flow, Network, Way};
use super::pump::{self, pump};
use crate::etcd_server::{EtcdServerError, port};

/// How many ports are tried when another process takes the chosen one first.
const PORT_ATTEMPTS: usize = 5;

/// Ends, with all its connections, when it is dropped.
#[derive(Debug)]
pub(super) struct Proxy {
    port: u16,
    task: AbortHandle,
}

/// Where a proxy leads to.
#[derive(Clone, Debug)]
struct Target {
    network: Arc<Network>,
    member: usize,
    port: u16,
    for_peers: bool,
}

impl Proxy {
    pub(super) async fn for_clients(
        network: &Arc<Network>,
        member: usize,
        port: u16,
    ) -> Result<Self, EtcdServerError> {
        let network = Arc::clone(network);
        Self::start(Target { network, member, port, for_peers: false }).await
    }

    pub(super) async fn for_peers(
        network: &Arc<Network>,
        member: usize,
        port: u16,
    ) -> Result<Self, EtcdServerError> {
        let network = Arc::clone(network);
        Self::start(Target { network, member, port, for_peers: true }).await
    }

    async fn start(target: Target) -> Result<Self, EtcdServerError> {
        let mut attempts = PORT_ATTEMPTS;
        loop {
            attempts -= 1;
            let port = port::free()?;
            match TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await {
                Ok(listener) => {
                    let task = tokio::spawn(accept(listener, target)).abort_handle();
                    return Ok(Self { port, task });
                }
                Err(error) if attempts == 0 => {
                    return Err(EtcdServerError::io("a proxy cannot listen", error));
                }
                Err(_) => {}
            }
        }
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, target: Target) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((stream, _)) = accepted {
                    connections.spawn(relay(stream, target.clone()));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Leads one connection to the member until either side ends it or the network does.
async fn relay(mut near: TcpStream, target: Target) {
    let Target { network, member, port, for_peers } = target;
    let (dialer, begun) = match for_peers {
        false => (Dialer::Clients, Vec::new()),
        true => match dialer::of(&mut near).await {
            Some(found) => found,
            None => return,
        },
    };
    let mut there = network.flow(Flow { dialer, member, way: Way::There });
    let mut back = network.flow(Flow { dialer, member, way: Way::Back });
    if !pump::lets_connect(&mut there).await || !pump::lets_connect(&mut back).await {
        return;
    }
    let Ok(far) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await else { return };
    // Small messages must not wait for each other. Without it they arrive all the same.
    let _ = (near.set_nodelay(true), far.set_nodelay(true));
    let (near_in, near_out) = near.into_split();
    let (far_in, far_out) = far.into_split();
    tokio::select! {
        () = pump(near_in, far_out, there, begun) => {}
        () = pump(far_in, near_out, back, Vec::new()) => {}
    }
}
