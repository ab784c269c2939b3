//! The mirrored data: one immutable [`State`] for each published revision, and views of it.

mod bounds;
mod change_set;
mod entry;
mod index;
mod map;
mod range;
mod snapshot;
mod token;

use std::sync::Arc;

pub use self::bounds::{KeyBounds, Only, Prefix};
pub(crate) use self::change_set::RawChange;
pub use self::change_set::{Change, ChangeKind, ChangeSet, Changes};
pub(crate) use self::entry::{Entry, EntryPtr, Value};
pub use self::entry::{Metadata, Quarantined};
pub use self::index::{
    IndexBounds, IndexCursor, IndexItem, IndexPage, IndexRange, IndexView, Unplaced,
};
pub(crate) use self::index::{RowBounds, primary_of, rows_of, without_number};
pub(crate) use self::map::KeyMap;
pub use self::range::{Item, Range, Scan};
pub use self::snapshot::Snapshot;
pub use self::token::Token;
use crate::backend::Header;
use crate::schema::Schema;
use crate::{DecodePolicy, Revision};

/// Everything below the prefix, at one revision. Never changes once published.
#[derive(Clone, Debug)]
pub(crate) struct State {
    /// Every change at or below it is in `map`, and none above it.
    pub(crate) revision: Revision,
    /// The cluster that the data came from.
    pub(crate) cluster_id: u64,
    /// The highest raft term that the cluster has shown in this epoch.
    pub(crate) raft_term: u64,
    /// How often this `Db` has seen its cluster lose history (or be replaced) since it was opened.
    /// Revisions of different epochs do not compare.
    pub(crate) epoch: u64,
    pub(crate) map: KeyMap,
    /// The entries of `map` that do not decode.
    pub(crate) quarantined: KeyMap,
    /// The rows of all indexes.
    pub(crate) rows: KeyMap,
    /// The entries that an index could not place.
    pub(crate) unplaced: KeyMap,
    pub(crate) schema: Arc<Schema>,
}

impl State {
    /// The state before anything is loaded.
    pub(crate) fn empty(schema: Arc<Schema>) -> Self {
        Self {
            revision: Revision::ZERO,
            cluster_id: 0,
            raft_term: 0,
            epoch: 0,
            map: KeyMap::default(),
            quarantined: KeyMap::default(),
            rows: KeyMap::default(),
            unplaced: KeyMap::default(),
            schema,
        }
    }

    /// The `mod_revision` of a key; [`Revision::ZERO`] if it is absent.
    pub(crate) fn mod_revision(&self, key: &[u8]) -> Revision {
        self.map.get(key).map_or(Revision::ZERO, |entry| entry.meta.mod_revision)
    }

    /// The place in history that this state shows.
    pub(crate) fn token(&self) -> Token {
        Token::new(self.cluster_id, self.raft_term, self.revision)
    }

    /// Whether a header of a linearizable request that was sent after this state existed proves
    /// that the store's history is not the one that this state is of.
    pub(crate) fn is_of_another_history(&self, header: &Header) -> bool {
        let Self { cluster_id, raft_term, revision, .. } = *self;
        let shown = Header { cluster_id, raft_term, revision, ..Header::default() };
        header.is_of_another_history_than(&shown)
    }

    /// An entry as this state would show it: one that does not decode keeps the value of the entry
    /// that it replaces, if its collection's policy says so.
    pub(crate) fn showing(&self, key: &crate::Key, entry: EntryPtr) -> EntryPtr {
        let keeps = self.schema.policy(entry.slot) == DecodePolicy::KeepPrevious;
        if !keeps || !entry.is_quarantined() {
            return entry;
        }
        let before = self.map.get(key.as_bytes());
        before.and_then(|before| entry.keeping(before)).map_or(entry, EntryPtr::new)
    }

    /// Writes (`Some`) or deletes (`None`) a key, in the map and in the indexes, and returns what
    /// was there. What changed in the indexes is added to `rows`, in no order.
    pub(crate) fn set(
        &mut self,
        key: &crate::Key,
        after: Option<EntryPtr>,
        rows: Option<&mut Vec<RawChange>>,
    ) -> Option<EntryPtr> {
        if !self.schema.has_indexes() {
            return self.set_entry(key, after);
        }
        let before = self.set_entry(key, after.clone());
        self.update_indexes(key, before.as_ref(), after.as_ref(), rows);
        before
    }

    /// The same without the indexes, for a caller who makes them anew.
    pub(crate) fn set_entry(
        &mut self,
        key: &crate::Key,
        after: Option<EntryPtr>,
    ) -> Option<EntryPtr> {
        match &after {
            Some(entry) if entry.is_quarantined() => {
                self.quarantined.insert(key.clone(), entry.clone());
            }
            _ if self.quarantined.is_empty() => {}
            _ => {
                self.quarantined.remove(key.as_bytes());
            }
        }
        match after {
            Some(entry) => self.map.insert(key.clone(), entry),
            None => self.map.remove(key.as_bytes()),
        }
    }
}
