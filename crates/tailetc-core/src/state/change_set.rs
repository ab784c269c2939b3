//! What changed, as one indivisible unit.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use crate::backend::KeyRange;
use crate::schema::{Schema, SlotId};
use crate::state::{EntryPtr, KeyMap, Metadata, State, Token};
use crate::{ClonePolicy, Codec, Collection, Error, Key, KeyRef, Raw, Revision, Shared};

/// Why a [`ChangeSet`] exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChangeKind {
    /// The state as it was when the consumer began (or began again after it lagged): every key is
    /// an addition to nothing.
    Initial,
    /// One etcd transaction.
    Transaction,
    /// Several transactions whose boundaries this consumer does not see, because it asked for
    /// coalesced changes, or for the difference of two snapshots.
    Coalesced,
    /// The difference that was found when the copy had to be loaded again, because the store had
    /// compacted or lost the history between. Unchanged keys are not in it.
    Resync,
}

impl ChangeKind {
    /// Of the difference between two states, of which no transaction is known.
    pub(crate) fn between(before: &State, after: &State) -> Self {
        if before.epoch == after.epoch { Self::Coalesced } else { Self::Resync }
    }
}

/// All changes between two revisions that a consumer sees as one step: nearly always one etcd
/// transaction. Keys are in order, and each is there once.
#[derive(Clone)]
pub struct ChangeSet {
    kind: ChangeKind,
    /// Of the state after the changes. Not the state itself, which would keep its data alive.
    token: Token,
    schema: Arc<Schema>,
    changes: Vec<RawChange>,
    /// What changed in the indexes, in the order of rows; left out if nobody watches any.
    rows: Vec<RawChange>,
}

#[derive(Clone)]
pub(crate) struct RawChange {
    pub(crate) key: Key,
    pub(crate) before: Option<EntryPtr>,
    pub(crate) after: Option<EntryPtr>,
}

impl ChangeSet {
    /// `changes` must be in key order without duplicates.
    pub(crate) fn new(kind: ChangeKind, after: &State, changes: Vec<RawChange>) -> Self {
        let (token, schema) = (after.token(), Arc::clone(&after.schema));
        Self { kind, token, schema, changes, rows: Vec::new() }
    }

    /// `rows` must be in order without duplicates.
    pub(crate) fn with_rows(self, rows: Vec<RawChange>) -> Self {
        Self { rows, ..self }
    }

    /// The same with what changed in the indexes.
    pub(crate) fn with_rows_since(self, before: &State, after: &State) -> Self {
        self.with_rows(differences(&before.rows, &after.rows, &KeyRange::all()))
    }

    /// The whole of a range as additions.
    pub(crate) fn initial(state: &State, range: &KeyRange) -> Self {
        Self::new(ChangeKind::Initial, state, additions(&state.map, range))
    }

    /// The rows of a range as additions.
    pub(crate) fn initial_rows(state: &State, range: &KeyRange) -> Self {
        let rows = additions(&state.rows, range);
        Self::new(ChangeKind::Initial, state, Vec::new()).with_rows(rows)
    }

    /// The difference between two states within a range.
    pub(crate) fn diff(kind: ChangeKind, before: &State, after: &State, range: &KeyRange) -> Self {
        Self::new(kind, after, differences(&before.map, &after.map, range))
    }

    /// The same of rows.
    pub(crate) fn diff_rows(
        kind: ChangeKind,
        before: &State,
        after: &State,
        range: &KeyRange,
    ) -> Self {
        let rows = differences(&before.rows, &after.rows, range);
        Self::new(kind, after, Vec::new()).with_rows(rows)
    }

    /// The difference between two states, of which no transaction is known.
    pub(crate) fn between(before: &State, after: &State, range: &KeyRange) -> Self {
        Self::diff(ChangeKind::between(before, after), before, after, range)
    }

    /// Why this set exists.
    pub fn kind(&self) -> ChangeKind {
        self.kind
    }

    /// The revision of the state after the changes: for a transaction, its own.
    pub fn revision(&self) -> Revision {
        self.token.revision()
    }

    /// The place in history after the changes, for another process.
    pub fn token(&self) -> Token {
        self.token
    }

    /// The number of keys that changed.
    pub fn len(&self) -> usize {
        self.changes.len()
    }

    /// Whether nothing changed: an initial state without keys.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// The whole keys that changed, in order.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = &Key> {
        self.changes.iter().map(|change| &change.key)
    }

    /// The changes in one collection, in key order.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownCollection`] and [`Error::TypeMismatch`].
    pub fn of<C: Codec, P: ClonePolicy<C::Value>>(
        &self,
        collection: Collection<C, P>,
    ) -> Result<Changes<'_, C, P>, Error> {
        let slot = self.schema.resolve(collection)?;
        let prefix = self.schema.slot_prefix(slot).as_bytes();
        Ok(self.within(slot, &KeyRange::prefix(prefix.to_vec())))
    }

    /// The whole keys that changed, with the collections that they belong to.
    pub(crate) fn touched(&self) -> impl Iterator<Item = (SlotId, &Key)> {
        self.changes.iter().filter_map(|change| {
            let entry = change.after.as_ref().or(change.before.as_ref())?;
            Some((entry.slot, &change.key))
        })
    }

    /// What changed in the indexes, if it is known.
    pub(crate) fn rows(&self) -> &[RawChange] {
        &self.rows
    }

    /// What changed in a range of rows.
    pub(crate) fn rows_within(&self, range: &KeyRange) -> &[RawChange] {
        within(&self.rows, range)
    }

    /// Whether anything within a range of a collection changed.
    pub(crate) fn touches(&self, slot: SlotId, range: &KeyRange) -> bool {
        self.within::<Raw, Shared>(slot, range).next().is_some()
    }

    /// Some of its changes, as those of a collection.
    pub(crate) fn picked<'c, C, P>(
        &'c self,
        slot: SlotId,
        changes: &'c [RawChange],
    ) -> Changes<'c, C, P> {
        Changes { set: self, slot, changes: changes.iter(), marker: PhantomData }
    }

    pub(crate) fn within<C, P>(&self, slot: SlotId, range: &KeyRange) -> Changes<'_, C, P> {
        self.picked(slot, within(&self.changes, range))
    }
}

