//! Makes things happen to the cluster, and ends them.

use std::time::Duration;

use tailetc_testkit::etcd_cluster::{Disturbance, EtcdCluster, MEMBERS, Party};
use tailetc_testkit::etcd_server::EtcdServerError;

use super::schedule::{Episode, Fault};

/// What has been done to processes and must be undone.
#[derive(Debug, Default)]
pub(crate) struct Damage {
    killed: Vec<usize>,
    paused: Vec<usize>,
}

impl Damage {
    /// Does what the network and the processes can suffer; the rest is the caller's.
    pub(crate) async fn strike(
        &mut self,
        cluster: &mut EtcdCluster,
        fault: Fault,
        episode: &Episode,
    ) -> Result<(), EtcdServerError> {
        let Episode { member, other, .. } = *episode;
        let (clients, one) = (Party::Clients, Party::Member(member));
        match fault {
            Fault::KillMember => self.kill(cluster, &[member]).await?,
            Fault::KillLeader => {
                let leader = cluster.leader().await?;
                self.kill(cluster, &[leader]).await?;
            }
            Fault::KillMajority => self.kill(cluster, &[member, other]).await?,
            Fault::KillAll => {
                let all: Vec<usize> = (0..MEMBERS).collect();
                self.kill(cluster, &all).await?;
            }
            Fault::PauseMember => self.pause(cluster, member).await?,
            Fault::PauseLeader => {
                let leader = cluster.leader().await?;
                self.pause(cluster, leader).await?;
            }
            Fault::IsolateMember => cluster.network().isolate(member),
            Fault::IsolateLeader => {
                let leader = cluster.leader().await?;
                cluster.network().isolate(leader);
            }
            Fault::SwallowMember => cluster.network().partition(&[member], Disturbance::Swallow),
            Fault::CutOneWay => {
                cluster.network().disturb(one, Party::Member(other), Disturbance::Swallow);
            }
            Fault::DelayPeers => {
                let delay = Disturbance::Delay(Duration::from_millis(60));
                cluster.network().partition(&[member], delay);
            }
            Fault::HoldPeers => cluster.network().partition(&[member], Disturbance::Hold),
            Fault::DelayClients => {
                let delay = Disturbance::Delay(Duration::from_millis(80));
                cluster.network().disturb_clients(delay);
            }
            Fault::HoldClients => {
                cluster.network().disturb_both(clients, one, Disturbance::Hold);
            }
            Fault::SwallowClients => {
                cluster.network().disturb_both(clients, one, Disturbance::Swallow);
            }
            Fault::SwallowAnswers => {
                cluster.network().disturb(one, clients, Disturbance::Swallow);
            }
            Fault::RefuseClients => {
                cluster.network().disturb_both(clients, one, Disturbance::Refuse);
            }
            Fault::RefuseAllClients => cluster.network().disturb_clients(Disturbance::Refuse),
            Fault::Defragment => cluster.defragment(other).await?,
            Fault::MoveLeader => {
                let leader = cluster.leader().await?;
                let to = if leader == other { (other + 1) % MEMBERS } else { other };
                cluster.move_leader(to).await?;
            }
            Fault::Compact | Fault::Backup | Fault::RestoreSame | Fault::RestoreOther => {}
        }
        Ok(())
    }

    /// Ends all of it. The cluster may take a while to serve again.
    pub(crate) async fn heal(&mut self, cluster: &mut EtcdCluster) -> Result<(), EtcdServerError> {
        cluster.network().heal();
        for member in self.paused.drain(..) {
            cluster.resume(member).await?;
        }
        for member in self.killed.drain(..) {
            cluster.restart(member).await?;
        }
        Ok(())
    }

    async fn kill(
        &mut self,
        cluster: &mut EtcdCluster,
        members: &[usize],
    ) -> Result<(), EtcdServerError> {
        for member in members {
            self.killed.push(*member);
            cluster.kill(*member).await?;
        }
        Ok(())
    }

    async fn pause(
        &mut self,
        cluster: &mut EtcdCluster,
        member: usize,
    ) -> Result<(), EtcdServerError> {
        self.paused.push(member);
        cluster.pause(member).await
    }
}
