//! What a session has put, and putting it again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Inner;
use crate::txn::{Prepared, Room, is_too_large};
use crate::{Db, Error, Key, LeaseId};

/// The keys of a session that is to be established anew.
#[derive(Debug)]
pub(super) struct Keys {
    held: BTreeMap<Key, Held>,
    /// What others hold by now.
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

    /// Takes note of keys that others hold.
    fn give_up(&mut self, keys: Vec<Key>) {
        for key in keys {
            self.held.remove(&key);
            self.taken.insert(key);
        }
    }

    pub(super) fn taken(&self) -> Arc<[Key]> {
        self.taken.iter().cloned().collect()
    }

    /// Keys that do not hang on `lease`, as many as there is room for.
    fn stale(&self, lease: LeaseId, mut room: Room) -> Vec<Prepared> {
        let stale = self.held.values().filter(|held| held.lease != lease);
        stale.map(|held| &held.put).take_while(|put| room.take(put)).cloned().collect()
    }

    fn are_ours(&self, lease: LeaseId) -> bool {
        self.leases.contains(&lease)
    }
}

impl Inner {
    /// Puts everything that does not hang on `lease` again with it, where the key is absent or
    /// still the session's.
    pub(super) async fn restore(&self, db: &Db, lease: LeaseId) -> Result<(), Error> {
        let mut most = usize::MAX;
        loop {
            let _writing = self.writing.lock().await;
            let stale = self.keys().stale(lease, Room::new(db.shared(), most));
            if stale.is_empty() {
                return Ok(());
            }
            let (mut taken, mut written) = (Vec::new(), Vec::new());
            let run = db.transact(|txn| {
                taken.clear();
                for put in &stale {
                    match txn.lease_of(&put.key) {
                        Some(other) if !self.keys().are_ours(other) => taken.push(put.key.clone()),
                        _ => txn.write_prepared(put, lease)?,
                    }
                }
                written = txn.prepared();
                Ok::<_, Error>(())
            });
            match run.await {
                Err(error) if is_too_large(&error) && stale.len() > 1 => {
                    most = stale.len() / 2;
                    continue;
                }
                Err(error) if error.committed().is_none() => return Err(error),
                _ => {}
            }
            let mut keys = self.keys();
            keys.remember(lease, written);
            keys.give_up(taken);
        }
    }
}
