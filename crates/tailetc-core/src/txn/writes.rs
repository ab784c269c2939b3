//! What a transaction is going to write.

use std::collections::BTreeMap;
use std::collections::btree_map;
use std::iter::Peekable;
use std::ops::Bound;

use bytes::Bytes;

use crate::backend::KeyRange;
use crate::schema::{AnyValue, SlotId};
use crate::state::EntryPtr;
use crate::{Key, LeaseId};

/// The pending writes, in key order: the last one of each key.
#[derive(Debug, Default)]
pub(super) struct WriteSet(BTreeMap<Key, Pending>);

#[derive(Debug)]
pub(super) enum Pending {
    Put(Put),
    Delete,
}

#[derive(Debug)]
pub(super) struct Put {
    pub(super) slot: SlotId,
    pub(super) bytes: Bytes,
    pub(super) value: AnyValue,
    pub(super) lease: LeaseId,
}

impl Pending {
    pub(super) fn value(&self) -> Option<&AnyValue> {
        match self {
            Self::Put(put) => Some(&put.value),
            Self::Delete => None,
        }
    }
}

impl WriteSet {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn get(&self, key: &Key) -> Option<&Pending> {
        self.0.get(key)
    }

    pub(super) fn insert(&mut self, key: Key, pending: Pending) {
        self.0.insert(key, pending);
    }

    pub(super) fn keys(&self) -> btree_map::Keys<'_, Key, Pending> {
        self.0.keys()
    }

    pub(super) fn iter(&self) -> btree_map::Iter<'_, Key, Pending> {
        self.0.iter()
    }

    pub(super) fn range<'w>(
        &'w self,
        range: &'w KeyRange,
    ) -> impl Iterator<Item = (&'w Key, &'w Pending)> {
        let from = (Bound::Included(range.start().as_ref()), Bound::Unbounded);
        self.0.range::<[u8], _>(from).take_while(|(key, _)| range.contains(key.as_bytes()))
    }
}

/// A key of a range as a transaction sees it.
pub(super) enum Overlaid<'t> {
    Stored(&'t EntryPtr),
    Put(&'t Put),
}

/// Lays pending writes over stored entries. Both must be in key order.
pub(super) fn overlay<'t>(
    stored: impl Iterator<Item = (&'t Key, &'t EntryPtr)>,
    pending: impl Iterator<Item = (&'t Key, &'t Pending)>,
) -> impl Iterator<Item = (&'t Key, Overlaid<'t>)> {
    let mut stored: Peekable<_> = stored.peekable();
    let mut pending: Peekable<_> = pending.peekable();
    std::iter::from_fn(move || {
        loop {
            let Some((written, _)) = pending.peek() else {
                return stored.next().map(|(key, entry)| (key, Overlaid::Stored(entry)));
            };
            if let Some((key, entry)) = stored.next_if(|(key, _)| key < written) {
                return Some((key, Overlaid::Stored(entry)));
            }
            stored.next_if(|(key, _)| key == written);
            if let Some((key, Pending::Put(put))) = pending.next() {
                return Some((key, Overlaid::Put(put)));
            }
        }
    })
}
