//! Adding entries, for which full nodes are cut in two.

use std::mem;

use bytes::Bytes;
use tailetc_core::Revision;

use super::Counted;
use super::node::{CAPACITY, Child, Node, child_of, find};
use super::steps::Turn;

/// What no longer fits into a node, and belongs after it.
pub(super) struct Cut<V> {
    /// At or below every key of `right`.
    pub(super) from: Bytes,
    pub(super) right: Node<V>,
}

/// `turn` is that of the value, if it is live.
pub(super) fn insert<V: Counted>(
    node: &mut Node<V>,
    key: Bytes,
    value: V,
    turn: Option<Turn>,
    compacted: Revision,
) -> Option<Cut<V>> {
    match node {
        Node::Leaf(entries) => {
            let (Ok(index) | Err(index)) = find(entries, &key);
            let right = insert_at(entries, index, (key, value))?;
            let from = right.first().map(|(key, _)| key.clone()).unwrap_or_default();
            Some(Cut { from, right: Node::Leaf(right) })
        }
        Node::Inner(children) => {
            let index = child_of(children, &key);
            let child = &mut children[index];
            child.settle();
            child.all += 1;
            turn.into_iter().for_each(|turn| child.live.record(turn));
            let cut = insert(&mut child.node, key, value, turn, compacted)?;
            let right = share(child, cut, compacted);
            let right = insert_at(children, index + 1, right)?;
            let from = right.first().map(|child| child.from.clone()).unwrap_or_default();
            Some(Cut { from, right: Node::Inner(right) })
        }
    }
}

/// What is cut off so that there is room for `item`. At the end nothing is, so that keys which come
/// in order fill their nodes.
fn insert_at<T>(items: &mut Vec<T>, index: usize, item: T) -> Option<Vec<T>> {
    if items.len() < CAPACITY {
        items.insert(index, item);
        return None;
    }
    let at = if index == items.len() { index } else { items.len() / 2 };
    let mut right = items.split_off(at);
    items.shrink_to_fit();
    if index >= at {
        right.insert(index - at, item);
    } else {
        items.insert(index, item);
    }
    Some(right)
}

/// Makes a child of what was cut off from `left`, which still counts the entries of both. The
/// history of the half with less of it is found out anew, and taken from what both had together: a
/// key that comes and goes all the time costs the insertions beside it no walk over its versions.
fn share<V: Counted>(left: &mut Child<V>, cut: Cut<V>, compacted: Revision) -> Child<V> {
    let Cut { from, right } = cut;
    let all = right.count(compacted).all;
    left.all -= all;
    let left_is_lighter = left.node.weight() < right.weight();
    let lighter = if left_is_lighter { &left.node } else { &right };
    let mut live = lighter.steps(compacted);
    left.live.subtract(&live, compacted);
    if left_is_lighter {
        mem::swap(&mut left.live, &mut live);
    }
    Child { from, all, live, ended: Vec::new(), node: right }
}
