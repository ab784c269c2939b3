//! One item of a watch.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use crate::backend::KeyRange;
use crate::schema::SlotId;
use crate::state::Changes;
use crate::{ChangeKind, ChangeSet, Revision, Token};

/// One item of a [`Watch`](crate::Watch): a change set, seen through the watch's range.
pub struct Update<C, P = crate::Shared> {
    set: Arc<ChangeSet>,
    slot: SlotId,
    range: KeyRange,
    marker: PhantomData<fn() -> (C, P)>,
}

impl<C, P> Update<C, P> {
    pub(super) fn new(set: Arc<ChangeSet>, slot: SlotId, range: KeyRange) -> Self {
        Self { set, slot, range, marker: PhantomData }
    }

    /// Why this update exists.
    pub fn kind(&self) -> ChangeKind {
        self.set.kind()
    }

    /// The revision of the state after it.
    pub fn revision(&self) -> Revision {
        self.set.revision()
    }

    /// The place in history after it, for another process.
    pub fn token(&self) -> Token {
        self.set.token()
    }

    /// The changes within the watch's range, in key order.
    pub fn changes(&self) -> Changes<'_, C, P> {
        self.set.within(self.slot, &self.range)
    }

    /// The whole change set, with the changes of the same transaction outside of the range.
    pub fn change_set(&self) -> &ChangeSet {
        &self.set
    }
}

impl<C, P> fmt::Debug for Update<C, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Update")
            .field("kind", &self.kind())
            .field("revision", &self.revision())
            .field("changes", &self.changes())
            .finish()
    }
}
