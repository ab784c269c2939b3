//! What happened, revision by revision.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use tailetc_core::Revision;
use tailetc_core::backend::{Event, EventKind};

/// The changes of every revision that is not compacted, without the pairs before them.
#[derive(Debug)]
pub(crate) struct Log {
    /// The revision of the first entry. Revisions have no gaps: each one changed something.
    first: Revision,
    entries: VecDeque<Arc<[Event]>>,
}

impl Log {
    /// The log of an empty store at `revision`.
    pub(crate) fn after(revision: Revision) -> Self {
        Self { first: revision.next(), entries: VecDeque::new() }
    }

    /// Adds the changes of the next revision.
    pub(crate) fn push(&mut self, events: Vec<Event>) {
        self.entries.push_back(events.into());
    }

    /// The revisions from `start` on, in order, with their changes.
    pub(crate) fn since(&self, start: Revision) -> impl Iterator<Item = (Revision, &Arc<[Event]>)> {
        let skipped = self.position(start);
        (self.first.max(start).get()..).map(Revision::new).zip(self.entries.range(skipped..))
    }

    /// The changes up to `revision`, inclusive.
    pub(crate) fn until(&self, revision: Revision) -> impl Iterator<Item = &Event> {
        let reached = self.position(revision.next());
        self.entries.range(..reached).flat_map(|events| &events[..])
    }

    /// Forgets the revisions below `revision`, which is not above the last one, and of `revision`
    /// itself what etcd forgets.
    pub(crate) fn compact(&mut self, revision: Revision) {
        if revision < self.first {
            return;
        }
        self.entries.drain(..self.position(revision));
        self.first = revision;
        if let Some(first) = self.entries.front_mut() {
            forget_overwritten(first);
        }
    }

    /// How many entries are before `revision`.
    fn position(&self, revision: Revision) -> usize {
        let before = revision.get().saturating_sub(self.first.get());
        usize::try_from(before).unwrap_or(0).min(self.entries.len())
    }
}

/// Drops puts that the same revision deleted again.
///
/// Of a key's generation, the time between two deletions, compaction keeps only the last version
/// at or below its revision; generations that begin after a deletion at that very revision are kept
/// whole (etcd: `server/storage/mvcc/key_index.go`, `doCompact`). So a put is dropped only if it is
/// the first change of its key.
fn forget_overwritten(events: &mut Arc<[Event]>) {
    let mut first_puts: HashMap<&Bytes, Option<usize>> = HashMap::new();
    let mut overwritten = HashSet::new();
    for (index, event) in events.iter().enumerate() {
        let put = (event.kind == EventKind::Put).then_some(index);
        first_puts
            .entry(&event.kv.key)
            .and_modify(|first_put| overwritten.extend(first_put.take()))
            .or_insert(put);
    }
    if overwritten.is_empty() {
        return;
    }
    let kept = events.iter().enumerate();
    let kept = kept.filter(|(index, _)| !overwritten.contains(index));
    *events = kept.map(|(_, event)| event.clone()).collect();
}

#[cfg(test)]
mod tests {
    use super::*;
    use tailetc_core::backend::KeyValue;

    fn event(kind: EventKind, key: &'static str) -> Event {
        let key = key.into();
        let kv = KeyValue { key, ..KeyValue::default() };
        Event { kind, kv, prev_kv: None }
    }

    fn put(key: &'static str) -> Event {
        event(EventKind::Put, key)
    }

    fn delete(key: &'static str) -> Event {
        event(EventKind::Delete, key)
    }

    fn since(log: &Log, start: i64) -> Vec<(i64, usize)> {
        log.since(Revision::new(start))
            .map(|(revision, events)| (revision.get(), events.len()))
            .collect()
    }

    fn sample() -> Log {
        let mut log = Log::after(Revision::new(1));
        log.push(vec![put("a")]);
        log.push(vec![put("a"), put("b")]);
        log.push(vec![put("a"), put("b"), put("c")]);
        log
    }

    #[test]
    fn revisions_are_found_by_number() {
        let log = sample();
        assert_eq!(since(&log, i64::MIN), [(2, 1), (3, 2), (4, 3)]);
        assert_eq!(since(&log, 3), [(3, 2), (4, 3)]);
        assert_eq!(since(&log, 5), []);
        assert_eq!(log.until(Revision::new(1)).count(), 0);
        assert_eq!(log.until(Revision::new(3)).count(), 3);
    }

    #[test]
    fn compaction_keeps_its_own_revision() {
        let mut log = sample();
        log.compact(Revision::new(1));
        assert_eq!(since(&log, 0), [(2, 1), (3, 2), (4, 3)]);
        log.compact(Revision::new(3));
        assert_eq!(since(&log, 0), [(3, 2), (4, 3)]);
        log.push(vec![put("d")]);
        log.compact(Revision::new(5));
        assert_eq!(since(&log, 0), [(5, 1)]);
    }

    #[test]
    fn compaction_forgets_a_put_that_its_revision_deleted_again() {
        let compacted = |events: Vec<Event>| {
            let mut log = Log::after(Revision::new(1));
            log.push(events);
            log.compact(Revision::new(2));
            let (_, events) = log.since(Revision::ZERO).next().expect("one revision");
            events.to_vec()
        };
        assert_eq!(compacted(vec![put("a"), put("b"), delete("a")]), [put("b"), delete("a")]);
        let reborn = vec![delete("a"), put("a"), delete("a")];
        assert_eq!(compacted(reborn.clone()), reborn);
    }
}
