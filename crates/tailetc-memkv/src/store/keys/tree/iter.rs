//! Walking over the tree.

use std::{slice, vec};

use bytes::Bytes;
use tailetc_core::Revision;

use super::Counted;
use super::end::{End, is_ended};
use super::node::{Child, Node, child_of, find};

/// Entries in order.
pub(in crate::store::keys) struct Iter<'a, V> {
    /// What is left of the nodes above, the root's first.
    inner: Vec<slice::Iter<'a, Child<V>>>,
    leaf: slice::Iter<'a, (Bytes, V)>,
    /// What ended of the leaf.
    ended: &'a [End],
    live_at: Option<Revision>,
}

impl<'a, V> Iter<'a, V> {
    pub(super) fn new(root: &'a Node<V>, start: &[u8], live_at: Option<Revision>) -> Self {
        let mut iter = Self { inner: Vec::new(), leaf: [].iter(), ended: &[], live_at };
        let mut node = root;
        loop {
            match node {
                Node::Inner(children) => {
                    let index = child_of(children, start);
                    iter.inner.push(children[index + 1..].iter());
                    let child = &children[index];
                    if iter.passes_over(child) {
                        return iter;
                    }
                    (node, iter.ended) = (&child.node, &child.ended);
                }
                Node::Leaf(entries) => {
                    let (Ok(index) | Err(index)) = find(entries, start);
                    iter.leaf = entries[index..].iter();
                    return iter;
                }
            }
        }
    }

    fn passes_over(&self, child: &Child<V>) -> bool {
        self.live_at.is_some_and(|revision| child.live.live_at(revision) == 0)
    }
}

impl<'a, V: Counted> Iterator for Iter<'a, V> {
    type Item = (&'a Bytes, &'a V);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some((key, value)) = self.leaf.next() {
                // Seldom is there anything to look at.
                if let ([_, ..], Some(revision)) = (self.ended, self.live_at)
                    && is_ended(self.ended, value, revision)
                {
                    continue;
                }
                return Some((key, value));
            }
            let Some(child) = self.inner.last_mut()?.next() else {
                self.inner.pop();
                continue;
            };
            if self.passes_over(child) {
                continue;
            }
            match &child.node {
                Node::Inner(children) => self.inner.push(children.iter()),
                Node::Leaf(entries) => (self.leaf, self.ended) = (entries.iter(), &child.ended),
            }
        }
    }
}

/// All entries in order, of which what was shown is freed.
#[derive(Debug)]
pub(in crate::store::keys) struct IntoIter<V> {
    inner: Vec<vec::IntoIter<Child<V>>>,
    leaf: vec::IntoIter<(Bytes, V)>,
}

impl<V> IntoIter<V> {
    pub(super) fn new(root: Node<V>) -> Self {
        let mut iter = Self { inner: Vec::new(), leaf: Vec::new().into_iter() };
        iter.enter(root);
        iter
    }

    fn enter(&mut self, node: Node<V>) {
        match node {
            Node::Inner(children) => self.inner.push(children.into_iter()),
            Node::Leaf(entries) => self.leaf = entries.into_iter(),
        }
    }
}

impl<V> Iterator for IntoIter<V> {
    type Item = (Bytes, V);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(entry) = self.leaf.next() {
                return Some(entry);
            }
            match self.inner.last_mut()?.next() {
                Some(child) => self.enter(child.node),
                None => drop(self.inner.pop()),
            }
        }
    }
}
