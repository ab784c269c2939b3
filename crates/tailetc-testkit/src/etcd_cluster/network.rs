//! What the network does to the bytes between two parties.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::MEMBERS;

/// One end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "there is nobody else")]
pub enum Party {
    /// All clients that come through the proxies.
    Clients,
    /// The member with this number.
    Member(usize),
}

/// What becomes of the bytes on their way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Disturbance {
    /// They arrive.
    None,
    /// They arrive so much later.
    Delay(Duration),
    /// They wait until this ends, and arrive then: what a short break of a network does to
    /// connections that outlive it. New connections wait too.
    Hold,
    /// They get lost, and the connection stays open on both sides, half-open. It is closed when
    /// this ends.
    Swallow,
    /// Connections are closed, new ones too.
    Refuse,
}

/// The network of a cluster. At first nothing disturbs it.
#[derive(Debug, Default)]
pub struct Network(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// etcd's identifiers of the members, by which their connections are known.
    identifiers: Vec<u64>,
    flows: BTreeMap<Flow, watch::Sender<Disturbance>>,
}

/// One way of the connections that one party makes to one member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Flow {
    pub(super) dialer: Dialer,
    pub(super) member: usize,
    pub(super) way: Way,
}

/// Who made a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Dialer {
    Clients,
    /// The member with this identifier of etcd's.
    Member(u64),
    /// A member that does not say which: it asks for versions and round trip times.
    SomeMember,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Way {
    There,
    Back,
}

impl Network {
    /// Disturbs what one party sends to another, on whosever connection, until it is
    /// [healed](Self::heal) or disturbed otherwise.
    pub fn disturb(&self, from: Party, to: Party, disturbance: Disturbance) {
        let mut inner = self.lock();
        if let (Some(dialer), Party::Member(member)) = (inner.dialer(from), to) {
            inner.set(Flow { dialer, member, way: Way::There }, disturbance);
        }
        if let (Party::Member(member), Some(dialer)) = (from, inner.dialer(to)) {
            inner.set(Flow { dialer, member, way: Way::Back }, disturbance);
        }
    }

    /// Disturbs both ways between two parties.
    pub fn disturb_both(&self, a: Party, b: Party, disturbance: Disturbance) {
        self.disturb(a, b, disturbance);
        self.disturb(b, a, disturbance);
    }

    /// Cuts a member off from the other members. Clients still reach it.
    pub fn isolate(&self, member: usize) {
        self.partition(&[member], Disturbance::Refuse);
    }

    /// Disturbs everything between these members and the others.
    pub fn partition(&self, members: &[usize], disturbance: Disturbance) {
        let others = (0..MEMBERS).filter(|member| !members.contains(member));
        for other in others {
            for member in members {
                self.disturb_both(Party::Member(*member), Party::Member(other), disturbance);
            }
        }
    }

    /// Disturbs all clients' connections to all members, both ways.
    pub fn disturb_clients(&self, disturbance: Disturbance) {
        for member in 0..MEMBERS {
            self.disturb_both(Party::Clients, Party::Member(member), disturbance);
        }
    }

    /// Ends all disturbances.
    pub fn heal(&self) {
        for sender in self.lock().flows.values() {
            set(sender, Disturbance::None);
        }
    }

    pub(super) fn know(&self, identifiers: Vec<u64>) {
        self.lock().identifiers = identifiers;
    }

    pub(super) fn flow(&self, flow: Flow) -> watch::Receiver<Disturbance> {
        self.lock().sender(flow).subscribe()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn dialer(&self, party: Party) -> Option<Dialer> {
        match party {
            Party::Clients => Some(Dialer::Clients),
            Party::Member(member) => self.identifiers.get(member).copied().map(Dialer::Member),
        }
    }

    fn sender(&mut self, flow: Flow) -> &watch::Sender<Disturbance> {
        self.flows.entry(flow).or_insert_with(|| watch::Sender::new(Disturbance::None))
    }

    fn set(&mut self, flow: Flow, disturbance: Disturbance) {
        set(self.sender(flow), disturbance);
    }
}

/// Keeps the value also while nobody listens.
fn set(sender: &watch::Sender<Disturbance>, disturbance: Disturbance) {
    sender.send_if_modified(|now| std::mem::replace(now, disturbance) != disturbance);
}
