//! What a `Db` shows, in the terms of the oracle.

use std::collections::BTreeMap;

use bytes::Bytes;
use tailetc_core::{ChangeSet, Changes, Codec, Error, Metadata, RAW, Raw, Snapshot};

use super::record::{Changed, Pair};
use super::value::{Area, BY_NUMBER, BY_SEAT, ITEMS, Item, Name, Numbered, PLACES};

pub(crate) fn pairs(snapshot: &Snapshot) -> BTreeMap<Bytes, Pair> {
    let mut pairs = BTreeMap::new();
    // All collections are registered: a scan of one that is not would fail.
    for item in snapshot.scan(ITEMS, ..).into_iter().flatten() {
        let value = item.value().ok().map(|item| item.encode());
        let name = Name::item(item.key().to_string());
        pairs.insert(name.whole(), pair(item.metadata(), value));
    }
    for item in snapshot.scan(PLACES, ..).into_iter().flatten() {
        let value = item.value().ok().map(|item| item.encode());
        let name = Name::place(item.key().to_string());
        pairs.insert(name.whole(), pair(item.metadata(), value));
    }
    for item in snapshot.scan(RAW, ..).into_iter().flatten() {
        let value = item.value().ok().map(|bytes| (*bytes).clone());
        let name = Name { area: Area::Raw, rest: item.key().to_string() };
        pairs.insert(name.whole(), pair(item.metadata(), value));
    }
    pairs
}

/// An index that is not what its collection makes it at the same revision.
pub(crate) fn wrong_index(snapshot: &Snapshot) -> Option<String> {
    let indexes = [(ITEMS, BY_NUMBER), (PLACES, BY_SEAT)];
    indexes.into_iter().find_map(|(collection, index)| {
        let of_items = snapshot.scan(collection, ..).into_iter().flatten();
        let of_items = of_items.filter_map(|item| Some((item.value().ok()?.number, item.key())));
        let mut expected: Vec<_> = of_items.collect();
        expected.sort_unstable();
        let view = snapshot.index(index).ok()?;
        let shown: Vec<_> =
            view.range(..).filter_map(|item| Some((item.index_key()?, item.key))).collect();
        (shown != expected).then(|| format!("{index:?} shows {shown:?}, not {expected:?}"))
    })
}

fn pair(meta: Metadata, value: Option<Bytes>) -> Pair {
    Pair {
        create_revision: meta.create_revision,
        mod_revision: meta.mod_revision,
        version: meta.version,
        lease: meta.lease,
        value,
    }
}

/// The changes in all collections, in key order.
pub(crate) fn changes(set: &ChangeSet) -> Vec<Changed> {
    let mut changes = Vec::new();
    changes.extend(set.of(ITEMS).into_iter().flat_map(items));
    changes.extend(set.of(PLACES).into_iter().flat_map(places));
    changes.extend(set.of(RAW).into_iter().flat_map(raws));
    changes
}

pub(crate) fn items(changes: Changes<'_, Numbered>) -> Vec<Changed> {
    numbered(changes, |key| Name::item(key).whole())
}

fn places(changes: Changes<'_, Numbered>) -> Vec<Changed> {
    numbered(changes, |key| Name::place(key).whole())
}

fn numbered(changes: Changes<'_, Numbered>, name: fn(&str) -> Bytes) -> Vec<Changed> {
    let changes = changes.map(|change| {
        let before = value(change.before(), |item: std::sync::Arc<Item>| item.encode());
        let after = value(change.after(), |item: std::sync::Arc<Item>| item.encode());
        Changed {
            key: name(&change.key().to_string()),
            before: change.metadata_before().map(|meta| pair(meta, before)),
            after: change.metadata_after().map(|meta| pair(meta, after)),
        }
    });
    changes.collect()
}

pub(crate) fn raws(changes: Changes<'_, Raw>) -> Vec<Changed> {
    let name = |key: &str| Name { area: Area::Raw, rest: key.to_owned() }.whole();
    let changes = changes.map(|change| {
        let bytes = |value: std::sync::Arc<<Raw as Codec>::Value>| (*value).clone();
        let (before, after) = (value(change.before(), bytes), value(change.after(), bytes));
        Changed {
            key: name(&change.key().to_string()),
            before: change.metadata_before().map(|meta| pair(meta, before)),
            after: change.metadata_after().map(|meta| pair(meta, after)),
        }
    });
    changes.collect()
}

/// None for what is absent and for what does not decode; the metadata tells them apart.
fn value<T>(read: Result<Option<T>, Error>, encode: impl Fn(T) -> Bytes) -> Option<Bytes> {
    read.ok().flatten().map(encode)
}