fn within<'c>(changes: &'c [RawChange], range: &KeyRange) -> &'c [RawChange] {
    let from = changes.partition_point(|change| change.key.as_bytes() < range.start());
    let rest = &changes[from..];
    &rest[..rest.partition_point(|change| range.contains(change.key.as_bytes()))]
}

fn additions(map: &KeyMap, range: &KeyRange) -> Vec<RawChange> {
    let added = map.range(range).map(|(key, entry)| RawChange {
        key: key.clone(),
        before: None,
        after: Some(entry.clone()),
    });
    added.collect()
}

fn differences(before: &KeyMap, after: &KeyMap, range: &KeyRange) -> Vec<RawChange> {
    let changes = before.diff(after).filter(|(key, ..)| range.contains(key.as_bytes()));
    let changes = changes.map(|(key, before, after)| RawChange {
        key: key.clone(),
        before: before.cloned(),
        after: after.cloned(),
    });
    changes.collect()
}

impl fmt::Debug for ChangeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChangeSet")
            .field("kind", &self.kind)
            .field("revision", &self.token.revision())
            .field("keys", &self.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

/// The changes of a [`ChangeSet`] in one collection, in key order.
pub struct Changes<'c, C, P = Shared> {
    set: &'c ChangeSet,
    slot: SlotId,
    changes: std::slice::Iter<'c, RawChange>,
    marker: PhantomData<fn() -> (C, P)>,
}

impl<'c, C, P> Iterator for Changes<'c, C, P> {
    type Item = Change<'c, C, P>;

    fn next(&mut self) -> Option<Self::Item> {
        let slot = self.slot;
        let of_slot = |entry: &Option<EntryPtr>| entry.as_ref().is_some_and(|e| e.slot == slot);
        let raw = self.changes.find(|raw| of_slot(&raw.before) || of_slot(&raw.after))?;
        let key = self.set.schema.relative(slot, raw.key.as_bytes());
        Some(Change { key, raw, marker: PhantomData })
    }
}

impl<C, P> fmt::Debug for Changes<'_, C, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.changes.clone().map(|raw| &raw.key)).finish()
    }
}

/// One key of a [`ChangeSet`], with its values before and after the whole set.
pub struct Change<'c, C, P = Shared> {
    key: KeyRef<'c>,
    raw: &'c RawChange,
    marker: PhantomData<fn() -> (C, P)>,
}

impl<'c, C, P> Change<'c, C, P> {
    pub(crate) fn raw(&self) -> &'c RawChange {
        self.raw
    }

    /// The key, relative to the collection.
    pub fn key(&self) -> KeyRef<'c> {
        self.key
    }

    /// The revisions, version and lease before, if the key existed.
    pub fn metadata_before(&self) -> Option<Metadata> {
        self.raw.before.as_ref().map(|entry| entry.meta)
    }

    /// The revisions, version and lease after, if the key exists.
    pub fn metadata_after(&self) -> Option<Metadata> {
        self.raw.after.as_ref().map(|entry| entry.meta)
    }

    /// The revision of the value that [`after`](Self::after) gives in the place of the store's,
    /// which does not decode: [`DecodePolicy::KeepPrevious`](crate::DecodePolicy::KeepPrevious).
    pub fn kept_from(&self) -> Option<Revision> {
        self.raw.after.as_ref().and_then(|entry| entry.kept_from())
    }

    /// Whether the key did not exist before.
    pub fn is_create(&self) -> bool {
        self.raw.before.is_none() && self.raw.after.is_some()
    }

    /// Whether the key does not exist any more.
    pub fn is_delete(&self) -> bool {
        self.raw.after.is_none()
    }
}

impl<C: Codec, P: ClonePolicy<C::Value>> Change<'_, C, P> {
    /// The value before, if the key existed.
    ///
    /// # Errors
    ///
    /// [`Error::Undecodable`] if it did not decode.
    pub fn before(&self) -> Result<Option<P::Out>, Error> {
        self.out(&self.raw.before)
    }

    /// The value after, if the key exists.
    ///
    /// # Errors
    ///
    /// [`Error::Undecodable`] if it does not decode.
    pub fn after(&self) -> Result<Option<P::Out>, Error> {
        self.out(&self.raw.after)
    }

    fn out(&self, entry: &Option<EntryPtr>) -> Result<Option<P::Out>, Error> {
        let Some(entry) = entry else { return Ok(None) };
        Ok(Some(P::out(&entry.typed_arc::<C>(self.raw.key.as_bytes())?)))
    }
}

impl<C, P> fmt::Debug for Change<'_, C, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Change")
            .field("key", &self.key)
            .field("is_create", &self.is_create())
            .field("is_delete", &self.is_delete())
            .finish()
    }
}
