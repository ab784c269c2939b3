//! The applier's end of the watches.

use std::sync::Arc;

use crate::schema::SlotId;
use crate::state::State;
use crate::watch::routes::Routes;
use crate::watch::{Scope, coalesced, exact};
use crate::{ChangeSet, Revision};

/// The registered watches. Lives under the apply lock.
#[derive(Debug, Default)]
pub(crate) struct Subscribers {
    by_key: Routes<SlotId>,
    by_row: Routes<()>,
    outbox: Outbox,
    /// How many deliveries there have been.
    deliveries: u64,
}

/// Applied, but not yet published: whoever gets a change set must be able to read the state that it
/// leads to.
#[derive(Debug, Default)]
struct Outbox {
    sets: Vec<Arc<ChangeSet>>,
    /// The published state, which none of the sets is in.
    before: Option<Arc<State>>,
}

/// One published change set.
#[derive(Debug)]
pub(super) struct Delivery<'d> {
    /// No other has it; not 0.
    pub(super) number: u64,
    pub(super) set: &'d Arc<ChangeSet>,
    /// A published state from before the change set.
    pub(super) before: &'d Arc<State>,
    /// The epoch and revision of the published state, which the change set is in.
    pub(super) now: (u64, Revision),
}

/// Where the changes for one watch go.
#[derive(Debug)]
pub(crate) enum Sink {
    Exact(exact::Sink),
    Coalesced(coalesced::Sink),
}

impl Subscribers {
    pub(crate) fn is_empty(&self) -> bool {
        self.by_key.is_empty() && self.by_row.is_empty()
    }

    /// Whether change sets must say what changed in the indexes.
    pub(crate) fn want_rows(&self) -> bool {
        !self.by_row.is_empty()
    }

    pub(crate) fn add(&mut self, scope: &Scope, sink: Sink) {
        match scope {
            Scope::Keys { slot, range } => self.by_key.add(*slot, range, sink),
            Scope::Rows { range } => self.by_row.add((), range, sink),
        }
    }

    /// Removes the watches on this scope whose consumers are gone.
    pub(crate) fn prune(&mut self, scope: &Scope) {
        match scope {
            Scope::Keys { slot, range } => self.by_key.prune(*slot, range),
            Scope::Rows { range } => self.by_row.prune((), range),
        }
    }

    pub(crate) fn clear(&mut self) {
        self.by_key = Routes::default();
        self.by_row = Routes::default();
    }

    /// Takes a change set that is not in the `published` state, to be sent once it is.
    pub(crate) fn enqueue(&mut self, set: ChangeSet, published: impl FnOnce() -> Arc<State>) {
        if !self.is_empty() {
            self.outbox.before.get_or_insert_with(published);
            self.outbox.sets.push(Arc::new(set));
        }
    }

    /// Hands out what has been published. Never waits: whoever has no room has lagged.
    pub(crate) fn send(&mut self, published: impl FnOnce() -> Arc<State>) {
        let Some(before) = self.outbox.before.take() else { return };
        let published = published();
        let now = (published.epoch, published.revision);
        for set in self.outbox.sets.drain(..) {
            self.deliveries += 1;
            let number = self.deliveries;
            let delivery = Delivery { number, set: &set, before: &before, now };
            for (slot, key) in set.touched() {
                self.by_key.offer(slot, key.as_bytes(), &delivery);
            }
            for change in set.rows() {
                self.by_row.offer((), change.key.as_bytes(), &delivery);
            }
            self.by_key.prune_spent();
            self.by_row.prune_spent();
        }
    }
}

impl Sink {
    pub(super) fn offer(&self, delivery: &Delivery<'_>) {
        match self {
            Self::Exact(sink) => sink.offer(delivery.set),
            Self::Coalesced(sink) => sink.offer(delivery.before, delivery.now),
        }
    }

    /// Whether it has no use for another delivery: its consumer is gone, or has lagged.
    pub(super) fn is_spent(&self) -> bool {
        match self {
            Self::Exact(sink) => sink.is_spent(),
            Self::Coalesced(sink) => sink.is_spent(),
        }
    }
}
