//! Removing entries, for which sparse nodes are joined.

use tailetc_core::Revision;

use super::Counted;
use super::node::{CAPACITY, Child, Node, child_of, find};

/// A node below this looks for a neighbour to join.
const SPARSE: usize = CAPACITY / 4;

/// Removes the entry of `key`, if there is one, which must be dead from `compacted` on. Says
/// whether there was one.
pub(super) fn remove<V: Counted>(node: &mut Node<V>, key: &[u8], compacted: Revision) -> bool {
    match node {
        Node::Leaf(entries) => {
            let found = find(entries, key);
            found.map(|index| entries.remove(index)).is_ok()
        }
        Node::Inner(children) => {
            let index = child_of(children, key);
            let child = &mut children[index];
            let removed = remove(&mut child.node, key, compacted);
            child.all -= usize::from(removed);
            tidy(children, index, compacted);
            removed
        }
    }
}

/// Drops a child without entries, and joins a sparse one with a neighbour if both fit into one with
/// room to spare.
fn tidy<V: Counted>(children: &mut Vec<Child<V>>, index: usize, compacted: Revision) {
    if children.len() == 1 || children[index].node.len() >= SPARSE {
        return;
    }
    if children[index].all == 0 {
        children.remove(index);
        return;
    }
    let left = if index + 1 < children.len() { index } else { index - 1 };
    if children[left].node.len() + children[left + 1].node.len() > CAPACITY / 2 {
        return;
    }
    children[left..=left + 1].iter_mut().for_each(Child::settle);
    let right = children.remove(left + 1);
    let left = &mut children[left];
    left.all += right.all;
    left.live.add(&right.live, compacted);
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
