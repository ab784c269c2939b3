//! Who is concerned by a change.

use std::cell::Cell;
use std::collections::HashMap;
use std::hash::Hash;

use crate::backend::{Intervals, KeyRange};
use crate::watch::subscribers::{Delivery, Sink};

/// Sinks by the range that they watch, in spaces of keys that have nothing to do with each other: a
/// change concerns those that it is offered to, and costs nothing for the others.
#[derive(Debug)]
pub(super) struct Routes<S> {
    spaces: HashMap<S, Intervals<Group>>,
    /// Where sinks are spent that are not removed yet.
    spent: Vec<(S, KeyRange)>,
}

/// The sinks of one range.
#[derive(Debug)]
struct Group {
    range: KeyRange,
    members: Vec<Sink>,
    /// The last delivery that was offered to them: one may change many keys of a range.
    reached: Cell<u64>,
}

impl<S> Default for Routes<S> {
    fn default() -> Self {
        Self { spaces: HashMap::new(), spent: Vec::new() }
    }
}

impl<S: Copy + Eq + Hash> Routes<S> {
    pub(super) fn is_empty(&self) -> bool {
        self.spaces.is_empty()
    }

    pub(super) fn add(&mut self, space: S, range: &KeyRange, sink: Sink) {
        let groups = self.spaces.entry(space).or_default();
        match groups.get_mut(range) {
            Some(group) => group.members.push(sink),
            None => {
                let range = range.clone();
                let group = Group { range, members: vec![sink], reached: Cell::new(0) };
                groups.insert(&group.range.clone(), group);
            }
        }
    }

    /// Removes the spent sinks of a range.
    pub(super) fn prune(&mut self, space: S, range: &KeyRange) {
        let Some(groups) = self.spaces.get_mut(&space) else { return };
        let Some(group) = groups.get_mut(range) else { return };
        group.members.retain(|sink| !sink.is_spent());
        if group.members.is_empty() {
            groups.remove(range);
        }
        if groups.is_empty() {
            self.spaces.remove(&space);
        }
    }

    /// Offers a delivery, in which this key changes, to each sink that watches the key and has not
    /// got it yet.
    pub(super) fn offer(&mut self, space: S, key: &[u8], delivery: &Delivery<'_>) {
        let Some(groups) = self.spaces.get(&space) else { return };
        groups.holding(key, |group| {
            if group.reached.replace(delivery.number) == delivery.number {
                return;
            }
            group.members.iter().for_each(|sink| sink.offer(delivery));
            if group.members.iter().any(Sink::is_spent) {
                self.spent.push((space, group.range.clone()));
            }
        });
    }

    /// Removes the sinks that were spent by what they were offered.
    pub(super) fn prune_spent(&mut self) {
        for (space, range) in std::mem::take(&mut self.spent) {
            self.prune(space, &range);
        }
    }
}
