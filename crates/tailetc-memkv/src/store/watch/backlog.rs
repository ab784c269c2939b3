//! Catching up.
//!
//! A watcher that catches up gets up to 1,000 revisions that concern it at a time. It reads either
//! the log since its start, once: O(r) for all of the r revisions since then; or, if its range has
//! up to 128 keys with few changes, their histories, whatever r is: O(log r) for each key and
//! response, and O(1) for each event.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use tailetc_core::Revision;
use tailetc_core::backend::{Event, KeyRange};

use super::stream::Stream;
use super::watcher::{State, Watcher};
use super::{History, Surroundings, WatcherName};
use crate::store::change::Change;

/// The most revisions in one response of a watcher that catches up (etcd: `watchBatchMaxRevs` in
/// `server/storage/mvcc/watcher_group.go`).
const BATCH_REVISIONS: usize = 1000;

/// The most keys whose histories are looked at for a response.
const FEW_KEYS: usize = 128;

/// How many times as many revisions as changes there must be for it to pay.
const SPARSE: usize = 8;

impl Stream {
    /// Gives the unsynced watcher whose turn it is what it missed, or a part of it.
    pub(super) fn catch_up(&mut self, id: i64, around: &mut Surroundings<'_>) {
        let Some(watcher) = self.watchers.get_mut(&id) else {
            return;
        };
        if watcher.next < around.history.compacted {
            watcher.state = State::Compacted;
            self.send_compacted(id, around);
            return;
        }
        let (events, left_over) = read_batch(watcher, &around.history);
        match left_over {
            Some(revision) => {
                watcher.next = revision;
                self.unsynced.push_back(id);
            }
            None => now_synced(watcher, id, around),
        }
        if !events.is_empty() {
            let wanted = Arc::clone(&watcher.wanted);
            self.ticker.saw_events(id);
            self.send_backlog(id, &wanted, events, around);
        }
    }

    /// Makes synced what is so but for the log being read to its end.
    pub(super) fn sync_those_without_backlog(&mut self, around: &mut Surroundings<'_>) {
        let watchers = &mut self.watchers;
        self.unsynced.retain(|id| {
            let Some(watcher) = watchers.get_mut(id) else {
                return false;
            };
            let behind = watcher.next < around.history.compacted
                || backlog(watcher, &around.history).any(|change| watcher.wanted.passes(change));
            if !behind {
                now_synced(watcher, *id, around);
            }
            behind
        });
    }
}

fn now_synced(watcher: &mut Watcher, id: i64, around: &mut Surroundings<'_>) {
    watcher.state = State::Synced;
    watcher.next = watcher.next.max(around.history.header.revision.next());
    around.synced.insert(&watcher.wanted.range, WatcherName { stream: around.id, id });
}

/// The events that pass, and where to go on. Revisions are counted before the filters.
fn read_batch(watcher: &Watcher, history: &History<'_>) -> (Vec<Event>, Option<Revision>) {
    let mut batch = Vec::new();
    let mut revisions = 0;
    let mut last = None;
    for change in backlog(watcher, history) {
        if last != Some(change.revision()) {
            if revisions == BATCH_REVISIONS {
                return (batch, Some(change.revision()));
            }
            revisions += 1;
            last = Some(change.revision());
        }
        if watcher.wanted.passes(change) {
            batch.push(change.event());
        }
    }
    (batch, None)
}

/// The changes that a watcher has not seen and that are of its range, in order.
fn backlog<'a>(
    watcher: &'a Watcher,
    history: &'a History<'_>,
) -> Box<dyn Iterator<Item = &'a Change> + 'a> {
    let (range, next) = (&watcher.wanted.range, watcher.next);
    if next < Revision::ZERO {
        // A start below zero, which old versions let pass, is above every revision in the bytes by
        // which the server looks revisions up.
        return Box::new(std::iter::empty());
    }
    match few_histories(range, next, history) {
        Some(histories) => Box::new(by_keys(range, next, history, histories)),
        None => Box::new(by_log(range, next, history)),
    }
}

fn by_log<'a>(
    range: &'a KeyRange,
    next: Revision,
    history: &'a History<'_>,
) -> impl Iterator<Item = &'a Change> {
    history.log.since(next).flat_map(|(_, changes)| changes.within(range)).map(Arc::as_ref)
}

/// The histories of the keys of `range`, if to read them is less work than to read the log.
fn few_histories<'a>(
    range: &KeyRange,
    next: Revision,
    history: &'a History<'_>,
) -> Option<Vec<&'a [Arc<Change>]>> {
    let revisions = history.header.revision.get().saturating_sub(next.get());
    let revisions = usize::try_from(revisions).unwrap_or(0);
    if history.keys.known(range) > FEW_KEYS.min(revisions) {
        return None;
    }
    let behind = next.max(history.compacted.next());
    let histories: Vec<_> = history.keys.since(range, behind).collect();
    let changes: usize = histories.iter().map(|history| history.len()).sum();
    (changes <= revisions / SPARSE).then_some(histories)
}

