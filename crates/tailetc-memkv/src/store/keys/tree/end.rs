//! Ending many entries at once.
//!
//! A subtree whose entries end together is only marked, and counts from then on what is left. The
//! mark goes down to the entries when somebody changes one of them, a node at a time, or when they
//! are written down in turn. Until then nothing else below a mark has changed: it is the last thing
//! that happened to the entries that it is about.

use std::mem;

use bytes::Bytes;
use tailetc_core::{LeaseId, Revision};

use super::node::{Child, Node, child_of};
use super::{Counted, NOW};

/// Entries of a subtree that ended together, which they do not know yet.
#[derive(Clone, Copy, Debug)]
pub(in crate::store::keys) struct End {
    pub(super) revision: Revision,
    /// The position of the first of them among the changes of the revision; the others follow in
    /// order.
    pub(super) first_sub: u32,
    pub(super) whom: Whom,
}

/// Which of the entries that were live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store::keys) enum Whom {
    All,
    /// Those attached to a lease. Only leaves are marked with it.
    Lease(LeaseId),
}

/// Whether one of the marks ended an entry that was live until then.
pub(super) fn is_ended<V: Counted>(ended: &[End], value: &V, revision: Revision) -> bool {
    ended.iter().any(|end| end.revision <= revision && value.is_of(end.whom))
}

/// Whether one of the marks ended all entries.
pub(super) fn are_ended(ended: &[End], revision: Revision) -> bool {
    ended.iter().any(|end| end.revision <= revision && end.whom == Whom::All)
}

impl<V: Counted> Child<V> {
    /// Hands marks on to the children or to the entries.
    pub(super) fn settle(&mut self) {
        for end in mem::take(&mut self.ended) {
            match &mut self.node {
                Node::Inner(children) => {
                    let mut sub = end.first_sub;
                    for child in children {
                        sub += child.end_all(end.revision, sub);
                    }
                }
                Node::Leaf(entries) => {
                    end_entries(entries, end, |_| true);
                }
            }
        }
    }

    /// Ends all entries, and says how many were live.
    fn end_all(&mut self, revision: Revision, first_sub: u32) -> u32 {
        let live = self.live.live();
        if live > 0 {
            self.ended.push(End { revision, first_sub, whom: Whom::All });
            self.live.record_live(revision, 0);
        }
        live
    }

    fn record_ended(&mut self, revision: Revision, count: u32) {
        if count > 0 {
            let left = self.live.live().saturating_sub(count);
            self.live.record_live(revision, left);
        }
    }
}

fn end_entries<V: Counted>(
    entries: &mut [(Bytes, V)],
    end: End,
    concerns: impl Fn(&[u8]) -> bool,
) -> u32 {
    let mut count = 0;
    for (key, value) in entries {
        if concerns(key) && value.is_live_at(NOW) && value.is_of(end.whom) {
            value.end(key, end.revision, end.first_sub + count);
            count += 1;
        }
    }
    count
}

/// Where keys lie: from the first on, and before the second; `None` is beyond every key.
#[derive(Clone, Copy)]
pub(super) struct Bounds<'a> {
    pub(super) from: Option<&'a [u8]>,
    pub(super) before: Option<&'a [u8]>,
}

impl<'a> Bounds<'a> {
    fn holds(self, key: &[u8]) -> bool {
        self.from.is_none_or(|from| from <= key) && self.before.is_none_or(|before| key < before)
    }

    fn holds_all(self, other: Self) -> bool {
        let from = self.from.is_none() || other.from.is_some_and(|from| self.from <= Some(from));
        let before = self.before.is_none_or(|end| other.before.is_some_and(|before| before <= end));
        from && before
    }
}

/// Ends the live entries within `wanted` in order, and says how many there were. The node is
/// settled, and its keys lie within `own`.
pub(super) fn end_within<V: Counted>(
    node: &mut Node<V>,
    own: Bounds<'_>,
    wanted: Bounds<'_>,
    revision: Revision,
    first_sub: u32,
) -> u32 {
    let children = match node {
        Node::Inner(children) => children,
        Node::Leaf(entries) => {
            let end = End { revision, first_sub, whom: Whom::All };
            return end_entries(entries, end, |key| wanted.holds(key));
        }
    };
    let first = wanted.from.map_or(0, |from| child_of(children, from));
    let last = wanted.before.map_or(children.len() - 1, |before| child_of(children, before));
    let mut count = 0;
    for index in first..=last {
        if children[index].live.live() == 0 {
            continue;
        }
        let froms = [index, index + 1].map(|at| children.get(at).map(|child| child.from.clone()));
        let own = Bounds {
            from: if index == 0 { own.from } else { froms[0].as_deref() },
            before: froms[1].as_deref().or(own.before),
        };
        let child = &mut children[index];
        if wanted.holds_all(own) {
            count += child.end_all(revision, first_sub + count);
        } else {
            child.settle();
            let ended = end_within(&mut child.node, own, wanted, revision, first_sub + count);
            child.record_ended(revision, ended);
            count += ended;
        }
    }
    count
}

/// A lease that ends with what is attached to it.
pub(super) struct EndedLease<F> {
    pub(super) lease: LeaseId,
    /// How many keys before one, or in all, are attached to it, at most.
    pub(super) attached: F,
    /// Whether it is so many exactly.
    pub(super) exact: bool,
    pub(super) revision: Revision,
}

impl<F: Fn(Option<&[u8]>) -> usize> EndedLease<F> {
    pub(super) fn end_all<V: Counted>(&self, root: &mut Node<V>, first_sub: u32) -> u32 {
        self.end_below(root, [0, (self.attached)(None)], first_sub)
    }

    /// So many attached keys lie before the node, and before its end.
    fn end_below<V: Counted>(
        &self,
        node: &mut Node<V>,
        [mut before, end_of_node]: [usize; 2],
        first_sub: u32,
    ) -> u32 {
        let Self { lease, revision, .. } = *self;
        let end = End { revision, first_sub, whom: Whom::Lease(lease) };
        let children = match node {
            Node::Inner(children) => children,
            Node::Leaf(entries) => return end_entries(entries, end, |_| true),
        };
        let mut count = 0;
        for index in 0..children.len() {
            let next = children.get(index + 1);
            let upto = next.map_or(end_of_node, |next| (self.attached)(Some(&next.from)));
            let bounds = [mem::replace(&mut before, upto), upto];
            let (attached, live) = (bounds[1] - bounds[0], children[index].live.live());
            if attached == 0 || live == 0 {
                continue;
            }
            if self.exact && attached == live as usize {
                count += children[index].end_all(revision, first_sub + count);
                continue;
            }
            let child = &mut children[index];
            let ended = match &mut child.node {
                // One with live entries has no mark: all would have ended.
                node @ Node::Inner(_) => self.end_below(node, bounds, first_sub + count),
                Node::Leaf(entries) => {
                    let is_one = |(_, value): &&(Bytes, V)| {
                        value.is_live_at(NOW)
                            && value.is_of(end.whom)
                            && !is_ended(&child.ended, value, NOW)
                    };
                    let ended = if self.exact {
                        u32::try_from(attached).unwrap_or(u32::MAX)
                    } else {
                        entries.iter().filter(is_one).count() as u32
                    };
                    if ended > 0 {
                        child.ended.push(End { first_sub: first_sub + count, ..end });
                    }
                    ended
                }
            };
            child.record_ended(revision, ended);
            count += ended;
        }
        count
    }
}
