//! What is stored: changes, each allocated once and shared by everything that shows it.

use std::ops::Deref;
use std::slice;
use std::sync::Arc;

use bytes::Bytes;
use tailetc_core::Revision;
use tailetc_core::backend::{Event, EventKind, KeyValue};

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
