//! One member: its ports, its proxies and its process.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::EtcdCluster;
use super::network::Network;
use super::proxy::Proxy;
use crate::etcd_server::binary::Kind;
use crate::etcd_server::guard::{self, Guard};
use crate::etcd_server::{EtcdServerError, health, port};

#[derive(Debug)]
pub(super) struct Member {
    client_port: u16,
    peer_port: u16,
    for_clients: Proxy,
    for_peers: Proxy,
    dir: Option<PathBuf>,
    /// `None` while it is down.
    process: Option<Guard>,
}

impl Member {
    pub(super) async fn new(index: usize, network: &Arc<Network>) -> Result<Self, EtcdServerError> {
        let (client_port, peer_port) = (port::free()?, port::free()?);
        let for_clients = Proxy::for_clients(network, index, client_port).await?;
        let for_peers = Proxy::for_peers(network, index, peer_port).await?;
        Ok(Self { client_port, peer_port, for_clients, for_peers, dir: None, process: None })
    }

    pub(super) fn client_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.for_clients.port())
    }

    pub(super) fn direct_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.client_port)
    }

    pub(super) fn peer_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.for_peers.port())
    }

    pub(super) async fn start(
        &mut self,
        program: &Path,
        args: &[String],
        dir: PathBuf,
    ) -> Result<(), EtcdServerError> {
        let log = dir.with_extension("log");
        self.process = Some(Guard::spawn(program, args, &dir, &log).await?);
        self.dir = Some(dir);
        Ok(())
    }

    pub(super) async fn kill(&mut self) -> Result<(), EtcdServerError> {
        match self.process.take() {
            Some(process) => process.kill().await,
            None => Ok(()),
        }
    }

    /// Removes what a member that is down has left.
    pub(super) fn remove_data(&mut self) {
        if let Some(dir) = self.dir.take() {
            guard::remove_data(&dir);
        }
    }

    pub(super) fn is_running(&self) -> bool {
        self.process.is_some()
    }

    pub(super) fn running(&mut self) -> Result<&mut Guard, EtcdServerError> {
        self.process.as_mut().ok_or_else(|| EtcdServerError::new("the member is down"))
    }

    pub(super) async fn serving(&self) {
        health::serving(self.client_port).await;
    }

    pub(super) fn failure(&self, failure: &str) -> EtcdServerError {
        match &self.dir {
            Some(dir) => EtcdServerError::with_log(failure, &dir.with_extension("log")),
            None => EtcdServerError::new(failure),
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        // A running member's guard removes the data once the member is dead.
        if self.process.is_none() {
            self.remove_data();
        }
    }
}

impl EtcdCluster {
    pub(super) fn name(index: usize) -> String {
        format!("m{index}")
    }

    /// Of this generation of data.
    pub(super) fn data_dir(&self, index: usize) -> PathBuf {
        let name = format!("{}-{}-{}", self.name, Self::name(index), self.generation);
        std::env::temp_dir().join(name)
    }

    /// What makes the members one cluster.
    pub(super) fn membership_args(&self, index: usize) -> [String; 4] {
        let members = self.members.iter().enumerate();
        let all: Vec<String> = members
            .map(|(index, member)| format!("{}={}", Self::name(index), member.peer_url()))
            .collect();
        [
            format!("--name={}", Self::name(index)),
            format!("--initial-advertise-peer-urls={}", self.members[index].peer_url()),
            format!("--initial-cluster={}", all.join(",")),
            format!("--initial-cluster-token={}", self.token),
        ]
    }

    pub(super) fn args(&self, index: usize) -> Vec<String> {
        let member = &self.members[index];
        let mut args = vec![
            format!("--data-dir={}", self.data_dir(index).display()),
            format!("--listen-client-urls={}", member.direct_url()),
            format!("--advertise-client-urls={}", member.client_url()),
            format!("--listen-peer-urls=http://127.0.0.1:{}", member.peer_port),
            format!("--heartbeat-interval={}", self.options.heartbeat_interval.as_millis()),
            format!("--election-timeout={}", self.options.election_timeout.as_millis()),
            // Clients that are to notice a dead connection soon ask often.
            "--grpc-keepalive-min-time=500ms".to_owned(),
        ];
        args.extend(self.membership_args(index));
        if matches!(self.binary.kind, Kind::Etcd { has_no_fsync: true, .. }) {
            args.push("--unsafe-no-fsync".to_owned());
        }
        args.extend(self.options.args.iter().cloned());
        args
    }
}
