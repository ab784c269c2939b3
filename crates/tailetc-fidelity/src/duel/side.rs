//! One of the two servers, with its clients and its watches.

use std::sync::Arc;

use etcd_client::proto::PbStatusRequest;
use tokio::sync::Notify;

use super::STREAMS;
use super::follower::{Follower, Spy};
use super::server::{Broken, Kind, Server, stable};
use crate::wire::{Answer, Call, Client};

/// The connections that a program can name.
const CLIENTS: usize = 3;

#[derive(Debug)]
pub(super) struct Side {
    pub(super) server: Server,
    clients: Vec<Client>,
    pub(super) identity: Identity,
    /// Sees every event.
    pub(super) spy: Spy,
    pub(super) streams: [Option<Follower>; STREAMS],
    /// The raft index that those of this program are relative to.
    pub(super) raft_base: u64,
    /// Of so many sorted pairs both servers leave equals in key order.
    pub(super) stable: usize,
    arrival: Arc<Notify>,
}

/// What the headers of a server carry.
#[derive(Clone, Copy, Debug)]
pub(super) struct Identity {
    pub(super) cluster: u64,
    pub(super) member: u64,
    pub(super) term: u64,
}

impl Side {
    pub(super) async fn start(
        kind: &Kind,
        version: Option<&str>,
        arrival: &Arc<Notify>,
    ) -> Result<Self, Broken> {
        let server = Server::start(kind, version).await?;
        let url = server.url();
        let mut clients = Vec::new();
        for _ in 0..CLIENTS {
            clients.push(Client::connect(&url).await?);
        }
        let identity = identity(&clients[0]).await?;
        let stable = stable(kind).await?;
        let spy = Spy::open(&clients[0], arrival).await;
        Ok(Self {
            server,
            clients,
            identity,
            spy,
            streams: Default::default(),
            raft_base: 0,
            stable,
            arrival: Arc::clone(arrival),
        })
    }

    pub(super) fn client(&self, number: u8) -> &Client {
        &self.clients[usize::from(number) % self.clients.len()]
    }

    /// The stream of that number, opened if need be.
    pub(super) fn stream(&mut self, client: u8, number: usize) -> &mut Follower {
        let client = &self.clients[usize::from(client) % self.clients.len()];
        let slot = &mut self.streams[number];
        slot.get_or_insert_with(|| Follower::open(client, &self.arrival))
    }

    /// Takes in what has arrived.
    pub(super) fn pump(&mut self) -> u64 {
        let events = self.spy.pump();
        let mut arrived = u64::try_from(events.len()).unwrap_or(0);
        for stream in self.streams.iter_mut().flatten() {
            stream.owe(&events);
            arrived += stream.pump(self.spy.log());
        }
        arrived
    }

    /// Whether all has arrived that the events up to `revision` lead to.
    pub(super) fn is_caught_up(&self, revision: i64) -> bool {
        self.spy.has_seen(revision) && self.streams.iter().flatten().all(Follower::is_caught_up)
    }
}

async fn identity(client: &Client) -> Result<Identity, Broken> {
    match client.call(Call::Status(PbStatusRequest {})).await {
        Ok(Answer::Status(status)) => {
            let header = status.header.unwrap_or_default();
            Ok(Identity {
                cluster: header.cluster_id,
                member: header.member_id,
                term: header.raft_term,
            })
        }
        other => Err(Broken::Other(format!("the answer to a status request: {other:?}"))),
    }
}
