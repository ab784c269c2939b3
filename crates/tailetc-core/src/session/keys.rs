//! What a session has put.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::txn::{Prepared, Room};
use crate::{Key, LeaseId};

/// The keys of a session that is to be established anew.
#[derive(Debug)]
pub(super) struct Keys {
    held: BTreeMap<Key, Held>,
    /// What could not be put again: others hold it, or the store refuses it.
    taken: BTreeSet<Key>,
    /// All leases that this session ever had: a key that hangs on one of them is still its own.
    leases: Vec<LeaseId>,
}

#[derive(Clone, Debug)]
struct Held {
    put: Prepared,
    /// On which it was put last.
    lease: LeaseId,
}

/// What was remembered of the keys that a transaction writes, while it is not known what becomes of
/// it. Dropped, it is forgotten: of a write that may be applied, neither what it puts nor what was
/// there before can be put again.
#[derive(Debug, Default)]
pub(super) struct Aside(Vec<Held>);

impl Keys {
    pub(super) fn new(lease: LeaseId) -> Self {
        Self { held: BTreeMap::new(), taken: BTreeSet::new(), leases: vec![lease] }
    }

    pub(super) fn add_lease(&mut self, lease: LeaseId) {
        self.leases.push(lease);
    }

    /// Takes note of committed writes; returns the keys that others hold.
    pub(super) fn remember(
        &mut self,
        lease: LeaseId,
        written: Vec<(Prepared, LeaseId)>,
    ) -> Arc<[Key]> {
        for (write, under) in written {
            self.taken.remove(&write.key);
            if write.is_put() && under == lease {
                self.held.insert(write.key.clone(), Held { put: write, lease });
            } else {
                self.held.remove(&write.key);
            }
        }
        self.taken()
    }

    pub(super) fn set_aside(&mut self, written: &[(Prepared, LeaseId)]) -> Aside {
        Aside(written.iter().filter_map(|(write, _)| self.held.remove(&write.key)).collect())
    }

    /// After a transaction that was certainly not applied.
    pub(super) fn put_back(&mut self, aside: &mut Aside) {
        self.held.extend(aside.0.drain(..).map(|held| (held.put.key.clone(), held)));
    }

    /// Takes note of keys that cannot be put again.
    pub(super) fn give_up(&mut self, keys: impl IntoIterator<Item = Key>) {
        for key in keys {
            self.held.remove(&key);
            self.taken.insert(key);
        }
    }

    pub(super) fn taken(&self) -> Arc<[Key]> {
        self.taken.iter().cloned().collect()
    }

    /// Keys that do not hang on `lease`, as many as there is room for; those named `first` before
    /// the others.
    pub(super) fn stale(
        &self,
        lease: LeaseId,
        first: &BTreeSet<Key>,
        mut room: Room,
    ) -> Vec<Prepared> {
        let named = first.iter().filter_map(|key| self.held.get(key));
        let others = self.held.iter().filter(|(key, _)| !first.contains(*key)).map(|(_, put)| put);
        let stale = named.chain(others).filter(|held| held.lease != lease);
        stale.map(|held| &held.put).take_while(|put| room.take(put)).cloned().collect()
    }

    pub(super) fn is_stale(&self, lease: LeaseId, key: &Key) -> bool {
        self.held.get(key).is_some_and(|held| held.lease != lease)
    }

    pub(super) fn are_ours(&self, lease: LeaseId) -> bool {
        self.leases.contains(&lease)
    }
}
