//! A search tree over where the ranges begin, whose nodes know where the last range below them
//! ends, so that a look-up enters no subtree that ends before its key. Random priorities keep it
//! balanced (a treap): looking up takes O(log n) expected for each range that is found, changing
//! it O(log n).

use std::cmp::Ordering;

use bytes::Bytes;

use crate::backend::KeyRange;

/// Values by range. A range without keys is found by none.
#[derive(Debug)]
pub(super) struct Tree<V> {
    root: Link<V>,
    /// The state of the generator of priorities: the same calls make the same tree.
    seed: u64,
}

type Link<V> = Option<Box<Node<V>>>;

#[derive(Debug)]
struct Node<V> {
    span: Span,
    value: V,
    /// Not below those of the children.
    priority: u64,
    /// The last end of this node's subtree.
    last_end: End,
    left: Link<V>,
    right: Link<V>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Span {
    start: Bytes,
    end: End,
}

/// Where a range ends, exclusive.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    Key(Bytes),
    Never,
}

impl End {
    fn is_behind(&self, key: &[u8]) -> bool {
        match self {
            Self::Key(end) => end[..] > *key,
            Self::Never => true,
        }
    }
}

impl From<&KeyRange> for Span {
    fn from(range: &KeyRange) -> Self {
        let never = range.is_from_key();
        let end = if never { End::Never } else { End::Key(range.range_end().clone()) };
        Self { start: range.start().clone(), end }
    }
}

impl<V> Default for Tree<V> {
    fn default() -> Self {
        Self { root: None, seed: 0 }
    }
}

impl<V> Tree<V> {
    /// The value of exactly this range.
    pub(super) fn get_mut(&mut self, range: &KeyRange) -> Option<&mut V> {
        let span = Span::from(range);
        let mut link = &mut self.root;
        while let Some(node) = link {
            match span.cmp(&node.span) {
                Ordering::Less => link = &mut node.left,
                Ordering::Equal => return Some(&mut node.value),
                Ordering::Greater => link = &mut node.right,
            }
        }
        None
    }

    /// Sets the value of a range that has none.
    pub(super) fn insert(&mut self, range: &KeyRange, value: V) {
        let span = Span::from(range);
        let last_end = span.end.clone();
        let priority = self.priority();
        let node = Node { span, value, priority, last_end, left: None, right: None };
        insert(&mut self.root, Box::new(node));
    }

    pub(super) fn remove(&mut self, range: &KeyRange) -> Option<V> {
        remove(&mut self.root, &Span::from(range))
    }

    /// Shows the value of every range that holds `key`, in the order of the ranges.
    pub(super) fn holding<'a>(&'a self, key: &[u8], show: &mut impl FnMut(&'a V)) {
        holding(&self.root, key, show);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.root.is_none()
    }

    /// The generator SplitMix64.
    fn priority(&mut self) -> u64 {
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.seed ^ (self.seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

impl<V> Node<V> {
    /// To be called when something below has changed.
    fn update(&mut self) {
        let below = [&self.left, &self.right].into_iter().flatten().map(|child| &child.last_end);
        let last = below.chain([&self.span.end]).max();
        if let Some(last) = last.filter(|last| **last != self.last_end) {
            self.last_end = last.clone();
        }
    }
}

fn holding<'a, V>(link: &'a Link<V>, key: &[u8], show: &mut impl FnMut(&'a V)) {
    let Some(node) = link.as_ref().filter(|node| node.last_end.is_behind(key)) else {
        return;
    };
    holding(&node.left, key, show);
    if node.span.start[..] <= *key {
        if node.span.end.is_behind(key) {
            show(&node.value);
        }
        holding(&node.right, key, show);
    }
}

fn insert<V>(link: &mut Link<V>, mut new: Box<Node<V>>) {
    match link {
        Some(node) if node.priority >= new.priority => {
            let below = if new.span < node.span { &mut node.left } else { &mut node.right };
            insert(below, new);
            node.update();
        }
        _ => {
            (new.left, new.right) = split(link.take(), &new.span);
            new.update();
            *link = Some(new);
        }
    }
}

/// What is before `span`, and what is behind it.
fn split<V>(link: Link<V>, span: &Span) -> (Link<V>, Link<V>) {
    let Some(mut node) = link else {
        return (None, None);
    };
    if node.span < *span {
        let (before, behind) = split(node.right.take(), span);
        node.right = before;
        node.update();
        (Some(node), behind)
    } else {
        let (before, behind) = split(node.left.take(), span);
        node.left = behind;
        node.update();
        (before, Some(node))
    }
}

fn remove<V>(link: &mut Link<V>, span: &Span) -> Option<V> {
    let node = link.as_mut()?;
    let removed = match span.cmp(&node.span) {
        Ordering::Less => remove(&mut node.left, span)?,
        Ordering::Greater => remove(&mut node.right, span)?,
        Ordering::Equal => {
            let below = join(node.left.take(), node.right.take());
            return std::mem::replace(link, below).map(|node| node.value);
        }
    };
    node.update();
    Some(removed)
}

/// All of `left` is before all of `right`.
fn join<V>(left: Link<V>, right: Link<V>) -> Link<V> {
    match (left, right) {
        (Some(mut left), Some(right)) if left.priority >= right.priority => {
            left.right = join(left.right.take(), Some(right));
            left.update();
            Some(left)
        }
        (left @ Some(_), Some(mut right)) => {
            right.left = join(left, right.left.take());
            right.update();
            Some(right)
        }
        (only, None) | (None, only) => only,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn depth<V>(link: &Link<V>) -> usize {
        link.as_ref().map_or(0, |node| 1 + depth(&node.left).max(depth(&node.right)))
    }

    fn range(number: usize) -> KeyRange {
        KeyRange::span(format!("{number:05}"), format!("{number:05}x"))
    }

    #[test]
    fn tree_of_ranges_in_order_is_balanced_and_stays_so() {
        let mut ranges = Tree::default();
        for number in 0..10_000 {
            ranges.insert(&range(number), number);
        }
        assert!(depth(&ranges.root) < 50);
        for number in (0..10_000).filter(|number| number % 10 != 0) {
            ranges.remove(&range(number));
        }
        assert!(depth(&ranges.root) < 40);
    }

    #[test]
    fn look_up_enters_no_subtree_that_ends_before_the_key() {
        let mut ranges = Tree::default();
        for number in 0..10_000 {
            ranges.insert(&range(number), number);
        }
        let mut entered = 0;
        let mut link = &ranges.root;
        while let Some(node) = link.as_ref().filter(|node| node.last_end.is_behind(b"09999w")) {
            entered += 1;
            let into_left = node.left.as_ref().is_some_and(|l| l.last_end.is_behind(b"09999w"));
            assert!(!into_left);
            link = &node.right;
        }
        assert!((1..50).contains(&entered));
        let mut found = Vec::new();
        ranges.holding(b"09999w", &mut |number| found.push(*number));
        assert_eq!(found, [9999]);
    }
}