/// `histories` are those of the keys of `range`.
fn by_keys<'a>(
    range: &'a KeyRange,
    next: Revision,
    history: &'a History<'_>,
    histories: Vec<&'a [Arc<Change>]>,
) -> impl Iterator<Item = &'a Change> {
    // A compaction leaves of its own revision more in the log than in the histories.
    let compacted = history.compacted;
    history
        .log
        .since(next)
        .take_while(move |(revision, _)| *revision <= compacted)
        .flat_map(|(_, changes)| changes.within(range))
        .map(Arc::as_ref)
        .chain(Merged::new(histories))
}

/// The changes of several keys in one order.
struct Merged<'a> {
    left: Vec<&'a [Arc<Change>]>,
    /// The first of what is left of each, with its place in `left`.
    first: BinaryHeap<Reverse<(Revision, u32, usize)>>,
}

impl<'a> Merged<'a> {
    fn new(left: Vec<&'a [Arc<Change>]>) -> Self {
        let first = (0..).zip(&left).filter_map(|(place, history)| order(history, place));
        Self { first: first.collect(), left }
    }
}

impl<'a> Iterator for Merged<'a> {
    type Item = &'a Change;

    fn next(&mut self) -> Option<&'a Change> {
        let Reverse((_, _, place)) = self.first.pop()?;
        let (change, left) = self.left[place].split_first()?;
        self.left[place] = left;
        self.first.extend(order(left, place));
        Some(change)
    }
}

fn order(history: &[Arc<Change>], place: usize) -> Option<Reverse<(Revision, u32, usize)>> {
    history.first().map(|change| Reverse((change.revision(), change.sub, place)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tailetc_core::backend::{DeleteRequest, KvBackend, PutRequest, TxnOp, TxnRequest};

    use crate::{EtcdVersion, MemKv};

    /// Keys to put and then keys to delete, and how much of the history to forget then.
    type Step = (Vec<u8>, Vec<u8>, Option<u8>);

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let keys = || prop::collection::btree_set(0_u8..6, 0..4).prop_map(Vec::from_iter);
        prop::collection::vec((keys(), keys(), prop::option::weighted(0.1, 0_u8..10)), 0..30)
    }

    fn key(number: u8) -> Vec<u8> {
        vec![b'a' + number]
    }

    async fn take(kv: &MemKv, (puts, deletions, forget): Step) {
        let puts = puts.into_iter().map(|number| TxnOp::from(PutRequest::new(key(number), "")));
        kv.txn(TxnRequest::new(puts.collect::<Vec<_>>())).await.expect("puts");
        // Deletions in a transaction of their own, and some of a key that it puts.
        let mut ops = Vec::new();
        for number in deletions {
            let from_key = KeyRange::from_key(key(number));
            ops.push(TxnOp::from(DeleteRequest::new(from_key)));
            ops.push(PutRequest::new(key(number), "").into());
        }
        let deleted = kv.txn(TxnRequest::new(ops)).await.expect("deletions");
        if let Some(back) = forget {
            let revision = Revision::new(deleted.header.revision.get() - i64::from(back));
            let _ = kv.compact(revision).await;
        }
    }

    proptest! {
        #[test]
        fn histories_tell_what_the_log_tells(
            steps in steps(),
            next in 0_i64..70,
            start in 0_u8..6,
            end in 0_u8..7,
            old in any::<bool>(),
        ) {
            let version = if old { "3.4.23".parse().expect("a version") } else { EtcdVersion::NEWEST };
            let kv = MemKv::builder().with_imitate(version).build();
            let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
            for step in steps {
                runtime.block_on(take(&kv, step));
            }
            let range = KeyRange::from_wire(key(start), key(end));
            kv.shared.with(|store, now| {
                let (id, _) = store.open_stream(now);
                let (_, around) = store.stream(id).expect("opened just now");
                let told = |changes: Vec<&Change>| -> Vec<_> {
                    changes.iter().map(|change| (change.revision(), change.sub)).collect()
                };
                let next = Revision::new(next);
                let by_log = told(by_log(&range, next, &around.history).collect());
                let behind = next.max(around.history.compacted.next());
                let histories = around.history.keys.since(&range, behind).collect();
                let by_keys = told(by_keys(&range, next, &around.history, histories).collect());
                prop_assert_eq!(by_log, by_keys);
                Ok(())
            })?;
        }
    }
}
