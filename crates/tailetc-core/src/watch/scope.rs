//! What a watch is about.

use crate::ChangeSet;
use crate::backend::KeyRange;
use crate::schema::SlotId;
use crate::state::State;

/// A part of the data: where its changes are routed, and how it is seen.
#[derive(Clone, Debug)]
pub(crate) enum Scope {
    /// The keys of a collection in a range of whole keys.
    Keys { slot: SlotId, range: KeyRange },
}

impl Scope {
    /// The whole of it, as additions.
    pub(super) fn initial(&self, state: &State) -> ChangeSet {
        match self {
            Self::Keys { range, .. } => ChangeSet::initial(state, range),
        }
    }

    /// What is different in it, if anything is.
    pub(super) fn difference(&self, before: &State, after: &State) -> Option<ChangeSet> {
        let set = match self {
            Self::Keys { range, .. } => ChangeSet::between(before, after, range),
        };
        self.is_touched_by(&set).then_some(set)
    }

    pub(super) fn is_touched_by(&self, set: &ChangeSet) -> bool {
        match self {
            Self::Keys { slot, range } => set.touches(*slot, range),
        }
    }
}
