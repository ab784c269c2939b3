//! What is stored: changes, each allocated once and shared by everything that shows it.

use std::collections::VecDeque;
use std::ops::{Deref, Range};
use std::slice;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use tailetc_core::Revision;
use tailetc_core::backend::{Event, EventKind, KeyRange, KeyValue};

/// One version of one key.
#[derive(Debug)]
pub(crate) struct Change {
    /// The pair after the change. Of a deletion only `key` and `mod_revision` are set.
    pub(crate) kv: KeyValue,
    /// Its position among the changes of its revision, which compaction does not alter.
    pub(crate) sub: u32,
}

impl Change {
    pub(crate) fn deletion(key: Bytes, mod_revision: Revision, sub: u32) -> Self {
        Self { kv: KeyValue { key, mod_revision, ..KeyValue::default() }, sub }
    }

    /// Versions of what exists begin with 1.
    pub(crate) fn is_deletion(&self) -> bool {
        self.kv.version == 0
    }

    pub(crate) fn kind(&self) -> EventKind {
        if self.is_deletion() { EventKind::Delete } else { EventKind::Put }
    }

    pub(crate) fn revision(&self) -> Revision {
        self.kv.mod_revision
    }

    /// The pair, if this is not a deletion.
    pub(crate) fn live(&self) -> Option<&KeyValue> {
        (!self.is_deletion()).then_some(&self.kv)
    }

    /// As a watch shows it, without the pair before.
    pub(crate) fn event(&self) -> Event {
        Event { kind: self.kind(), kv: self.kv.clone(), prev_kv: None }
    }
}

/// The changes of one revision, in order. A clone shares them.
#[derive(Clone, Debug)]
pub(crate) enum Changes {
    /// So common that it is worth no list.
    One(Arc<Change>),
    Many(Arc<[Arc<Change>]>),
    /// None, until they are [written](Self::is_written).
    Wide(Arc<Wide>),
}

/// The changes of a revision that deletes very many keys. They are written down after it.
#[derive(Debug)]
pub(crate) struct Wide {
    len: u32,
    /// The positions of those that are deletions in the order of their keys.
    runs: Vec<Range<u32>>,
    changes: OnceLock<Vec<Arc<Change>>>,
}

impl Wide {
    pub(crate) fn new(len: u32, runs: Vec<Range<u32>>) -> Self {
        Self { len, runs, changes: OnceLock::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.len as usize
    }

    /// All of them, which is to be called once.
    pub(crate) fn write(&self, changes: Vec<Arc<Change>>) {
        debug_assert_eq!(changes.len(), self.len());
        let is_first = self.changes.set(changes).is_ok();
        debug_assert!(is_first);
    }

    /// What is written, to be freed little by little.
    pub(crate) fn into_changes(self) -> Vec<Arc<Change>> {
        self.changes.into_inner().unwrap_or_default()
    }

    fn written(&self) -> &[Arc<Change>] {
        self.changes.get().map_or(&[], Vec::as_slice)
    }

    /// Those that are in no run.
    pub(crate) fn others(&self) -> Vec<Arc<Change>> {
        let mut others = Vec::new();
        let mut from = 0;
        for run in &self.runs {
            others.extend_from_slice(self.part(from..run.start));
            from = run.end;
        }
        others.extend_from_slice(self.part(from..self.len));
        others
    }

    /// Whether a run has a change of `key`.
    pub(crate) fn is_in_runs(&self, key: &[u8]) -> bool {
        self.runs.iter().any(|run| {
            self.part(run.clone()).binary_search_by(|change| change.kv.key[..].cmp(key)).is_ok()
        })
    }

    /// Where changes lie that are all of `range`, and of the runs no others.
    pub(crate) fn places_with(&self, range: &KeyRange) -> VecDeque<Range<u32>> {
        let mut places = VecDeque::new();
        let mut from = 0;
        for run in &self.runs {
            places.push_back(from..run.start);
            let changes = self.part(run.clone());
            let first = changes.partition_point(|change| change.kv.key < range.start());
            let rest = &changes[first..];
            let count = rest.partition_point(|change| range.contains(&change.kv.key));
            let first = run.start + first as u32;
            places.push_back(first..first + count as u32);
            from = run.end;
        }
        places.push_back(from..self.len);
        places
    }

    pub(crate) fn part(&self, subs: Range<u32>) -> &[Arc<Change>] {
        self.written().get(subs.start as usize..subs.end as usize).unwrap_or_default()
    }
}

impl Changes {
    /// Whether the changes are there.
    pub(crate) fn is_written(&self) -> bool {
        match self {
            Self::One(_) | Self::Many(_) => true,
            Self::Wide(wide) => wide.changes.get().is_some(),
        }
    }

    /// The changes of keys of `range`, in order.
    pub(crate) fn within<'a>(
        &'a self,
        range: &'a KeyRange,
    ) -> impl Iterator<Item = &'a Arc<Change>> {
        let (all, parts) = match self {
            Self::One(_) | Self::Many(_) => (&self[..], None),
            Self::Wide(wide) => (&[][..], Some(wide)),
        };
        let parts = parts.into_iter().flat_map(|wide| {
            wide.places_with(range).into_iter().flat_map(|place| wide.part(place))
        });
        let changes = all.iter().chain(parts);
        changes.filter(|change| range.contains(&change.kv.key))
    }
}

impl From<Vec<Arc<Change>>> for Changes {
    fn from(mut changes: Vec<Arc<Change>>) -> Self {
        match changes.pop() {
            Some(only) if changes.is_empty() => Self::One(only),
            last => {
                changes.extend(last);
                Self::Many(changes.into())
            }
        }
    }
}

impl Deref for Changes {
    type Target = [Arc<Change>];

    fn deref(&self) -> &[Arc<Change>] {
        match self {
            Self::One(change) => slice::from_ref(change),
            Self::Many(changes) => changes,
            Self::Wide(wide) => wide.written(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_keep_number_and_order() {
        for count in 0..3 {
            let deletion = |sub| Arc::new(Change::deletion("k".into(), Revision::new(2), sub));
            let changes = Changes::from((0..count).map(deletion).collect::<Vec<_>>());
            let subs: Vec<u32> = changes.iter().map(|change| change.sub).collect();
            assert_eq!(subs, (0..count).collect::<Vec<_>>());
        }
    }
}
