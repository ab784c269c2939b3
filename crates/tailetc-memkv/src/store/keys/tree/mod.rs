//! A map in key order that knows how many entries before a key were live at a revision.
//!
//! A B+ tree whose inner nodes keep the number of entries below each child, and that of the live
//! ones as it was at every revision. So counting a range, now or then, costs a descent to each of
//! its ends and not a walk, and a walk over the past leaves out what had nothing live.

mod cut;
mod end;
mod iter;
mod join;
mod node;
mod steps;
#[cfg(test)]
mod tests;

use std::ops::{AddAssign, Sub};

use bytes::Bytes;
use tailetc_core::{LeaseId, Revision};

use self::cut::Cut;
pub(super) use self::end::Whom;
use self::end::{Bounds, EndedLease};
pub(super) use self::iter::IntoIter;
use self::iter::Iter;
use self::node::{Child, Node};
pub(super) use self::steps::Turn;
use super::NOW;

/// What entries are counted by.
pub(super) trait Counted {
    /// Whether the entry counted as [`Count::live`] when `revision` was complete.
    fn is_live_at(&self, revision: Revision) -> bool;

    /// When it became live and when it ceased, in any order.
    fn turns(&self) -> impl Iterator<Item = Turn>;

    /// About how long it takes to list its turns.
    fn weight(&self) -> usize;

    /// Whether it ends with those, if it is live.
    fn is_of(&self, whom: Whom) -> bool;

    /// Ends it, which was live: as the change at position `sub` of `revision`, which is not below
    /// that of any earlier one.
    fn end(&mut self, key: &Bytes, revision: Revision, sub: u32);
}

/// Of a tree that is a set of keys.
impl Counted for () {
    fn is_live_at(&self, _: Revision) -> bool {
        false
    }

    fn turns(&self) -> impl Iterator<Item = Turn> {
        std::iter::empty()
    }

    fn weight(&self) -> usize {
        1
    }

    fn is_of(&self, _: Whom) -> bool {
        false
    }

    fn end(&mut self, _: &Bytes, _: Revision, _: u32) {}
}

/// A number of entries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Count {
    /// Those that there are now, live or not.
    pub(super) all: usize,
    /// Those that were live at the revision that is asked for.
    pub(super) live: usize,
}

impl AddAssign for Count {
    fn add_assign(&mut self, other: Self) {
        self.all += other.all;
        self.live += other.live;
    }
}

impl Sub for Count {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self { all: self.all - other.all, live: self.live - other.live }
    }
}

/// Every revision that is asked for is one from the last [compaction](Tree::compact) on.
#[derive(Debug)]
pub(super) struct Tree<V> {
    root: Node<V>,
    compacted: Revision,
}

impl<V> Default for Tree<V> {
    fn default() -> Self {
        Self { root: Node::Leaf(Vec::new()), compacted: Revision::ZERO }
    }
}

impl<V: Counted> Tree<V> {
    /// The entry of `key`, which may have ended without knowing it.
    pub(super) fn get(&self, key: &[u8]) -> Option<(&Bytes, &V)> {
        let mut node = &self.root;
        loop {
            match node {
                Node::Inner(children) => node = &children[node::child_of(children, key)].node,
                Node::Leaf(entries) => {
                    let (key, value) = &entries[node::find(entries, key).ok()?];
                    return Some((key, value));
                }
            }
        }
    }

    /// The entry of `key` if it was live when `revision` was complete.
    pub(super) fn get_live(&self, key: &[u8], revision: Revision) -> Option<&V> {
        let (mut node, mut ended) = (&self.root, &[][..]);
        loop {
            match node {
                Node::Inner(children) => {
                    let child = &children[node::child_of(children, key)];
                    if end::are_ended(&child.ended, revision) {
                        return None;
                    }
                    (node, ended) = (&child.node, &child.ended);
                }
                Node::Leaf(entries) => {
                    let (_, value) = &entries[node::find(entries, key).ok()?];
                    let is_live =
                        value.is_live_at(revision) && !end::is_ended(ended, value, revision);
                    return is_live.then_some(value);
                }
            }
        }
    }

    /// Changes the entry of `key` at `revision`, which is not below that of any earlier change, and
    /// says whether there is one.
    pub(super) fn modify(
        &mut self,
        key: &[u8],
        revision: Revision,
        change: impl FnOnce(&mut V),
    ) -> bool {
        let Some(value) = self.root.descend(key, |_| ()) else {
            return false;
        };
        let before = value.is_live_at(revision);
        change(value);
        let turn = Turn { revision, live: value.is_live_at(revision) };
        if turn.live != before {
            self.root.descend(key, |child| child.live.record(turn));
        }
        true
    }

