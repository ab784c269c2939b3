//! A map in key order that knows how many entries lie before a key.
//!
//! A B+ tree whose inner nodes keep the number of entries below each child, so that counting a
//! range costs a descent to each of its ends and not a walk.

use std::cmp::Ordering;
use std::ops::{AddAssign, Sub, SubAssign};
use std::slice;

use bytes::Bytes;

/// The most entries of a leaf, and children of an inner node.
const CAPACITY: usize = 64;

/// A node below this looks for a neighbour to join.
const SPARSE: usize = CAPACITY / 4;

/// What entries are counted by.
pub(super) trait Counted {
    /// Whether the entry counts as [`Count::live`].
    fn is_live(&self) -> bool;
}

/// A number of entries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) all: usize,
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

impl SubAssign for Count {
    fn sub_assign(&mut self, other: Self) {
        *self = *self - other;
    }
}

impl Count {
    fn one(value: &impl Counted) -> Self {
        Self { all: 1, live: usize::from(value.is_live()) }
    }
}

#[derive(Debug)]
pub(super) struct Tree<V> {
    root: Node<V>,
}

#[derive(Debug)]
enum Node<V> {
    Leaf(Vec<(Bytes, V)>),
    /// Never without children.
    Inner(Vec<Child<V>>),
}

#[derive(Debug)]
struct Child<V> {
    /// At or below every key of the node, and above every key of the child before. The first one
    /// of a node is not looked at.
    from: Bytes,
    count: Count,
    node: Node<V>,
}

impl<V> Default for Tree<V> {
    fn default() -> Self {
        Self { root: Node::Leaf(Vec::new()) }
    }
}

impl<V: Counted> Tree<V> {
    pub(super) fn get(&self, key: &[u8]) -> Option<(&Bytes, &V)> {
        let mut node = &self.root;
        loop {
            match node {
                Node::Inner(children) => node = &children[child_of(children, key)].node,
                Node::Leaf(entries) => {
                    let (key, value) = &entries[find(entries, key).ok()?];
                    return Some((key, value));
                }
            }
        }
    }

    /// Changes the entry of `key`; `None` if there is none.
    pub(super) fn modify<T>(&mut self, key: &[u8], change: impl FnOnce(&mut V) -> T) -> Option<T> {
        modify(&mut self.root, key, change).map(|(answer, _)| answer)
    }

    /// Adds an entry for a key that has none.
    pub(super) fn insert(&mut self, key: Bytes, value: V) {
        if let Some(right) = insert(&mut self.root, key, value) {
            let left = std::mem::replace(&mut self.root, Node::Leaf(Vec::new()));
            let left = Child { from: Bytes::new(), count: count(&left), node: left };
            self.root = Node::Inner(vec![left, right]);
        }
    }

    pub(super) fn remove(&mut self, key: &[u8]) {
        remove(&mut self.root, key);
        while let Node::Inner(children) = &mut self.root
            && children.len() == 1
            && let Some(only) = children.pop()
        {
            self.root = only.node;
        }
    }

    /// How many entries lie before `key`.
    pub(super) fn count_before(&self, key: &[u8]) -> Count {
        let mut before = Count::default();
        let mut node = &self.root;
        loop {
            match node {
                Node::Inner(children) => {
                    let index = child_of(children, key);
                    children[..index].iter().for_each(|child| before += child.count);
                    node = &children[index].node;
                }
                Node::Leaf(entries) => {
                    let (Ok(index) | Err(index)) = find(entries, key);
                    before += count_entries(&entries[..index]);
                    return before;
                }
            }
        }
    }

    /// One entry or none.
    pub(super) fn count_at(&self, key: &[u8]) -> Count {
        self.get(key).map_or_else(Count::default, |(_, value)| Count::one(value))
    }

    pub(super) fn count(&self) -> Count {
        count(&self.root)
    }

    /// The entries from `start` on, in order. With `live_only`, subtrees without live entries are
    /// not entered; a dead entry beside a live one is still shown.
    pub(super) fn from(&self, start: &[u8], live_only: bool) -> Iter<'_, V> {
        let mut iter = Iter { inner: Vec::new(), leaf: [].iter(), live_only };
        let mut node = &self.root;
        loop {
            match node {
                Node::Inner(children) => {
                    let index = child_of(children, start);
                    iter.inner.push(children[index + 1..].iter());
                    node = &children[index].node;
                }
                Node::Leaf(entries) => {
                    let (Ok(index) | Err(index)) = find(entries, start);
                    iter.leaf = entries[index..].iter();
                    return iter;
                }
            }
        }
    }
}

