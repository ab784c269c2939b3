//! What observers and watches get are the differences between states of the store: nothing
//! missing, nothing twice, in order, each transaction whole.

use std::collections::BTreeMap;

use bytes::Bytes;
use tailetc_core::backend::{Event, KeyRange};
use tailetc_core::{ChangeKind, Revision};

use super::snapshots::difference;
use super::timeline::{Timeline, same_up_to, shows};
use crate::simulation::record::{Changed, Pair, Scope, StreamItem};

/// Where a consumer is.
struct Follower<'t> {
    timelines: &'t [Timeline],
    range: &'t KeyRange,
    /// Whether the `Db` loaded everything again at some time.
    resynced: bool,
    /// What it must believe the state to be.
    shadow: BTreeMap<Bytes, Pair>,
    revision: Revision,
    /// The histories that it can be in, by all that it was told.
    eras: Vec<usize>,
    begun: bool,
}

pub(crate) fn check(
    scope: &Scope,
    resynced: bool,
    items: &[StreamItem],
    timelines: &[Timeline],
    wrong: &mut impl FnMut(String),
) {
    let Scope { label, range, .. } = scope;
    let eras = (0..timelines.len()).collect();
    let shadow = BTreeMap::new();
    let mut follower = Follower {
        timelines,
        range,
        resynced,
        shadow,
        revision: Revision::ZERO,
        eras,
        begun: false,
    };
    for item in items {
        let outcome = match item {
            StreamItem::Lagged => {
                follower.begun = false;
                Ok(())
            }
            StreamItem::Changes { kind, revision, changes } => {
                follower.take(*kind, *revision, changes)
            }
        };
        if let Err(problem) = outcome {
            return wrong(format!("{label}: {problem}"));
        }
    }
    let (Some(last), true) = (timelines.last(), follower.begun) else { return };
    if let Some(what) = difference(&follower.shadow, range, last, last.last()) {
        wrong(format!("{label}: ended at {} with {what}", follower.revision));
    }
}

impl Follower<'_> {
    fn take(
        &mut self,
        kind: ChangeKind,
        revision: Revision,
        changes: &[Changed],
    ) -> Result<(), String> {
        let what = format!("{kind:?} at {revision} after {}", self.revision);
        if !changes.is_sorted_by(|a, b| a.key < b.key) {
            return Err(format!("{what}: keys are not in order"));
        }
        if kind == ChangeKind::Initial {
            self.shadow.clear();
        } else if !self.begun {
            return Err(format!("{what}: does not begin with the state"));
        }
        for Changed { key, before, after } in changes {
            if self.shadow.get(key) != before.as_ref() {
                let shadow = self.shadow.get(key);
                return Err(format!("{what}: {key:?} was {shadow:?}, not {before:?}"));
            }
            if before == after && kind != ChangeKind::Resync {
                return Err(format!("{what}: {key:?} did not change"));
            }
            match after {
                Some(after) => self.shadow.insert(key.clone(), after.clone()),
                None => self.shadow.remove(key),
            };
        }
        let jumps = kind != ChangeKind::Transaction;
        let first = self.eras.first().copied().unwrap_or(0);
        let eras: Vec<usize> = (first..self.timelines.len())
            .filter(|era| {
                let shares = |earlier: &usize| {
                    earlier <= era && same_up_to(self.timelines, *earlier, *era, self.revision)
                };
                let stays =
                    self.eras.iter().any(shares) && self.continues(*era, kind, revision, changes);
                stays || (jumps && self.is_at(*era, revision))
            })
            .collect();
        if eras.is_empty() {
            let era = &self.timelines[self.timelines.len() - 1];
            let why = difference(&self.shadow, self.range, era, revision);
            return Err(format!("{what}: leads to no state of the store: {why:?}"));
        }
        (self.eras, self.revision, self.begun) = (eras, revision, true);
        Ok(())
    }

    /// Whether the changes are those of one history from where the consumer was.
    fn continues(
        &self,
        era: usize,
        kind: ChangeKind,
        revision: Revision,
        changes: &[Changed],
    ) -> bool {
        let timeline = &self.timelines[era];
        if kind == ChangeKind::Initial || revision <= self.revision || revision > timeline.last() {
            return false;
        }
        let in_range = |event: &&Event| self.range.contains(&event.kv.key);
        let events: Vec<&Event> =
            timeline.between(self.revision, revision).filter(in_range).collect();
        let mut touched: Vec<&Bytes> = events.iter().map(|event| &event.kv.key).collect();
        touched.sort();
        touched.dedup();
        let was = |key: &Bytes| timeline.get(key, self.revision);
        let is = |key: &Bytes| timeline.get(key, revision);
        // A key that a transaction made and deleted again is no change.
        touched
            .retain(|key| was(key).map(|kv| kv.mod_revision) != is(key).map(|kv| kv.mod_revision));
        let keys = changes.iter().map(|change| &change.key);
        let right = changes.iter().all(|change| match (&change.after, is(&change.key)) {
            (Some(pair), Some(kv)) => shows(pair, kv),
            (None, None) => true,
            _ => false,
        });
        let before = Revision::new(revision.get() - 1);
        let alone = kind != ChangeKind::Transaction
            || events.iter().all(|event| {
                event.revision() == revision
                    || is_undone(timeline, event)
                    // A resync shows nothing to a consumer if nothing is different in its range.
                    || (self.resynced && self.is_same(timeline, &event.kv.key, before))
            });
        right && alone && touched.into_iter().eq(keys)
    }

    /// Whether a key is at a later revision what it was where the consumer is.
    fn is_same(&self, timeline: &Timeline, key: &[u8], at: Revision) -> bool {
        let then = timeline.get(key, self.revision).map(|kv| kv.mod_revision);
        then == timeline.get(key, at).map(|kv| kv.mod_revision)
    }

    /// Whether all that the consumer was told is the state of a history.
    fn is_at(&self, era: usize, revision: Revision) -> bool {
        let timeline = &self.timelines[era];
        revision <= timeline.last()
            && difference(&self.shadow, self.range, timeline, revision).is_none()
    }
}

/// Whether an event left no trace: its transaction made the key and deleted it again.
fn is_undone(timeline: &Timeline, event: &Event) -> bool {
    let (at, key) = (event.revision(), &event.kv.key);
    let before = Revision::new(at.get() - 1);
    timeline.get(key, before).is_none() && timeline.get(key, at).is_none()
}
