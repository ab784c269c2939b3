//! Changing keys, all at one revision (etcd: `server/storage/mvcc/kvstore_txn.go`).

use std::mem;
use std::sync::Arc;

use bytes::Bytes;
use tailetc_core::backend::{KeyRange, KeyValue};
use tailetc_core::{LeaseId, Revision};

use super::Store;
use super::change::Change;
use super::hash::record_len;
use super::range::View;
use crate::fault::Fault;

/// A revision in the making. Nobody else sees the store meanwhile, and nothing in it can fail:
/// what is refused is refused before.
#[derive(Debug)]
pub(super) struct Write<'a> {
    pub(super) store: &'a mut Store,
    changes: Vec<Arc<Change>>,
}

impl<'a> Write<'a> {
    pub(super) fn begin(store: &'a mut Store) -> Self {
        let changes = mem::take(&mut store.held);
        Self { store, changes }
    }

    /// The revision of the state so far: the store's until something changes.
    pub(super) fn revision(&self) -> Revision {
        if self.changes.is_empty() { self.store.revision } else { self.store.revision.next() }
    }

    /// The state so far.
    pub(super) fn view(&self) -> View<'_> {
        View { current: self.revision(), ..self.store.view() }
    }

    pub(super) fn get(&self, key: &[u8]) -> Option<&KeyValue> {
        self.store.keys.get(key)
    }

    pub(super) fn put(&mut self, key: Bytes, value: Bytes, lease: LeaseId) {
        let mod_revision = self.store.revision.next();
        let before = self.store.keys.get(&key);
        let old_lease = before.map_or(LeaseId::NONE, |kv| kv.lease);
        let kv = KeyValue {
            create_revision: before.map_or(mod_revision, |kv| kv.create_revision),
            version: before.map_or(0, |kv| kv.version) + 1,
            mod_revision,
            key: self.store.keys.interned(&key).cloned().unwrap_or(key),
            value,
            lease,
        };
        self.store.leases.move_key(&kv.key, old_lease, lease);
        let sub = self.sub();
        self.changed(Change { kv, sub });
    }

    /// Deletes the keys of `range`, in order, and returns them as they were.
    pub(super) fn delete(&mut self, range: &KeyRange) -> Vec<KeyValue> {
        let deleted: Vec<KeyValue> = self.store.keys.range(range).cloned().collect();
        for kv in &deleted {
            self.store.leases.move_key(&kv.key, kv.lease, LeaseId::NONE);
            let (mod_revision, sub) = (self.store.revision.next(), self.sub());
            self.changed(Change::deletion(kv.key.clone(), mod_revision, sub));
        }
        deleted
    }

    fn sub(&self) -> u32 {
        u32::try_from(self.changes.len()).unwrap_or(u32::MAX)
    }

    fn changed(&mut self, change: Change) {
        let change = Arc::new(change);
        self.store.usage.add(record_len(&change));
        self.store.keys.push(Arc::clone(&change));
        self.changes.push(change);
    }

    /// Makes the changes, if any, the store's next revision.
    pub(super) fn commit(self) {
        let only_deletes = self.changes.iter().all(|change| change.is_deletion());
        if only_deletes && self.store.options.has(Fault::DeletionWithoutRevision) {
            self.store.held = self.changes;
        } else if !self.changes.is_empty() {
            let revision = self.store.revision.next();
            let changes = self.changes.into();
            self.store.revision = revision;
            self.store.watches.committed(revision, &changes);
            self.store.log.push(changes);
        }
    }
}
