//! A map in key order that knows how many entries before a key were live at a revision.
//!
//! A B+ tree whose inner nodes keep the number of entries below each child, and that of the live
//! ones as it was at every revision. So counting a range, now or then, costs a descent to each of
//! its ends and not a walk, and a walk over the past leaves out what had nothing live.

mod cut;
mod iter;
mod join;
mod node;
mod steps;
#[cfg(test)]
mod tests;

use std::ops::{AddAssign, Sub};

use bytes::Bytes;
use tailetc_core::Revision;

use self::cut::Cut;
use self::iter::Iter;
use self::node::{Child, Node};
pub(super) use self::steps::Turn;

/// What entries are counted by.
pub(super) trait Counted {
    /// Whether the entry counted as [`Count::live`] when `revision` was complete.
    fn is_live_at(&self, revision: Revision) -> bool;

    /// When it became live and when it ceased, in any order.
    fn turns(&self) -> impl Iterator<Item = Turn>;

    /// About how long it takes to list its turns.
    fn weight(&self) -> usize;
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

    /// How many entries lie before `key`.
    pub(super) fn count_before(&self, key: &[u8], revision: Revision) -> Count {
        let mut before = Count::default();
        let mut node = &self.root;
        loop {
            match node {
                Node::Inner(children) => {
                    let index = node::child_of(children, key);
                    before += node::count_children(&children[..index], revision);
                    node = &children[index].node;
                }
                Node::Leaf(entries) => {
                    let (Ok(index) | Err(index)) = node::find(entries, key);
                    before += node::count_entries(&entries[..index], revision);
                    return before;
                }
            }
        }
    }

    /// One entry or none.
    pub(super) fn count_of(&self, key: &[u8], revision: Revision) -> Count {
        let count = |value: &V| Count { all: 1, live: usize::from(value.is_live_at(revision)) };
        self.get(key).map_or_else(Count::default, |(_, value)| count(value))
    }

    pub(super) fn count(&self, revision: Revision) -> Count {
        self.root.count(revision)
    }

    /// The entries from `start` on, in order. If `live_at` tells a revision, subtrees without live
    /// entries at it are not entered; a dead entry beside a live one is still shown.
    pub(super) fn from(&self, start: &[u8], live_at: Option<Revision>) -> Iter<'_, V> {
        Iter::new(&self.root, start, live_at)
    }
}
