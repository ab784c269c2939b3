//! One history of the store, and the state at each of its revisions.

use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::Bytes;
use tailetc_core::Revision;
use tailetc_core::backend::{Event, EventKind, KeyRange, KeyValue};

use crate::faulty::History;
use crate::simulation::record::Pair;
use crate::simulation::value::{Item, MARKERS, Name, OWN};

pub(crate) struct Timeline {
    /// The last revision that is shared with the history before.
    pub(crate) forked_at: Revision,
    /// In order and without gaps, from revision 2 on, with what programs did.
    pub(crate) revisions: Vec<(Revision, Vec<Event>)>,
    /// What became of each key: after which revision it was what.
    keys: BTreeMap<Bytes, Vec<(Revision, Option<KeyValue>)>>,
}

impl Timeline {
    pub(crate) fn new(history: &History) -> Self {
        let mut revisions = history.revisions.clone();
        for (_, events) in &mut revisions {
            let is_own = |event: &Event| {
                [MARKERS, OWN].iter().any(|own| event.kv.key.starts_with(own.as_bytes()))
            };
            events.retain(|event| !is_own(event));
        }
        let mut keys: BTreeMap<Bytes, Vec<(Revision, Option<KeyValue>)>> = BTreeMap::new();
        for (revision, events) in &revisions {
            for event in events {
                let after = (event.kind == EventKind::Put).then(|| event.kv.clone());
                let versions = keys.entry(event.kv.key.clone()).or_default();
                match versions.last_mut() {
                    Some((last, value)) if last == revision => *value = after,
                    _ => versions.push((*revision, after)),
                }
            }
        }
        Self { forked_at: history.forked_at, revisions, keys }
    }

    pub(crate) fn last(&self) -> Revision {
        self.revisions.last().map_or(Revision::new(1), |(revision, _)| *revision)
    }

    pub(crate) fn get(&self, key: &[u8], at: Revision) -> Option<&KeyValue> {
        version(self.keys.get(key)?, at)
    }

    /// What a range holds at a revision, in order.
    pub(crate) fn state<'t>(
        &'t self,
        range: &'t KeyRange,
        at: Revision,
    ) -> impl Iterator<Item = (&'t Bytes, &'t KeyValue)> {
        let from = (Bound::Included(range.start().clone()), Bound::Unbounded);
        let keys = self.keys.range::<Bytes, _>(from).take_while(|(key, _)| range.contains(key));
        keys.filter_map(move |(key, versions)| Some((key, version(versions, at)?)))
    }

    /// The events of a revision; none of one that is not in this history.
    pub(crate) fn events(&self, revision: Revision) -> &[Event] {
        let index = usize::try_from(revision.get() - 2).ok();
        let found = index.and_then(|index| self.revisions.get(index));
        found.map_or(&[], |(_, events)| events)
    }

    /// The events after one revision and up to another, in order.
    pub(crate) fn between(&self, after: Revision, up_to: Revision) -> impl Iterator<Item = &Event> {
        let from = self.revisions.partition_point(|(revision, _)| *revision <= after);
        let rest = self.revisions[from..].iter();
        rest.take_while(move |(revision, _)| *revision <= up_to).flat_map(|(_, events)| events)
    }
}

fn version(versions: &[(Revision, Option<KeyValue>)], at: Revision) -> Option<&KeyValue> {
    let after = versions.partition_point(|(revision, _)| *revision <= at);
    versions[..after].last()?.1.as_ref()
}

/// Whether two histories, of which the second is the later one, are the same up to a revision.
pub(crate) fn same_up_to(
    timelines: &[Timeline],
    earlier: usize,
    later: usize,
    at: Revision,
) -> bool {
    timelines[earlier + 1..=later].iter().all(|timeline| at <= timeline.forked_at)
}

/// Whether a reader saw what the store had.
pub(crate) fn shows(pair: &Pair, kv: &KeyValue) -> bool {
    pair.create_revision == kv.create_revision
        && pair.mod_revision == kv.mod_revision
        && pair.version == kv.version
        && pair.lease == kv.lease
        && match &pair.value {
            Some(value) => *value == kv.value,
            None => is_undecodable(kv),
        }
}

pub(crate) fn is_undecodable(kv: &KeyValue) -> bool {
    kv.key.starts_with(&Name::item("").whole()) && Item::decode(&kv.value).is_none()
}