    /// Adds an entry, which first counts from `revision` on, for a key that has none. The revision
    /// is not below that of any earlier change.
    pub(super) fn insert(&mut self, key: Bytes, revision: Revision, value: V) {
        let turn = value.is_live_at(revision).then_some(Turn { revision, live: true });
        if let Some(Cut { from, right }) =
            cut::insert(&mut self.root, key, value, turn, self.compacted)
        {
            let left = std::mem::replace(&mut self.root, Node::Leaf(Vec::new()));
            let children = [(Bytes::new(), left), (from, right)];
            let child = |(from, node)| Child::new(from, node, self.compacted);
            self.root = Node::Inner(children.into_iter().map(child).collect());
        }
    }

    /// From now on no revision below `revision` is asked for. Changes the entry of `key` so that it
    /// forgets them too, and removes it if `change` says so, for which it must be dead from
    /// `revision` on.
    ///
    /// To be called for every key that turned since the last compaction: what is kept of the others
    /// is short already.
    pub(super) fn compact(
        &mut self,
        key: &[u8],
        revision: Revision,
        change: impl FnOnce(&mut V) -> bool,
    ) {
        self.compacted = revision;
        let value = self.root.descend(key, |child| child.live.compact(revision));
        if value.is_some_and(change) {
            join::remove(&mut self.root, key, revision);
            while let Node::Inner(children) = &mut self.root
                && children.len() == 1
                && let Some(only) = children.pop()
            {
                self.root = only.node;
            }
        }
    }

    /// Ends the entries from `start` on and before `end`, `None` being beyond every key, that are
    /// live, in order: as changes of `revision`, which is not below that of any earlier one, the
    /// first at position `first_sub`. Says how many there were.
    ///
    /// Takes time by the depth of the tree alone.
    pub(super) fn end_between(
        &mut self,
        start: &[u8],
        end: Option<&[u8]>,
        revision: Revision,
        first_sub: u32,
    ) -> u32 {
        let wanted = Bounds { from: Some(start), before: end };
        let all = Bounds { from: None, before: None };
        end::end_within(&mut self.root, all, wanted, revision, first_sub)
    }

    /// The same for those that are attached to `lease`. All of them are among `attached`; if it is
    /// `exact`, those are no more.
    ///
    /// Takes time by the number of leaves in which they lie among others.
    pub(super) fn end_attached(
        &mut self,
        lease: LeaseId,
        attached: &Tree<()>,
        exact: bool,
        revision: Revision,
        first_sub: u32,
    ) -> u32 {
        let attached = |key: Option<&[u8]>| match key {
            Some(key) => attached.count_before(key, NOW).all,
            None => attached.count(NOW).all,
        };
        let ended = EndedLease { lease, attached, exact, revision };
        ended.end_all(&mut self.root, first_sub)
    }

    /// The entries of the leaf that has `key` if any has, which know then if they have ended, and
    /// where the next leaf begins.
    pub(super) fn settled(&mut self, key: &[u8]) -> (&[(Bytes, V)], Option<&Bytes>) {
        let (mut node, mut next) = (&mut self.root, None);
        loop {
            match node {
                Node::Inner(children) => {
                    let index = node::child_of(children, key);
                    let (children, after) = children.split_at_mut(index + 1);
                    next = after.first().map(|child| &child.from).or(next);
                    let child = &mut children[index];
                    child.settle();
                    node = &mut child.node;
                }
                Node::Leaf(entries) => return (entries, next),
            }
        }
    }

    /// How many entries lie before `key`.
    pub(super) fn count_before(&self, key: &[u8], revision: Revision) -> Count {
        let mut before = Count::default();
        let (mut node, mut ended, mut all_ended) = (&self.root, &[][..], false);
        loop {
            let (counted, child) = match node {
                Node::Inner(children) => {
                    let index = node::child_of(children, key);
                    let counted = node::count_children(&children[..index], revision);
                    (counted, Some(&children[index]))
                }
                Node::Leaf(entries) => {
                    let (Ok(index) | Err(index)) = node::find(entries, key);
                    (node::count_entries(&entries[..index], ended, revision), None)
                }
            };
            before.all += counted.all;
            before.live += if all_ended { 0 } else { counted.live };
            let Some(child) = child else {
                return before;
            };
            all_ended |= end::are_ended(&child.ended, revision);
            (node, ended) = (&child.node, &child.ended);
        }
    }

    /// One entry or none.
    pub(super) fn count_of(&self, key: &[u8], revision: Revision) -> Count {
        let live = usize::from(self.get_live(key, revision).is_some());
        Count { all: usize::from(self.get(key).is_some()), live }
    }

    pub(super) fn count(&self, revision: Revision) -> Count {
        self.root.count(revision)
    }

    /// The entries from `start` on, in order. If `live_at` tells a revision, subtrees without live
    /// entries at it are not entered; a dead entry beside a live one is still shown.
    /// Without a revision, what has ended may not know it.
    pub(super) fn from(&self, start: &[u8], live_at: Option<Revision>) -> Iter<'_, V> {
        Iter::new(&self.root, start, live_at)
    }

    pub(super) fn into_entries(self) -> IntoIter<V> {
        IntoIter::new(self.root)
    }
}
