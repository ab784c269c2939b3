//! What the tree is made of.

use std::cmp::Ordering;

use bytes::Bytes;
use tailetc_core::Revision;

use super::end::{End, is_ended};
use super::steps::Steps;
use super::{Count, Counted};

/// The most entries of a leaf, and children of an inner node. Few in tests, for trees of several
/// levels.
pub(super) const CAPACITY: usize = if cfg!(test) { 8 } else { 64 };

/// All leaves are at one depth.
#[derive(Debug)]
pub(super) enum Node<V> {
    Leaf(Vec<(Bytes, V)>),
    /// Never without children.
    Inner(Vec<Child<V>>),
}

#[derive(Debug)]
pub(super) struct Child<V> {
    /// At or below every key of the node, and above every key of the child before. The first one
    /// of a node is not looked at.
    pub(super) from: Bytes,
    /// How many entries are below.
    pub(super) all: usize,
    /// How many of them were live when.
    pub(super) live: Steps,
    /// What ended of them, and is still to be [handed on](Self::settle).
    pub(super) ended: Vec<End>,
    pub(super) node: Node<V>,
}

impl<V: Counted> Node<V> {
    pub(super) fn count(&self, revision: Revision) -> Count {
        match self {
            Self::Leaf(entries) => count_entries(entries, &[], revision),
            Self::Inner(children) => count_children(children, revision),
        }
    }

    /// How many of its entries were live when. Of a leaf, no mark is handed on to it any more.
    pub(super) fn steps(&self, compacted: Revision) -> Steps {
        match self {
            Self::Leaf(entries) => {
                Steps::of(entries.iter().flat_map(|(_, value)| value.turns()), compacted)
            }
            Self::Inner(children) => {
                Steps::sum(children.iter().map(|child| &child.live), compacted)
            }
        }
    }

    /// About how long [`Self::steps`] takes.
    pub(super) fn weight(&self) -> usize {
        match self {
            Self::Leaf(entries) => entries.iter().map(|(_, value)| value.weight()).sum(),
            Self::Inner(children) => children.iter().map(|child| child.live.len()).sum(),
        }
    }

    /// Settles every child on the way to `key`, shows it, and returns the entry if there is one.
    pub(super) fn descend(
        &mut self,
        key: &[u8],
        mut each: impl FnMut(&mut Child<V>),
    ) -> Option<&mut V> {
        let mut node = self;
        loop {
            match node {
                Self::Inner(children) => {
                    let index = child_of(children, key);
                    children[index].settle();
                    each(&mut children[index]);
                    node = &mut children[index].node;
                }
                Self::Leaf(entries) => {
                    let index = find(entries, key).ok()?;
                    return Some(&mut entries[index].1);
                }
            }
        }
    }
}

impl<V> Node<V> {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Leaf(entries) => entries.len(),
            Self::Inner(children) => children.len(),
        }
    }
}

impl<V: Counted> Child<V> {
    pub(super) fn new(from: Bytes, node: Node<V>, compacted: Revision) -> Self {
        let live = node.steps(compacted);
        Self { from, all: node.count(compacted).all, live, ended: Vec::new(), node }
    }
}

pub(super) fn find<V>(entries: &[(Bytes, V)], key: &[u8]) -> Result<usize, usize> {
    entries.binary_search_by(|(entry, _)| entry[..].cmp(key))
}

/// The child that has `key` if any has.
pub(super) fn child_of<V>(children: &[Child<V>], key: &[u8]) -> usize {
    let after = children.partition_point(|child| child.from[..].cmp(key) != Ordering::Greater);
    after.saturating_sub(1)
}

pub(super) fn count_entries<V: Counted>(
    entries: &[(Bytes, V)],
    ended: &[End],
    revision: Revision,
) -> Count {
    let is_live = |value: &V| value.is_live_at(revision) && !is_ended(ended, value, revision);
    let live = entries.iter().filter(|(_, value)| is_live(value)).count();
    Count { all: entries.len(), live }
}

pub(super) fn count_children<V>(children: &[Child<V>], revision: Revision) -> Count {
    let mut count = Count::default();
    for child in children {
        count += Count { all: child.all, live: child.live.live_at(revision) as usize };
    }
    count
}
