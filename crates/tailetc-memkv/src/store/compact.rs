//! Forgetting (etcd: `server/storage/mvcc/kvstore.go`, `Compact`, `kvstore_compaction.go`).
//!
//! A compaction takes effect at once, and what is to be forgotten is then forgotten little by
//! little. Nothing tells of it but the time that it takes.

use std::sync::Arc;

use tailetc_core::Revision;
use tailetc_core::backend::{BackendError, Header};

use super::Store;
use super::change::Changes;
use super::hash::record_len;
use super::usage::Removal;
use crate::errors;

/// A compaction that left something to forget. Those after it wait.
#[derive(Debug)]
pub(super) struct Cleaning {
    revision: Revision,
    /// What `revision` itself changed, of which the log may have less.
    last: Changes,
    removal: Removal,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    Waiting,
    /// So many changes of the log's oldest revision are done.
    Older(usize),
    /// So many of `last` are.
    Last(usize),
}

impl Store {
    /// Forgets what is below `revision`: from now on nobody is told of it. To free it is left to
    /// [`clean`](Self::clean).
    ///
    /// Takes time by the number of keys if [hashes are kept](Self::keep_hashes).
    pub(crate) fn compact(&mut self, revision: Revision) -> Result<Header, BackendError> {
        self.raft_index += 1;
        if revision <= self.compacted {
            return Err(errors::compacted());
        }
        if revision > self.revision {
            return Err(errors::future_revision());
        }
        self.store_compaction_hash(revision);
        self.compacted = revision;
        if let Some(last) = self.log.compact(revision, self.options.imitate) {
            let removal = self.usage.removal();
            let cleaning = Cleaning { revision, last, removal, stage: Stage::Waiting };
            self.cleanings.push_back(cleaning);
        }
        Ok(self.header())
    }

    /// Whether there is nothing left to forget up to `revision`.
    pub(super) fn is_clean(&self, revision: Revision) -> bool {
        self.cleanings.front().is_none_or(|cleaning| cleaning.revision > revision)
    }

    /// Forgets about `most` versions of keys. Each takes time by the logarithm of the number of
    /// keys, and by the number of versions that are left of its key.
    pub(super) fn clean(&mut self, most: usize) {
        let mut left = most;
        while left > 0
            && let Some(cleaning) = self.cleanings.front_mut()
        {
            let (changes, done) = match &mut cleaning.stage {
                Stage::Waiting => {
                    self.usage.begin(&cleaning.removal);
                    cleaning.stage = Stage::Older(0);
                    continue;
                }
                Stage::Older(done) => match self.log.oldest_below(cleaning.revision) {
                    Some(changes) => (changes, done),
                    None => {
                        cleaning.stage = Stage::Last(0);
                        continue;
                    }
                },
                Stage::Last(done) => (&cleaning.last, done),
            };
            let mut forgotten = 0;
            match changes.get(*done) {
                // What only the log still has is forgotten already, with an earlier version of its
                // key.
                Some(change) if Arc::strong_count(change) == 1 => *done += 1,
                Some(change) => {
                    let is_done =
                        self.keys.compact(&change.kv.key, cleaning.revision, left, &mut |change| {
                            self.usage.remove(record_len(change));
                            forgotten += 1;
                        });
                    *done += usize::from(is_done);
                }
                None if matches!(cleaning.stage, Stage::Older(_)) => {
                    self.log.forget_oldest();
                    cleaning.stage = Stage::Older(0);
                }
                None => {
                    self.usage.end();
                    self.cleanings.pop_front();
                }
            }
            left = left.saturating_sub(forgotten.max(1));
        }
        if self.cleanings.is_empty() {
            self.cleanings.shrink_to_fit();
        }
    }
}
