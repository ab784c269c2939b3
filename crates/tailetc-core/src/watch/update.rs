//! One item of a watch.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use crate::backend::KeyRange;
use crate::schema::SlotId;
use crate::state::{Changes, RawChange};
use crate::{Change, ChangeKind, ChangeSet, Revision, Token};

/// One item of a [`Watch`](crate::Watch): a change set, seen through the watch's range.
pub struct Update<C, P = crate::Shared> {
    set: Arc<ChangeSet>,
    slot: SlotId,
    range: KeyRange,
    /// Those that the filters let through, if there are filters.
    picked: Option<Vec<RawChange>>,
    marker: PhantomData<fn() -> (C, P)>,
}

impl<C, P> Update<C, P> {
    pub(super) fn new(set: Arc<ChangeSet>, slot: SlotId, range: KeyRange) -> Self {
        Self { set, slot, range, picked: None, marker: PhantomData }
    }

    /// Leaves out the changes for which `keeps` is false.
    pub(super) fn filter(&mut self, mut keeps: impl FnMut(&Change<'_, C, P>) -> bool) {
        let kept = self.changes().filter(|change| keeps(change));
        let kept = kept.map(|change| change.raw().clone()).collect();
        self.picked = Some(kept);
    }

    /// Whether its consumer must get it although nothing is left in it, to know where it stands.
    pub(super) fn is_mark(&self) -> bool {
        matches!(self.kind(), ChangeKind::Initial | ChangeKind::Resync)
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

    /// The changes within the watch's range that its [filters](crate::Watch::filter) let through,
    /// in key order.
    pub fn changes(&self) -> Changes<'_, C, P> {
        match &self.picked {
            Some(picked) => self.set.picked(self.slot, picked),
            None => self.set.within(self.slot, &self.range),
        }
    }

    /// The whole change set, without filters. That of an exact watch has the changes of the same
    /// transaction outside of the range, too.
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
