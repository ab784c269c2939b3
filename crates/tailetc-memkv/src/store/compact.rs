//! Forgetting (etcd: `server/storage/mvcc/kvstore.go`, `Compact`, `kvstore_compaction.go`).
//!
//! A compaction takes effect at once, and what is to be forgotten is then forgotten little by
//! little. Nothing tells of it but the time that it takes.

use std::sync::Arc;

use tailetc_core::Revision;
use tailetc_core::backend::{BackendError, Header};

use super::Store;
use super::change::{Change, Changes, Wide};
use super::hash::kept::Hashing;
use super::hash::{MAX_STORED, record_len};
use super::usage::Removal;
use crate::errors;

/// A compaction that left something to forget. Those after it wait.
#[derive(Debug)]
pub(super) struct Cleaning {
    revision: Revision,
    /// The store's revision when it took effect.
    pub(super) after: Revision,
    /// What `revision` itself changed, of which the log may have less.
    last: Changes,
    pub(super) removal: Removal,
    /// Before anything is forgotten.
    hashing: Option<Hashing>,
    stage: Stage,
}

impl Cleaning {
    pub(super) fn is_hashing(&self) -> bool {
        self.hashing.is_some()
    }
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
    pub(crate) fn compact(&mut self, revision: Revision) -> Result<Header, BackendError> {
        self.raft_index += 1;
        if revision <= self.compacted {
            return Err(errors::compacted());
        }
        if revision > self.revision {
            return Err(errors::future_revision());
        }
        let last = self.log.compact(revision, self.options.imitate);
        let last = last.unwrap_or_else(|| Vec::new().into());
        self.cleanings.push_back(Cleaning {
            revision,
            after: self.revision,
            hashing: self.hashing([self.compacted, revision], &last),
            last,
            removal: self.usage.removal(),
            stage: Stage::Waiting,
        });
        self.compacted = revision;
        // Its hash would be gone before anybody could be told of it.
        if let Some(outdated) = self.cleanings.iter_mut().rev().nth(MAX_STORED) {
            outdated.hashing = None;
        }
        Ok(self.header())
    }

    /// Whether there is nothing left to forget up to `revision`.
    pub(super) fn is_clean(&self, revision: Revision) -> bool {
        self.cleanings.front().is_none_or(|cleaning| cleaning.revision > revision)
    }

    /// Forgets about `most` versions of keys, and returns how many more it could have. Each takes
    /// time by the logarithm of the number of keys, and by the number of versions that are left of
    /// its key. If hashes are kept, looks at all keys first. Everything is written.
    pub(super) fn clean(&mut self, most: usize) -> usize {
        let mut left = most;
        while left > 0
            && let Some(cleaning) = self.cleanings.front_mut()
        {
            if let Some(hashing) = &mut cleaning.hashing {
                if let Some(hash) = hashing.go_on(&self.keys, &self.log, left) {
                    self.hashes.keep(cleaning.revision, hash, hashing.since());
                    cleaning.hashing = None;
                }
                left = 0;
                continue;
            }
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
                    cleaning.stage = Stage::Older(0);
                    let changes = self.log.forget_oldest();
                    self.waste.extend(changes.and_then(wasted));
                }
                None => {
                    self.usage.end();
                    let cleaning = self.cleanings.pop_front();
                    self.waste.extend(cleaning.and_then(|cleaning| wasted(cleaning.last)));
                }
            }
            left = left.saturating_sub(forgotten.max(1));
        }
        left
    }

    /// Frees about `most` changes that nobody tells of any more.
    pub(super) fn free(&mut self, most: usize) {
        let mut left = most;
        while left > 0
            && let Some(last) = self.waste.last_mut()
        {
            let kept = last.len().saturating_sub(left);
            left -= last.len() - kept;
            last.truncate(kept);
            if kept == 0 {
                self.waste.pop();
            }
        }
    }
}

/// The list of changes, if it is too long to be freed at once and nobody else has it.
fn wasted(changes: Changes) -> Option<Vec<Arc<Change>>> {
    match changes {
        Changes::Wide(wide) => Arc::into_inner(wide).map(Wide::into_changes),
        Changes::One(_) | Changes::Many(_) => None,
    }
}
