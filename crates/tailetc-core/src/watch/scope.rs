//! What a watch is about.

use crate::backend::KeyRange;
use crate::schema::SlotId;
use crate::state::State;
use crate::{ChangeKind, ChangeSet};

/// A part of the data: where its changes are routed, and how it is seen.
#[derive(Clone, Debug)]
pub(crate) enum Scope {
    /// The keys of a collection in a range of whole keys.
    Keys { slot: SlotId, range: KeyRange },
    /// A range of the rows of an index.
    Rows { range: KeyRange },
}

impl Scope {
    /// The whole of it, as additions.
    pub(super) fn initial(&self, state: &State) -> ChangeSet {
        match self {
            Self::Keys { range, .. } => ChangeSet::initial(state, range),
            Self::Rows { range } => ChangeSet::initial_rows(state, range),
        }
    }

    /// What is different in it, if anything is.
    pub(super) fn difference(&self, before: &State, after: &State) -> Option<ChangeSet> {
        let kind = ChangeKind::between(before, after);
        let set = match self {
            Self::Keys { range, .. } => ChangeSet::diff(kind, before, after, range),
            Self::Rows { range } => ChangeSet::diff_rows(kind, before, after, range),
        };
        self.is_touched_by(&set).then_some(set)
    }

    /// The transaction between two states, if it has touched this.
    pub(super) fn transaction(&self, before: &State, after: &State) -> Option<ChangeSet> {
        let (kind, all) = (ChangeKind::Transaction, KeyRange::all());
        let set = match self {
            Self::Keys { .. } => ChangeSet::diff(kind, before, after, &all),
            Self::Rows { .. } => ChangeSet::diff_rows(kind, before, after, &all),
        };
        self.is_touched_by(&set).then_some(set)
    }

    pub(super) fn is_touched_by(&self, set: &ChangeSet) -> bool {
        match self {
            Self::Keys { slot, range } => set.touches(*slot, range),
            Self::Rows { range } => !set.rows_within(range).is_empty(),
        }
    }
}
