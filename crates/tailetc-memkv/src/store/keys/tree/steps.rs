//! How many entries were live, revision by revision.

use std::cmp::Ordering;
use std::mem;

use tailetc_core::Revision;

/// The number of live entries of a subtree over time: none at first, and then what each step says
/// until the next one.
///
/// Only revisions from the compacted one on are told; what is kept of those before is not to be
/// relied on.
#[derive(Clone, Debug, Default)]
pub(super) struct Steps {
    /// In ascending order, all below `last`.
    earlier: Vec<Step>,
    /// Apart, so that the present costs no look at the heap.
    last: Step,
}

/// Packed, because every creation and deletion of a key takes one at each level of the tree.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C, packed(4))]
struct Step {
    since: Revision,
    live: u32,
}

/// An entry that became live, or ceased to be so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store::keys) struct Turn {
    pub(in crate::store::keys) revision: Revision,
    pub(in crate::store::keys) live: bool,
}

impl Steps {
    /// What `turns`, in any order, add up to. Those below `compacted` are taken for one step.
    pub(super) fn of(turns: impl IntoIterator<Item = Turn>, compacted: Revision) -> Self {
        let change = |turn: Turn| (turn.revision.max(compacted), if turn.live { 1 } else { -1 });
        Self::of_changes(turns.into_iter().map(change).collect())
    }

    /// All of `parts` together.
    pub(super) fn sum<'a>(parts: impl Iterator<Item = &'a Self>, compacted: Revision) -> Self {
        let mut changes = Vec::new();
        for part in parts {
            let mut before = 0;
            for step in part.iter() {
                let live = i64::from(step.live);
                changes.push((step.since.max(compacted), live - before));
                before = live;
            }
        }
        Self::of_changes(changes)
    }

    fn of_changes(mut changes: Vec<(Revision, i64)>) -> Self {
        // Stable, which is quick where there are ascending runs, as there are here.
        changes.sort_by_key(|(revision, _)| *revision);
        let mut steps = Self::default();
        let mut live = 0;
        for same in changes.chunk_by(|a, b| a.0 == b.0) {
            live += same.iter().map(|(_, change)| change).sum::<i64>();
            steps.push(Step { since: same[0].0, live: u32::try_from(live).unwrap_or(0) });
        }
        steps.earlier.shrink_to_fit();
        steps
    }

    /// How many are live.
    pub(super) fn live(&self) -> u32 {
        self.last.live
    }

    /// How many were live when `revision` was complete.
    pub(super) fn live_at(&self, revision: Revision) -> u32 {
        if self.last.since() <= revision {
            return self.last.live;
        }
        let reached = self.earlier.partition_point(|step| step.since() <= revision);
        self.earlier[..reached].last().map_or(0, |step| step.live)
    }

    /// How many steps there are.
    pub(super) fn len(&self) -> usize {
        self.earlier.len() + 1
    }

    /// One entry turned, at a revision not below that of any step.
    pub(super) fn record(&mut self, turn: Turn) {
        let before = self.live();
        let live = if turn.live { before.saturating_add(1) } else { before.saturating_sub(1) };
        self.record_live(turn.revision, live);
    }

    /// So many are live from `revision` on, which is not below that of any step.
    pub(super) fn record_live(&mut self, revision: Revision, live: u32) {
        self.push(Step { since: revision, live });
    }

    fn push(&mut self, step: Step) {
        if step.since() == self.last.since() {
            self.last.live = step.live;
        } else if step.live != self.last.live {
            let before = mem::replace(&mut self.last, step);
            if before.live != 0 || !self.earlier.is_empty() {
                self.reserve_one();
                self.earlier.push(before);
            }
        }
    }

    /// Grows by a quarter and not by as much again: the steps are much of what the tree takes.
    fn reserve_one(&mut self) {
        if self.earlier.len() == self.earlier.capacity() {
            self.earlier.reserve_exact(self.earlier.len() / 4 + 4);
        }
    }

    /// Adds what `other` counts: entries of another subtree.
    pub(super) fn add(&mut self, other: &Self, compacted: Revision) {
        self.combine(other, u32::saturating_add);
        self.compact(compacted);
        self.earlier.shrink_to_fit();
    }

    /// Takes out what `other` counts: some of the entries of the subtree.
    pub(super) fn subtract(&mut self, other: &Self, compacted: Revision) {
        self.combine(other, u32::saturating_sub);
        self.compact(compacted);
        self.earlier.shrink_to_fit();
    }

    /// Linear in the steps of `other`, and in the own ones that are not below its first.
    fn combine(&mut self, other: &Self, both: impl Fn(u32, u32) -> u32) {
        let Some(first) = other.iter().next() else { return };
        let reached = self.earlier.partition_point(|step| step.since() < first.since());
        let mut left = self.earlier.split_off(reached);
        left.push(self.last);
        self.last = self.earlier.pop().unwrap_or_default();
        let (mut own, mut others) = (left.into_iter().peekable(), other.iter().peekable());
        let (mut own_live, mut others_live) = (self.last.live, 0);
        loop {
            let order = match (own.peek(), others.peek()) {
                (Some(a), Some(b)) => a.since().cmp(&b.since()),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (None, None) => break,
            };
            let mut since = Revision::ZERO;
            if order != Ordering::Greater
                && let Some(step) = own.next()
            {
                (since, own_live) = (step.since, step.live);
            }
            if order != Ordering::Less
                && let Some(step) = others.next()
            {
                (since, others_live) = (step.since, step.live);
            }
            self.push(Step { since, live: both(own_live, others_live) });
        }
    }

    /// Drops what no revision from `compacted` on needs. What is at most as much as the rest may
    /// stay, so that many compactions of a little each take no longer than one.
    pub(super) fn compact(&mut self, compacted: Revision) {
        if self.last.since() <= compacted {
            self.earlier = Vec::new();
        } else if self.earlier.get(self.earlier.len() / 2).is_some_and(|s| s.since() <= compacted) {
            let reached = self.earlier.partition_point(|step| step.since() <= compacted);
            self.earlier.drain(..reached - 1);
            self.earlier.shrink_to_fit();
        }
    }

    fn iter(&self) -> impl Iterator<Item = Step> {
        let never_live = self.earlier.is_empty() && self.live() == 0;
        self.earlier.iter().copied().chain((!never_live).then_some(self.last))
    }
}

impl Step {
    /// The comparisons of a field need a reference, which no packed field gives.
    fn since(self) -> Revision {
        self.since
    }
}
