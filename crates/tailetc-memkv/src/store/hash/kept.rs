//! The hash that a compaction leaves behind.
//!
//! It is that of what is there before the compaction, and is found out little by little afterwards,
//! while all of that is still there.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use tailetc_core::Revision;

use super::write_record;
use crate::EtcdVersion;
use crate::store::change::{Change, Changes};
use crate::store::keys::Keys;
use crate::store::log::Log;

/// A hash in the making.
#[derive(Debug)]
pub(in crate::store) struct Hashing {
    /// The compaction before.
    since: Revision,
    /// The compaction.
    upto: Revision,
    /// All that `upto` changed.
    last: Changes,
    /// The keys that it deleted, but those that are in the runs of `last`.
    ended: Option<HashSet<Bytes>>,
    keeps_deletions: bool,
    /// Of the records up to `since` those that count, by their order.
    old: BTreeMap<(Revision, u32), Arc<Change>>,
    /// Whether something is in force at `upto`.
    has_pairs: bool,
    /// Whether a key ends with its deletion at `upto`.
    has_deletions: bool,
    hash: u32,
    stage: Stage,
    record: Vec<u8>,
}

#[derive(Debug)]
enum Stage {
    /// Looking for what is in force at `upto`, from a key on.
    Upto(Bytes),
    /// Nothing is: looking for what is in force at `since`.
    Since(Bytes),
    Old,
    /// So many changes of a revision are done.
    New(Revision, usize),
}

impl Hashing {
    pub(in crate::store) fn new(
        [since, upto]: [Revision; 2],
        last: Changes,
        version: EtcdVersion,
    ) -> Self {
        Self {
            since,
            upto,
            last,
            ended: None,
            keeps_deletions: version.keeps_deletions_when_compacted(),
            old: BTreeMap::new(),
            has_pairs: false,
            has_deletions: false,
            hash: crc32c::crc32c(b"key"),
            stage: Stage::Upto(Bytes::new()),
            record: Vec::new(),
        }
    }

    pub(in crate::store) fn since(&self) -> Revision {
        self.since
    }

    /// Looks at about `most` keys or changes, and returns the hash if that was all. Everything is
    /// written, and nothing above the compaction before is forgotten.
    pub(in crate::store) fn go_on(&mut self, keys: &Keys, log: &Log, most: usize) -> Option<u32> {
        match &mut self.stage {
            Stage::Upto(cursor) => {
                let cursor = std::mem::take(cursor);
                let next = keys.look(&cursor, most, |key, last_up_to| {
                    if let Some(last) = last_up_to(self.upto) {
                        self.look_at(key, last);
                    }
                });
                let all_if_none = !self.keeps_deletions || !self.has_deletions;
                let takes_all = !self.has_pairs && all_if_none && self.upto > Revision::ZERO;
                self.stage = match next {
                    Some(next) => Stage::Upto(next),
                    None if takes_all => Stage::Since(Bytes::new()),
                    None => Stage::Old,
                };
            }
            Stage::Since(cursor) => {
                let next = keys.look(cursor, most, |_, last_up_to| {
                    let last = last_up_to(self.since).filter(|last| !last.is_deletion());
                    self.old.extend(last.map(order));
                });
                self.stage = next.map_or(Stage::Old, Stage::Since);
            }
            Stage::Old => {
                for _ in 0..most {
                    let Some((_, change)) = self.old.pop_first() else {
                        self.stage = Stage::New(self.since.next().max(log.oldest()), 0);
                        break;
                    };
                    self.add(&change);
                }
            }
            Stage::New(revision, done) => {
                let (mut at, mut done) = (*revision, *done);
                for _ in 0..most {
                    let changes = match at.cmp(&self.upto) {
                        std::cmp::Ordering::Less => log.changes_of(at),
                        std::cmp::Ordering::Equal => Some(&self.last),
                        std::cmp::Ordering::Greater => return Some(self.hash),
                    };
                    match changes.and_then(|changes| changes.get(done)).map(Arc::clone) {
                        Some(change) => {
                            self.add(&change);
                            done += 1;
                        }
                        None => (at, done) = (at.next(), 0),
                    }
                }
                self.stage = Stage::New(at, done);
            }
        }
        None
    }

    fn look_at(&mut self, key: &Bytes, last: &Arc<Change>) {
        if last.is_deletion() {
            self.has_deletions |= last.revision() == self.upto;
        } else if !self.has_ended(key) {
            self.has_pairs = true;
            if last.revision() <= self.since {
                self.old.extend([order(last)]);
            }
        }
    }

    /// Whether `upto` deleted the key, which it may have put again: a server's hash leaves it out
    /// where deletions at a compaction outlast it (`server/storage/mvcc/key_index.go`, `keep`).
    fn has_ended(&mut self, key: &Bytes) -> bool {
        if !self.keeps_deletions {
            return false;
        }
        if let Changes::Wide(wide) = &self.last
            && wide.is_in_runs(key)
        {
            return true;
        }
        let last = &self.last;
        let ended = self.ended.get_or_insert_with(|| {
            let deletions = |changes: &[Arc<Change>]| {
                let deletions = changes.iter().filter(|change| change.is_deletion());
                deletions.map(|change| change.kv.key.clone()).collect()
            };
            match last {
                Changes::Wide(wide) => deletions(&wide.others()),
                changes => deletions(changes),
            }
        });
        ended.contains(key)
    }

    fn add(&mut self, change: &Change) {
        self.record.clear();
        write_record(change, &mut self.record);
        self.hash = crc32c::crc32c_append(self.hash, &self.record);
    }
}

fn order(change: &Arc<Change>) -> ((Revision, u32), Arc<Change>) {
    ((change.revision(), change.sub), Arc::clone(change))
}
