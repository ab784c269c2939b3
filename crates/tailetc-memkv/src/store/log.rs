//! What happened, revision by revision.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use tailetc_core::Revision;

use super::change::{Change, Changes};
use super::pieces::Pieces;
use crate::EtcdVersion;

/// The changes of every revision that is not compacted, and of those before of which not all is
/// forgotten yet.
#[derive(Debug)]
pub(crate) struct Log {
    /// The first revision that is told.
    first: Revision,
    /// The revision of the first entry. Revisions have no gaps: each one changed something.
    oldest: Revision,
    entries: Pieces<Changes>,
    /// Whose rules the first revision that is told is still to be compacted by, if it was not
    /// written when it was.
    forgets: Option<EtcdVersion>,
}

impl Log {
    /// The log of an empty store at `revision`.
    pub(crate) fn after(revision: Revision) -> Self {
        let first = revision.next();
        Self { first, oldest: first, entries: Pieces::default(), forgets: None }
    }

    /// Adds the changes of the next revision.
    pub(crate) fn push(&mut self, changes: Changes) {
        self.entries.push_back(changes);
    }

    /// The revisions from `start` on, in order, with their changes.
    pub(crate) fn since(&self, start: Revision) -> impl Iterator<Item = (Revision, &Changes)> {
        let start = start.max(self.first);
        let skipped = self.position(start);
        (start.get()..).map(Revision::new).zip(self.entries.from(skipped))
    }

    /// The changes from `start` on.
    pub(crate) fn changes_since(&self, start: Revision) -> impl Iterator<Item = &Arc<Change>> {
        self.since(start).flat_map(|(_, changes)| &changes[..])
    }

    /// From now on no revision below `revision` is told, which is not above the last one, and of
    /// `revision` itself no more than etcd keeps. Returns all that it changed.
    ///
    /// The revisions below are still to be [forgotten](Self::forget_oldest).
    pub(crate) fn compact(&mut self, revision: Revision, version: EtcdVersion) -> Option<Changes> {
        if revision < self.first {
            return None;
        }
        self.first = revision;
        let position = self.position(revision);
        let changes = self.entries.get_mut(position)?;
        let all = changes.clone();
        self.forgets = (!all.is_written()).then_some(version);
        forget_overwritten(changes, version);
        Some(all)
    }

    /// The changes of `revision` are written now.
    pub(crate) fn written(&mut self, revision: Revision) {
        if revision == self.first
            && let Some(version) = self.forgets.take()
        {
            let position = self.position(revision);
            if let Some(changes) = self.entries.get_mut(position) {
                forget_overwritten(changes, version);
            }
        }
    }

    /// The first revision that is not forgotten, told or not.
    pub(crate) fn oldest(&self) -> Revision {
        self.oldest
    }

    /// The changes of a revision that is not forgotten, told or not.
    pub(crate) fn changes_of(&self, revision: Revision) -> Option<&Changes> {
        self.entries.get(self.position(revision))
    }

    /// The first revision that is not forgotten, if it is below `revision`.
    pub(crate) fn oldest_below(&self, revision: Revision) -> Option<&Changes> {
        if self.oldest < revision { self.entries.front() } else { None }
    }

    /// Forgets the first revision, which must not be told any more, and returns what it changed.
    pub(crate) fn forget_oldest(&mut self) -> Option<Changes> {
        debug_assert!(self.oldest < self.first, "it is told");
        let changes = self.entries.pop_front()?;
        self.oldest = self.oldest.next();
        Some(changes)
    }

    /// How many entries are before `revision`.
    fn position(&self, revision: Revision) -> usize {
        let before = revision.get().saturating_sub(self.oldest.get());
        usize::try_from(before).unwrap_or(0).min(self.entries.len())
    }
}

/// Of the changes of the revision that is compacted, drops those that the same revision overtook.
///
/// Of a key's generation, the time between two deletions, compaction keeps only the last version
/// at or below its revision; old versions keep not even that if it is a deletion
/// (etcd: `server/storage/mvcc/key_index.go`, `doCompact`).
///
/// A revision may change a key more than twice: all that follows the first deletion is kept.
fn forget_overwritten(changes: &mut Changes, version: EtcdVersion) {
    let kept = match (&*changes, version.keeps_deletions_when_compacted()) {
        // It is done when they are.
        (Changes::Wide(_), _) if !changes.is_written() => return,
        // Its many deletions are of keys that it has not put before.
        (Changes::Wide(wide), true) => {
            let others = wide.others();
            let mut overtaken = first_puts_overtaken(&others);
            overtaken.retain(|sub| {
                let put = others.iter().find(|change| change.sub == *sub);
                put.is_some_and(|put| !wide.is_in_runs(&put.kv.key))
            });
            if overtaken.is_empty() {
                return;
            }
            retain(changes, |change| !overtaken.contains(&change.sub))
        }
        (_, true) => {
            let overtaken = first_puts_overtaken(changes);
            retain(changes, |change| !overtaken.contains(&change.sub))
        }
        (Changes::Wide(wide), false) => last_puts(&wide.others()),
        (_, false) => last_puts(changes),
    };
    if kept.len() < changes.len() {
        *changes = kept.into();
    }
}

