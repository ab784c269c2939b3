//! Changing keys, all at one revision (etcd: `server/storage/mvcc/kvstore_txn.go`).

use bytes::Bytes;
use tailetc_core::backend::{Event, EventKind, KeyRange, KeyValue};
use tailetc_core::{LeaseId, Revision};

use super::Store;
use super::range::View;

/// A revision in the making. Nobody else sees the store meanwhile, and nothing in it can fail:
/// what is refused is refused before.
#[derive(Debug)]
pub(super) struct Write<'a> {
    store: &'a mut Store,
    changes: Vec<Event>,
}

impl<'a> Write<'a> {
    pub(super) fn begin(store: &'a mut Store) -> Self {
        Self { store, changes: Vec::new() }
    }

    /// The revision of the state so far: the store's until something changes.
    pub(super) fn revision(&self) -> Revision {
        if self.changes.is_empty() { self.store.revision } else { self.store.revision.next() }
    }

    /// The state so far.
    pub(super) fn view(&self) -> View<'_> {
        View { keys: &self.store.keys, current: self.revision(), compacted: self.store.compacted }
    }

    pub(super) fn get(&self, key: &[u8]) -> Option<&KeyValue> {
        self.store.keys.get(key)
    }

    pub(super) fn put(&mut self, key: Bytes, value: Bytes, lease: LeaseId) {
        let mod_revision = self.store.revision.next();
        let before = self.store.keys.get(&key);
        let kv = KeyValue {
            create_revision: before.map_or(mod_revision, |kv| kv.create_revision),
            version: before.map_or(0, |kv| kv.version) + 1,
            mod_revision,
            key,
            value,
            lease,
        };
        let old_lease = before.map_or(LeaseId::NONE, |kv| kv.lease);
        self.store.leases.move_key(&kv.key, old_lease, lease);
        self.store.keys.put(kv.clone());
        self.changed(EventKind::Put, kv);
    }

    /// Deletes the keys of `range`, in order, and returns them as they were.
    pub(super) fn delete(&mut self, range: &KeyRange) -> Vec<KeyValue> {
        let deleted: Vec<KeyValue> = self.store.keys.range(range).cloned().collect();
        for kv in &deleted {
            let mod_revision = self.store.revision.next();
            self.store.keys.delete(&kv.key, mod_revision);
            self.store.leases.move_key(&kv.key, kv.lease, LeaseId::NONE);
            let tombstone = KeyValue { key: kv.key.clone(), mod_revision, ..KeyValue::default() };
            self.changed(EventKind::Delete, tombstone);
        }
        deleted
    }

    fn changed(&mut self, kind: EventKind, kv: KeyValue) {
        self.changes.push(Event { kind, kv, prev_kv: None });
    }

    /// Makes the changes, if any, the store's next revision.
    pub(super) fn commit(self) {
        if !self.changes.is_empty() {
            self.store.revision = self.store.revision.next();
            self.store.log.push(self.changes);
        }
    }
}
