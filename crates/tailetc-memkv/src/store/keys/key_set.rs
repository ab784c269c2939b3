//! A set of keys that counts.

use bytes::Bytes;
use tailetc_core::Revision;

use super::NOW;
use super::tree::{IntoIter, Tree};

/// Keys in order. How many there are before one takes time logarithmic in how many there are.
#[derive(Debug, Default)]
pub(crate) struct KeySet(pub(super) Tree<()>);

impl KeySet {
    pub(crate) fn len(&self) -> usize {
        self.0.count(NOW).all
    }

    pub(crate) fn insert(&mut self, key: &Bytes) {
        if self.0.get(key).is_none() {
            self.0.insert(key.clone(), Revision::ZERO, ());
        }
    }

    pub(crate) fn remove(&mut self, key: &[u8]) {
        self.0.compact(key, Revision::ZERO, |()| true);
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Bytes> {
        self.0.from(b"", None).map(|(key, ())| key)
    }

    pub(crate) fn into_keys(self) -> IntoKeys {
        IntoKeys(self.0.into_entries())
    }
}

/// The keys of a set in order, of which what was shown is freed.
#[derive(Debug)]
pub(crate) struct IntoKeys(IntoIter<()>);

impl Iterator for IntoKeys {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        self.0.next().map(|(key, ())| key)
    }
}
