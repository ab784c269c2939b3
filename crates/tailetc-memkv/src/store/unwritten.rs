//! Deletions of very many keys.
//!
//! They happen at once, as the tree of the keys can mark whole subtrees. Each change is written
//! down later, little by little: to the histories, to the list of the revision's changes, and
//! to what is known of leases and of the size of the database. Who needs one of those waits.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use tailetc_core::backend::KeyRange;
use tailetc_core::{LeaseId, Revision};

use super::Store;
use super::change::{Change, Wide};
use super::hash::record_len;
use super::keys::{IntoKeys, Keys};
use super::late::LatePairs;

/// A revision of which not every change is written down.
#[derive(Debug)]
pub(super) struct Unwritten {
    revision: Revision,
    wide: Arc<Wide>,
    /// The first changes.
    written: Vec<Arc<Change>>,
    /// The changes that are in no part, in order.
    others: VecDeque<Arc<Change>>,
    /// What is left of them, in order.
    parts: VecDeque<Part>,
}

/// Deletions in the order of their keys.
#[derive(Debug)]
pub(super) struct Part {
    /// Their positions among the changes of the revision.
    pub(super) subs: Range<u32>,
    pub(super) of: Of,
}

#[derive(Debug)]
pub(super) enum Of {
    /// The keys of the range that existed; those below the second are written. Somebody may want
    /// the pairs.
    Range(KeyRange, Bytes, Option<LatePairs>),
    /// Those that were attached to a lease.
    Lease(IntoKeys),
}

impl Part {
    pub(super) fn of_range(subs: Range<u32>, range: &KeyRange, pairs: Option<LatePairs>) -> Self {
        Self { subs, of: Of::Range(range.clone(), range.start().clone(), pairs) }
    }

    /// Whether some of it is of `range`. Nothing else that its revision did is about its keys.
    pub(super) fn concerns(&self, range: &KeyRange, keys: &Keys, revision: Revision) -> bool {
        let before = Revision::new(revision.get() - 1);
        match &self.of {
            Of::Range(deleted, ..) => keys.count_of_both([deleted, range], before) > 0,
            Of::Lease(_) => keys.count_at(range, before) > keys.count_at(range, revision),
        }
    }
}

impl Unwritten {
    pub(super) fn new(
        revision: Revision,
        wide: &Arc<Wide>,
        others: Vec<Arc<Change>>,
        parts: Vec<Part>,
    ) -> Self {
        Self {
            revision,
            wide: Arc::clone(wide),
            written: Vec::with_capacity(wide.len()),
            others: others.into(),
            parts: parts.into(),
        }
    }

    fn is_of_range(&self) -> bool {
        self.parts.iter().any(|part| matches!(part.of, Of::Range(..)))
    }

    fn next_sub(&self) -> u32 {
        u32::try_from(self.written.len()).unwrap_or(u32::MAX)
    }
}

/// What a slice found out beside the changes.
#[derive(Default)]
struct Found {
    bytes: usize,
    /// Keys that were attached to leases.
    attached: Vec<(LeaseId, Bytes)>,
}

impl Store {
    /// Whether every change up to `revision` is written down.
    pub(crate) fn is_written(&self, revision: Revision) -> bool {
        self.unwritten.front().is_none_or(|first| first.revision > revision)
    }

    /// Whether everything that was changed is written down.
    pub(crate) fn is_all_written(&self) -> bool {
        self.unwritten.is_empty()
    }

    /// Whether the keys that leases have are those that are attached to them.
    pub(super) fn knows_attached(&self) -> bool {
        !self.unwritten.iter().any(Unwritten::is_of_range)
    }

    /// Writes down about `most` changes, and returns how many more it could have.
    pub(super) fn write_down(&mut self, most: usize) -> usize {
        let mut left = most;
        while left > 0
            && let Some(first) = self.unwritten.front_mut()
        {
            let (revision, before) = (first.revision, first.written.len());
            let mut found = Found::default();
            left = match first.parts.front_mut() {
                Some(part) if part.subs.start as usize <= before => {
                    let (after, is_done) = write_part(
                        part,
                        revision,
                        &mut self.keys,
                        &mut first.written,
                        left,
                        &mut found,
                    );
                    if is_done {
                        debug_assert_eq!(first.next_sub(), part_end(first), "a change is missing");
                        first.parts.pop_front();
                    }
                    after
                }
                _ => match first.others.pop_front() {
                    Some(change) => {
                        first.written.push(change);
                        left - 1
                    }
                    None => {
                        self.all_written();
                        continue;
                    }
                },
            };
            let count = first.written.len() - before;
            self.record(revision, count, found);
        }
        left
    }

    fn all_written(&mut self) {
        if let Some(Unwritten { revision, wide, written, .. }) = self.unwritten.pop_front() {
            wide.write(written);
            self.log.written(revision);
        }
    }

    fn record(&mut self, revision: Revision, count: usize, found: Found) {
        if found.bytes > 0 {
            self.usage.add_late(count, found.bytes);
            let later = self.cleanings.iter_mut().filter(|cleaning| cleaning.after >= revision);
            later.for_each(|cleaning| cleaning.removal.added_before(count, found.bytes));
        }
        for (lease, key) in found.attached {
            // It may have been put again, and attached to the same lease.
            if self.keys.get(&key).is_none_or(|kv| kv.lease != lease) {
                self.leases.move_key(&key, lease, LeaseId::NONE);
            }
        }
    }
}

fn part_end(unwritten: &Unwritten) -> u32 {
    unwritten.parts.front().map_or(0, |part| part.subs.end)
}

/// Returns how many more could have been written, and whether all of the part is.
fn write_part(
    part: &mut Part,
    revision: Revision,
    keys: &mut Keys,
    written: &mut Vec<Arc<Change>>,
    most: usize,
    found: &mut Found,
) -> (usize, bool) {
    let mut left = most;
    match &mut part.of {
        Of::Range(range, cursor, pairs) => {
            let mut pairs = pairs.as_ref().and_then(LatePairs::open);
            let about = (revision, &part.subs);
            let next = keys.show_deleted(range, about, cursor, most, |change, before| {
                found.bytes += record_len(change);
                if !before.lease.is_none() {
                    found.attached.push((before.lease, change.kv.key.clone()));
                }
                if let Some(pairs) = &mut pairs {
                    pairs.push(before.clone());
                }
                written.push(Arc::clone(change));
                left = left.saturating_sub(1);
            });
            match next {
                Some(next) => *cursor = next,
                None => return (left, true),
            }
            (0, false)
        }
        Of::Lease(attached) => {
            while left > 0 {
                let Some(key) = attached.next() else {
                    return (left, true);
                };
                left -= 1;
                if let Some(change) = keys.deleted(&key, revision, &part.subs) {
                    found.bytes += record_len(change);
                    written.push(Arc::clone(change));
                }
            }
            (0, false)
        }
    }
}
