//! Walking over the tree.

use std::slice;

use bytes::Bytes;
use tailetc_core::Revision;

use super::node::{Child, Node, child_of, find};

/// Entries in order.
pub(in crate::store::keys) struct Iter<'a, V> {
    /// What is left of the nodes above, the root's first.
    inner: Vec<slice::Iter<'a, Child<V>>>,
    leaf: slice::Iter<'a, (Bytes, V)>,
    live_at: Option<Revision>,
}

impl<'a, V> Iter<'a, V> {
    pub(super) fn new(root: &'a Node<V>, start: &[u8], live_at: Option<Revision>) -> Self {
        let mut inner = Vec::new();
        let mut node = root;
        loop {
            match node {
                Node::Inner(children) => {
                    let index = child_of(children, start);
                    inner.push(children[index + 1..].iter());
                    node = &children[index].node;
                }
                Node::Leaf(entries) => {
                    let (Ok(index) | Err(index)) = find(entries, start);
                    return Self { inner, leaf: entries[index..].iter(), live_at };
                }
            }
        }
    }
}

impl<'a, V> Iterator for Iter<'a, V> {
    type Item = (&'a Bytes, &'a V);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some((key, value)) = self.leaf.next() {
                return Some((key, value));
            }
            let Some(child) = self.inner.last_mut()?.next() else {
                self.inner.pop();
                continue;
            };
            if self.live_at.is_some_and(|revision| child.live.live_at(revision) == 0) {
                continue;
            }
            match &child.node {
                Node::Inner(children) => self.inner.push(children.iter()),
                Node::Leaf(entries) => self.leaf = entries.iter(),
            }
        }
    }
}