/// Entries in order.
pub(super) struct Iter<'a, V> {
    /// What is left of the nodes above, the root's first.
    inner: Vec<slice::Iter<'a, Child<V>>>,
    leaf: slice::Iter<'a, (Bytes, V)>,
    live_only: bool,
}

impl<'a, V> Iterator for Iter<'a, V> {
    type Item = (&'a Bytes, &'a V);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some((key, value)) = self.leaf.next() {
                return Some((key, value));
            }
            match self.inner.last_mut()?.next() {
                None => {
                    self.inner.pop();
                }
                Some(child) if self.live_only && child.count.live == 0 => {}
                Some(Child { node: Node::Inner(children), .. }) => self.inner.push(children.iter()),
                Some(Child { node: Node::Leaf(entries), .. }) => self.leaf = entries.iter(),
            }
        }
    }
}

fn find<V>(entries: &[(Bytes, V)], key: &[u8]) -> Result<usize, usize> {
    entries.binary_search_by(|(entry, _)| entry[..].cmp(key))
}

/// The child that has `key` if any has.
fn child_of<V>(children: &[Child<V>], key: &[u8]) -> usize {
    let after = children.partition_point(|child| child.from[..].cmp(key) != Ordering::Greater);
    after.saturating_sub(1)
}

fn count<V: Counted>(node: &Node<V>) -> Count {
    match node {
        Node::Leaf(entries) => count_entries(entries),
        Node::Inner(children) => count_children(children),
    }
}

fn count_entries<V: Counted>(entries: &[(Bytes, V)]) -> Count {
    let live = entries.iter().filter(|(_, value)| value.is_live()).count();
    Count { all: entries.len(), live }
}

fn count_children<V>(children: &[Child<V>]) -> Count {
    let mut count = Count::default();
    children.iter().for_each(|child| count += child.count);
    count
}

/// What the change says, and whether the entry is live before and after it.
fn modify<V: Counted, T>(
    node: &mut Node<V>,
    key: &[u8],
    change: impl FnOnce(&mut V) -> T,
) -> Option<(T, (bool, bool))> {
    match node {
        Node::Leaf(entries) => {
            let index = find(entries, key).ok()?;
            let value = &mut entries[index].1;
            let before = value.is_live();
            let answer = change(value);
            Some((answer, (before, value.is_live())))
        }
        Node::Inner(children) => {
            let index = child_of(children, key);
            let child = &mut children[index];
            let (answer, (before, after)) = modify(&mut child.node, key, change)?;
            child.count.live = child.count.live + usize::from(after) - usize::from(before);
            Some((answer, (before, after)))
        }
    }
}

/// What no longer fits, which belongs after the node.
fn insert<V: Counted>(node: &mut Node<V>, key: Bytes, value: V) -> Option<Child<V>> {
    match node {
        Node::Leaf(entries) => {
            let (Ok(index) | Err(index)) = find(entries, &key);
            let right = split(entries, index);
            match right {
                Some(mut right) if index >= entries.len() => {
                    right.insert(index - entries.len(), (key, value));
                    Some(leaf(right))
                }
                right => {
                    entries.insert(index, (key, value));
                    right.map(leaf)
                }
            }
        }
        Node::Inner(children) => {
            let index = child_of(children, &key);
            let child = &mut children[index];
            child.count += Count::one(&value);
            let right = insert(&mut child.node, key, value)?;
            child.count -= right.count;
            insert_child(children, index + 1, right)
        }
    }
}

fn insert_child<V>(
    children: &mut Vec<Child<V>>,
    index: usize,
    child: Child<V>,
) -> Option<Child<V>> {
    match split(children, index) {
        Some(mut right) if index >= children.len() => {
            right.insert(index - children.len(), child);
            Some(inner(right))
        }
        right => {
            children.insert(index, child);
            right.map(inner)
        }
    }
}

/// Cuts a full node in two, before something is inserted at `index`. At the end nothing is cut off,
/// so that keys which come in order fill their nodes.
fn split<T>(items: &mut Vec<T>, index: usize) -> Option<Vec<T>> {
    if items.len() < CAPACITY {
        return None;
    }
    let at = if index == items.len() { index } else { items.len() / 2 };
    let right = items.split_off(at);
    items.shrink_to_fit();
    Some(right)
}

fn leaf<V: Counted>(entries: Vec<(Bytes, V)>) -> Child<V> {
    let from = entries.first().map(|(key, _)| key.clone()).unwrap_or_default();
    Child { from, count: count_entries(&entries), node: Node::Leaf(entries) }
}

fn inner<V>(children: Vec<Child<V>>) -> Child<V> {
    let from = children.first().map(|child| child.from.clone()).unwrap_or_default();
    Child { from, count: count_children(&children), node: Node::Inner(children) }
}

