//! Forgetting (etcd: `server/storage/mvcc/kvstore.go`, `Compact`).

use std::sync::Arc;

use tailetc_core::Revision;
use tailetc_core::backend::{BackendError, Header};

use super::Store;
use super::hash::record_len;
use crate::errors;

impl Store {
    /// Forgets what is below `revision`.
    ///
    /// Takes time by the number of changes since the compaction before, each times the logarithm of
    /// the number of keys, and by the number of versions that are left of the keys they changed; by
    /// the number of keys only if [hashes are kept](Self::keep_hashes).
    pub(crate) fn compact(&mut self, revision: Revision) -> Result<Header, BackendError> {
        self.raft_index += 1;
        if revision <= self.compacted {
            return Err(errors::compacted());
        }
        if revision > self.revision {
            return Err(errors::future_revision());
        }
        self.store_compaction_hash(revision);
        // What only the log still has is forgotten already, with an earlier version of its key.
        for change in self.log.until(revision).filter(|change| Arc::strong_count(change) > 1) {
            self.keys.compact(&change.kv.key, revision, &mut |forgotten| {
                self.usage.remove(record_len(forgotten));
            });
        }
        self.log.compact(revision, self.options.imitate);
        self.compacted = revision;
        Ok(self.header())
    }
}