/// The changes that are the last ones of their keys, but deletions.
fn last_puts(changes: &[Arc<Change>]) -> Vec<Arc<Change>> {
    let last: HashMap<&Bytes, u32> =
        changes.iter().map(|change| (&change.kv.key, change.sub)).collect();
    let is_last = |change: &Change| last.get(&change.kv.key) == Some(&change.sub);
    retain(changes, |change| !change.is_deletion() && is_last(change))
}

fn retain(changes: &[Arc<Change>], keep: impl Fn(&Change) -> bool) -> Vec<Arc<Change>> {
    changes.iter().filter(|change| keep(change)).cloned().collect()
}

/// The puts that are the first change of their key and not the last.
fn first_puts_overtaken(changes: &[Arc<Change>]) -> HashSet<u32> {
    let mut first_puts: HashMap<&Bytes, Option<u32>> = HashMap::new();
    let mut overtaken = HashSet::new();
    for change in changes.iter() {
        let put = (!change.is_deletion()).then_some(change.sub);
        first_puts
            .entry(&change.kv.key)
            .and_modify(|first_put| overtaken.extend(first_put.take()))
            .or_insert(put);
    }
    overtaken
}

#[cfg(test)]
mod tests {
    use super::*;
    use tailetc_core::backend::KeyValue;

    /// Changes of a key, `+` a put and `-` a deletion.
    fn changes(what: &[&'static str]) -> Changes {
        let change = |(sub, what): (usize, &&'static str)| {
            let (key, kind) = what.split_at(1);
            let version = i64::from(kind == "+");
            let kv = KeyValue { key: key.into(), version, ..KeyValue::default() };
            Arc::new(Change { kv, sub: sub as u32 })
        };
        what.iter().enumerate().map(change).collect::<Vec<_>>().into()
    }

    fn names(changes: &Changes) -> Vec<String> {
        let name = |change: &Arc<Change>| {
            let kind = if change.is_deletion() { "-" } else { "+" };
            format!("{}{kind}", String::from_utf8_lossy(&change.kv.key))
        };
        changes.iter().map(name).collect()
    }

    fn since(log: &Log, start: i64) -> Vec<(i64, usize)> {
        log.since(Revision::new(start))
            .map(|(revision, events)| (revision.get(), events.len()))
            .collect()
    }

    fn sample() -> Log {
        let mut log = Log::after(Revision::new(1));
        log.push(changes(&["a+"]));
        log.push(changes(&["a+", "b+"]));
        log.push(changes(&["a+", "b+", "c+"]));
        log
    }

    #[test]
    fn revisions_are_found_by_number() {
        let log = sample();
        assert_eq!(since(&log, i64::MIN), [(2, 1), (3, 2), (4, 3)]);
        assert_eq!(since(&log, 3), [(3, 2), (4, 3)]);
        assert_eq!(since(&log, 5), []);
    }

    #[test]
    fn compaction_keeps_its_own_revision() {
        let mut log = sample();
        log.compact(Revision::new(1), EtcdVersion::NEWEST);
        assert_eq!(since(&log, 0), [(2, 1), (3, 2), (4, 3)]);
        log.compact(Revision::new(3), EtcdVersion::NEWEST);
        assert_eq!(since(&log, 0), [(3, 2), (4, 3)]);
        log.push(changes(&["d+"]));
        log.compact(Revision::new(5), EtcdVersion::NEWEST);
        assert_eq!(since(&log, 0), [(5, 1)]);
    }

    #[test]
    fn what_is_compacted_is_told_no_more_and_forgotten_one_by_one() {
        let mut log = sample();
        log.compact(Revision::new(4), EtcdVersion::NEWEST);
        for names_left in [["a+"].as_slice(), &["a+", "b+"]] {
            assert_eq!(since(&log, 0), [(4, 3)]);
            let oldest = log.oldest_below(Revision::new(4)).expect("something is left");
            assert_eq!(names(oldest), names_left);
            log.forget_oldest();
        }
        assert!(log.oldest_below(Revision::new(4)).is_none());
        assert_eq!(since(&log, 0), [(4, 3)]);
        log.push(changes(&["d+"]));
        assert_eq!(since(&log, 5), [(5, 1)]);
    }

    fn compacted(what: &[&'static str], version: &str) -> Vec<String> {
        let mut log = Log::after(Revision::new(1));
        log.push(changes(what));
        log.compact(Revision::new(2), version.parse().expect("a release"));
        let (_, changes) = log.since(Revision::ZERO).next().expect("one revision");
        names(changes)
    }

    #[test]
    fn compaction_forgets_a_put_that_its_revision_deleted_again() {
        for version in ["3.4.34", "3.5.16", "3.6.0", "3.7.0"] {
            assert_eq!(compacted(&["a+", "b+", "a-"], version), ["b+", "a-"]);
            assert_eq!(compacted(&["a-", "a+", "a-"], version), ["a-", "a+", "a-"]);
        }
    }

    // C3, X-L
    #[test]
    fn compaction_by_old_versions_forgets_deletions_at_its_revision() {
        for version in ["3.4.33", "3.5.15"] {
            assert_eq!(compacted(&["a+", "b+", "a-", "c-"], version), ["b+"]);
            assert_eq!(compacted(&["a-", "a+"], version), ["a+"]);
            assert_eq!(compacted(&["a-"], version), <[&str; 0]>::default());
        }
    }
}