/// What was removed.
fn remove<V: Counted>(node: &mut Node<V>, key: &[u8]) -> Count {
    match node {
        Node::Leaf(entries) => match find(entries, key) {
            Ok(index) => Count::one(&entries.remove(index).1),
            Err(_) => Count::default(),
        },
        Node::Inner(children) => {
            let index = child_of(children, key);
            let child = &mut children[index];
            let removed = remove(&mut child.node, key);
            child.count -= removed;
            tidy(children, index);
            removed
        }
    }
}

fn len<V>(node: &Node<V>) -> usize {
    match node {
        Node::Leaf(entries) => entries.len(),
        Node::Inner(children) => children.len(),
    }
}

/// Drops a child without entries, and joins a sparse one with a neighbour if both fit into one with
/// room to spare.
fn tidy<V>(children: &mut Vec<Child<V>>, index: usize) {
    if children.len() == 1 || len(&children[index].node) >= SPARSE {
        return;
    }
    if children[index].count.all == 0 {
        children.remove(index);
        return;
    }
    let left = if index + 1 < children.len() { index } else { index - 1 };
    if len(&children[left].node) + len(&children[left + 1].node) > CAPACITY / 2 {
        return;
    }
    let right = children.remove(left + 1);
    let left = &mut children[left];
    left.count += right.count;
    match (&mut left.node, right.node) {
        (Node::Leaf(left), Node::Leaf(right)) => left.extend(right),
        (Node::Inner(left), Node::Inner(mut children)) => {
            // The first of its node until now: its own bound was not kept.
            if let Some(first) = children.first_mut() {
                first.from = right.from;
            }
            left.extend(children);
        }
        // All leaves are at one depth.
        (Node::Leaf(_), Node::Inner(_)) | (Node::Inner(_), Node::Leaf(_)) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    impl Counted for bool {
        fn is_live(&self) -> bool {
            *self
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        /// Adds keys from the first number on, as many as the second says.
        Put(u16, u16, bool),
        Remove(u16, u16),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            (0_u16..2000, 1_u16..300, any::<bool>())
                .prop_map(|(from, count, live)| Step::Put(from, count, live)),
            (0_u16..2000, 1_u16..600).prop_map(|(from, count)| Step::Remove(from, count)),
        ];
        prop::collection::vec(step, 1..30)
    }

    /// Numbers in another order than that of the keys, so that nodes are also cut in the middle.
    fn key(number: u16) -> Bytes {
        Bytes::copy_from_slice(&number.wrapping_mul(7919).to_be_bytes())
    }

    fn check(tree: &Tree<bool>, model: &BTreeMap<Bytes, bool>) {
        let all: Vec<_> = tree.from(b"", false).collect();
        assert_eq!(all, model.iter().collect::<Vec<_>>());
        let live = |entries: &[(&Bytes, &bool)]| {
            let live = entries.iter().filter(|(_, live)| **live);
            live.map(|(key, _)| (*key).clone()).collect::<Vec<_>>()
        };
        assert_eq!(live(&tree.from(b"", true).collect::<Vec<_>>()), live(&all));
        assert_eq!(tree.count(), Count { all: all.len(), live: live(&all).len() });
        for probe in (0..3000).step_by(97).map(key) {
            let before: Vec<_> = model.range::<Bytes, _>(..&probe).collect();
            let expected = Count { all: before.len(), live: live(&before).len() };
            assert_eq!(tree.count_before(&probe), expected);
            assert_eq!(tree.get(&probe).map(|(_, live)| live), model.get(&probe));
            let first = tree.from(&probe, false).next().map(|(key, _)| key);
            assert_eq!(first, model.range::<Bytes, _>(&probe..).next().map(|(key, _)| key));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        #[test]
        fn behaves_as_a_map_and_counts(steps in steps(), in_order in any::<bool>()) {
            let key = |n: u16| if in_order { Bytes::copy_from_slice(&n.to_be_bytes()) } else { key(n) };
            let (mut tree, mut model) = (Tree::default(), BTreeMap::new());
            for step in steps {
                match step {
                    Step::Put(from, count, live) => {
                        for key in (from..from + count).map(key) {
                            if tree.modify(&key, |value| *value = live).is_none() {
                                tree.insert(key.clone(), live);
                            }
                            model.insert(key, live);
                        }
                    }
                    Step::Remove(from, count) => {
                        for key in (from..from + count).map(key) {
                            tree.remove(&key);
                            model.remove(&key);
                        }
                    }
                }
                check(&tree, &model);
            }
        }
    }
}
