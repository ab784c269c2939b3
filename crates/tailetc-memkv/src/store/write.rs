//! Changing keys, all at one revision (etcd: `server/storage/mvcc/kvstore_txn.go`).

use std::mem;
use std::sync::Arc;

use bytes::Bytes;
use tailetc_core::backend::{KeyRange, KeyValue};
use tailetc_core::{LeaseId, Revision};

use super::Store;
use super::change::{Change, Changes, Wide};
use super::hash::record_len;
use super::keys::KeySet;
use super::late::{LatePairs, Unfinished};
use super::range::View;
use super::unwritten::{Of, Part, Unwritten};
use crate::fault::Fault;

/// A revision in the making. Nobody else sees the store meanwhile, and nothing in it can fail:
/// what is refused is refused before.
#[derive(Debug)]
pub(super) struct Write<'a> {
    pub(super) store: &'a mut Store,
    /// Those that are written down.
    changes: Vec<Arc<Change>>,
    /// The other ones.
    parts: Vec<Part>,
    /// How many changes there are.
    subs: u32,
    /// How many keys may still be deleted and written down at once.
    at_once: usize,
    /// How many deletions ran.
    deletions: usize,
    /// The pairs that are to be found yet, by the number of their deletion.
    late: Vec<(usize, LatePairs)>,
}

impl<'a> Write<'a> {
    pub(super) fn begin(store: &'a mut Store) -> Self {
        let changes = mem::take(&mut store.held);
        let subs = u32::try_from(changes.len()).unwrap_or(u32::MAX);
        let at_once = match store.options.has(Fault::DeletionWithoutRevision) {
            true => usize::MAX,
            false => store.options.slice,
        };
        Self { store, changes, parts: Vec::new(), subs, at_once, deletions: 0, late: Vec::new() }
    }

    /// The revision of the state so far: the store's until something changes.
    pub(super) fn revision(&self) -> Revision {
        if self.subs == 0 { self.store.revision } else { self.store.revision.next() }
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
        self.store.usage.saw_key(kv.key.len());
        self.changed(Change { kv, sub: self.subs });
    }

    /// Deletes the keys of `range`, in order, and returns how many there were, and as what if
    /// `pairs` are wanted: later, if there are very many.
    pub(super) fn delete(&mut self, range: &KeyRange, pairs: bool) -> (usize, Vec<KeyValue>) {
        self.deletions += 1;
        let count = self.store.keys.count(range);
        if self.is_wide(range, count) {
            let (revision, first) = (self.store.revision.next(), self.subs);
            self.subs += self.store.keys.delete(range, revision, first);
            let late = pairs.then(|| LatePairs::with_capacity(count));
            self.late.extend(late.clone().map(|late| (self.deletions - 1, late)));
            self.parts.push(Part::of_range(first..self.subs, range, late));
            return (count, Vec::new());
        }
        self.at_once -= count.min(self.at_once);
        let deleted: Vec<KeyValue> = self.store.keys.range(range).cloned().collect();
        for kv in &deleted {
            self.store.leases.move_key(&kv.key, kv.lease, LeaseId::NONE);
            let mod_revision = self.store.revision.next();
            self.changed(Change::deletion(kv.key.clone(), mod_revision, self.subs));
        }
        (count, if pairs { deleted } else { Vec::new() })
    }

    /// Whether a deletion is written down later. Not one of keys that the revision has changed
    /// already: what it does to them would not be clear from the state before it.
    fn is_wide(&self, range: &KeyRange, count: usize) -> bool {
        count > self.at_once && !self.changes.iter().any(|change| range.contains(&change.kv.key))
    }

    /// Deletes what is attached to a lease that is gone. Nothing else changes at this revision.
    pub(super) fn delete_attached(&mut self, lease: LeaseId, attached: KeySet) {
        if attached.len() <= self.at_once {
            let is_attached = |key: &Bytes| self.get(key).is_some_and(|kv| kv.lease == lease);
            let keys: Vec<Bytes> =
                attached.iter().filter(|key| is_attached(key)).cloned().collect();
            for key in keys {
                self.delete(&KeyRange::key(key), false);
            }
            return;
        }
        let (exact, revision) = (self.store.knows_attached(), self.store.revision.next());
        let keys = &mut self.store.keys;
        self.subs = keys.delete_attached(lease, (&attached, exact), revision, 0);
        self.parts.push(Part { subs: 0..self.subs, of: Of::Lease(attached.into_keys()) });
    }

    fn changed(&mut self, change: Change) {
        let change = Arc::new(change);
        self.store.usage.add(record_len(&change));
        self.store.keys.push(Arc::clone(&change));
        self.changes.push(change);
        self.subs = self.subs.saturating_add(1);
    }

    /// Makes the changes, if any, the store's next revision.
    pub(super) fn commit(self) {
        let only_deletes = self.changes.iter().all(|change| change.is_deletion());
        if only_deletes && self.store.options.has(Fault::DeletionWithoutRevision) {
            self.store.held = self.changes;
        } else if self.subs > 0 && self.parts.is_empty() {
            let revision = self.store.revision.next();
            let changes = self.changes.into();
            self.store.revision = revision;
            self.store.watches.committed(revision, &changes);
            self.store.log.push(changes);
        } else if self.subs > 0 {
            self.commit_wide();
        }
    }

    fn commit_wide(self) {
        let Self { store, changes, parts, late: pairs, .. } = self;
        let revision = store.revision.next();
        let runs = parts.iter().map(|part| part.subs.clone()).collect();
        let wide = Arc::new(Wide::new(self.subs, runs));
        let concerns =
            |range: &KeyRange| parts.iter().any(|part| part.concerns(range, &store.keys, revision));
        store.revision = revision;
        store.watches.committed_wide(revision, &wide, &changes, concerns);
        store.log.push(Changes::Wide(Arc::clone(&wide)));
        store.usage.unwritten(wide.len() - changes.len());
        store.unwritten.push_back(Unwritten::new(revision, &wide, changes, parts));
        store.unfinished = Some(Unfinished { revision, pairs });
    }
}
