//! The one place where the state changes: whole revisions in; observers told; a new state
//! published; waiters and watches told. In that order, under one lock.

use std::sync::Arc;

use crate::backend::Header;
use crate::db::Shared;
use crate::db::applier::Applier;
use crate::db::observers::{Observer, ObserverGuard, call_one, check_not_observing, is_observing};
use crate::schema::Schema;
use crate::state::{Entry, EntryPtr, RawChange, State};
use crate::watch::{Scope, Sink};
use crate::{ChangeKind, ChangeSet, DecodePolicy, Error, Key, Revision};

/// Keeps the state from moving while its difference to the store is being loaded.
#[derive(Debug)]
pub(crate) struct Resync<'s> {
    shared: &'s Shared,
    base: Arc<State>,
}

impl Resync<'_> {
    /// The state that the difference must be made to.
    pub(crate) fn base(&self) -> &State {
        &self.base
    }
}

impl Drop for Resync<'_> {
    fn drop(&mut self) {
        self.shared.lock_applier().resyncing = false;
    }
}

/// One event of the store, decoded.
#[derive(Debug)]
pub(crate) struct AppliedEvent {
    pub(crate) revision: Revision,
    pub(crate) key: Key,
    /// The new entry, or none for a deletion.
    pub(crate) after: Option<EntryPtr>,
}

/// A value that does not decode, in a collection whose policy is to go no further.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) key: Key,
    pub(crate) revision: Revision,
    pub(crate) error: Error,
}

impl Refusal {
    /// Why an entry must not be applied, if it must not.
    pub(crate) fn of(schema: &Schema, key: &Key, entry: &Entry) -> Option<Self> {
        if !entry.is_quarantined() || schema.policy(entry.slot) != DecodePolicy::Fail {
            return None;
        }
        let error = entry.check_decoded(key.as_bytes()).err()?;
        Some(Self { key: key.clone(), revision: entry.meta.mod_revision, error })
    }
}

/// The difference between a state and a freshly loaded one.
#[derive(Debug)]
pub(crate) struct Difference {
    pub(crate) cluster_id: u64,
    pub(crate) raft_term: u64,
    pub(crate) revision: Revision,
    /// Whether the loaded data is of another history than the state's: another cluster, or the
    /// same one restored from a backup.
    pub(crate) new_epoch: bool,
    /// In key order.
    pub(crate) changes: Vec<(Key, Option<EntryPtr>)>,
}

impl Shared {
    /// Applies events in the order of their revisions and publishes the last. Events at or below
    /// the state's revision are known already and are dropped.
    pub(crate) fn apply_events(&self, raft_term: u64, events: Vec<AppliedEvent>) {
        let mut applier = self.lock_applier();
        let mut next = State::clone(&self.state());
        next.raft_term = next.raft_term.max(raft_term);
        let before = next.revision;
        let mut events = events.into_iter().peekable();
        while let Some(first) = events.next() {
            if first.revision <= next.revision {
                continue;
            }
            let mut transaction = vec![first];
            while let Some(event) =
                events.next_if(|event| event.revision == transaction[0].revision)
            {
                transaction.push(event);
            }
            self.step(&mut applier, &mut next, transaction);
        }
        if next.revision > before {
            self.publish(&mut applier, Arc::new(next));
            self.after_publication(&mut applier);
        }
    }

    /// Applies a transaction of one's own from the answer to its commit, if nothing can have
    /// happened between the state and it. Returns whether it did.
    pub(crate) fn apply_answer(
        &self,
        epoch: u64,
        header: Header,
        changes: impl FnOnce(&State) -> Vec<(Key, Option<EntryPtr>)>,
    ) -> bool {
        let revision = header.revision;
        let mut applier = self.lock_applier();
        let current = self.state();
        // The state shows everything up to its revision, and this is the very next one: it is known
        // in full without waiting for its event. Not so beside a load, which may already have found
        // what came after.
        if applier.resyncing || current.epoch != epoch || current.revision.next() != revision {
            return false;
        }
        let mut next = State::clone(&current);
        next.raft_term = next.raft_term.max(header.raft_term);
        let changes = changes(&current);
        let events =
            changes.into_iter().map(|(key, after)| AppliedEvent { revision, key, after }).collect();
        self.step(&mut applier, &mut next, events);
        self.publish(&mut applier, Arc::new(next));
        self.after_publication(&mut applier);
        self.counters.applied_from_answer(1);
        true
    }

    /// Moves the revision on: nothing below the prefix changed up to it.
    pub(crate) fn apply_progress(&self, header: Header) {
        let revision = header.revision;
        let mut applier = self.lock_applier();
        let current = self.state();
        // On an idle prefix there is no other occasion.
        self.history().let_go();
        if revision <= current.revision {
            return;
        }
        let raft_term = current.raft_term.max(header.raft_term);
        let next = State { revision, raft_term, ..State::clone(&current) };
        self.publish(&mut applier, Arc::new(next));
        self.after_publication(&mut applier);
    }

    /// Begins a load: until the guard is dropped, nothing but its difference is applied. (The tail,
    /// which applies everything else, is the one that loads.)
    pub(crate) fn begin_resync(&self) -> Resync<'_> {
        let mut applier = self.lock_applier();
        applier.resyncing = true;
        Resync { shared: self, base: self.state() }
    }

    /// Applies the outcome of a load as one change set.
    pub(crate) fn apply_difference(&self, resync: &Resync<'_>, difference: Difference) {
        // Nothing else changes the state meanwhile, and this may take long: without the lock.
        let (next, changes) = self.resynced(&resync.base, difference);
        let mut applier = self.lock_applier();
        self.history().forget();
        self.counters.changes(changes.len() as u64);
        if !changes.is_empty() {
            let mut set = ChangeSet::new(ChangeKind::Resync, &next, changes);
            if applier.subscribers.want_rows() {
                set = set.with_rows_since(&resync.base, &next);
            }
            self.deliver(&mut applier, set);
        }
        let next = Arc::new(next);
        self.history().remember(&next);
        // Counted once it is so, and before anybody is told of it.
        self.show(&mut applier, Arc::clone(&next));
        self.counters.resyncs(1);
        self.announce(&mut applier, &next);
        self.after_publication(&mut applier);
    }

    /// The state that a difference leads to, and what changes on the way.
    fn resynced(&self, base: &State, difference: Difference) -> (State, Vec<RawChange>) {
        let mut next = State::clone(base);
        next.cluster_id = difference.cluster_id;
        next.raft_term = difference.raft_term;
        next.revision = difference.revision;
        next.epoch += u64::from(difference.new_epoch);
        // Making indexes anew is quicker than changing them in most places.
        let anew = difference.changes.len() > base.map.len() / 2;
        let mut changes = Vec::with_capacity(difference.changes.len());
        for (key, after) in difference.changes {
            let after = after.map(|entry| {
                self.note_undecodable(&key, &entry);
                // What a key was in another history says nothing about what it is in this one.
                if difference.new_epoch { entry } else { next.showing(&key, entry) }
            });
            let before = match anew {
                true => next.set_entry(&key, after.clone()),
                false => next.set(&key, after.clone(), None),
            };
            changes.push(RawChange { key, before, after });
        }
        if anew {
            next.rebuild_indexes();
        }
        (next, changes)
    }

    /// Registers an observer, after it has seen the present state.
    pub(crate) fn observe(
        self: &Arc<Self>,
        mut observer: Observer,
    ) -> Result<ObserverGuard, Error> {
        check_not_observing(self, "observe")?;
        let mut applier = self.lock_applier();
        let state = self.state();
        let all = super::catch_up::prefix_range(&state);
        if !call_one(Some(self), &mut observer, &ChangeSet::initial(&state, &all)) {
            self.counters.observer_panics(1);
        }
        let id = applier.observers.add(observer);
        // The observer may have closed the `Db`.
        self.after_publication(&mut applier);
        Ok(ObserverGuard::new(self, id))
    }

    pub(crate) fn remove_observer(&self, id: u64) {
        self.lock_applier().depart([id]);
    }

    /// For a guard that is dropped within an observer: the lock is held, and the list in use.
    pub(crate) fn remove_observer_later(&self, id: u64) {
        self.leaving.add(id);
    }

    /// Registers a watch. `begin` makes its two ends for the state that its changes follow on.
    pub(crate) fn subscribe<W>(
        &self,
        scope: &Scope,
        begin: impl FnOnce(&Arc<State>) -> Result<(Sink, W), Error>,
    ) -> Result<W, Error> {
        check_not_observing(self, "watch")?;
        let mut applier = self.lock_applier();
        self.check_open()?;
        self.prune_watches(&mut applier);
        let (sink, watch) = begin(&self.state())?;
        applier.subscribers.add(scope, sink);
        Ok(watch)
    }

    /// The kept state that shows `revision`, and each after it: for a watch that begins there, while
    /// it is being registered.
    pub(crate) fn states_since(
        &self,
        revision: Revision,
    ) -> Result<(Arc<State>, Vec<Arc<State>>), Error> {
        self.history().since(revision, &self.state())
    }

    /// For a watch that is dropped, maybe by a thread that holds the lock.
    pub(crate) fn watch_left(&self, scope: Scope) {
        self.left_watches.add(scope);
    }

    fn prune_watches(&self, applier: &mut Applier) {
        for scope in self.left_watches.take() {
            applier.subscribers.prune(&scope);
        }
    }

    /// Ends all watches after a close.
    pub(crate) fn end_watches(&self) {
        // Within an observer the lock is held by this thread; then the end of the apply does it.
        if !is_observing(self) {
            self.lock_applier().subscribers.clear();
        }
    }

    /// One revision: into the map, then to whoever listens.
    fn step(&self, applier: &mut Applier, next: &mut State, events: Vec<AppliedEvent>) {
        let Some(first) = events.first() else { return };
        next.revision = first.revision;
        self.counters.revisions(1);
        self.counters.changes(events.len() as u64);
        self.look_for_unguarded(next, &events);
        let listened = !applier.observers.is_empty() || !applier.subscribers.is_empty();
        let mut changes = Vec::with_capacity(if listened { events.len() } else { 0 });
        let mut rows = applier.subscribers.want_rows().then(Vec::new);
        for AppliedEvent { key, after, .. } in events {
            let after = after.map(|entry| {
                self.note_undecodable(&key, &entry);
                next.showing(&key, entry)
            });
            if !listened {
                next.set(&key, after, None);
                continue;
            }
            let before = next.set(&key, after.clone(), rows.as_mut());
            changes.push(RawChange { key, before, after });
        }
        if listened {
            let changes = in_key_order(changes);
            if !changes.is_empty() {
                let set = ChangeSet::new(ChangeKind::Transaction, next, changes);
                self.deliver(applier, set.with_rows(in_key_order(rows.unwrap_or_default())));
            }
        }
        if self.options.history > 0 {
            self.history().remember(&Arc::new(next.clone()));
        }
    }

    /// Notes what was written to a guarded collection without its guard key.
    fn look_for_unguarded(&self, before: &State, events: &[AppliedEvent]) {
        let schema = &before.schema;
        for (slot, guard) in schema.guards() {
            let mut keys = events.iter().map(|event| &event.key);
            let changed = keys.clone().any(|key| schema.slot_of(key.as_bytes()) == slot);
            if changed && !keys.any(|key| key == guard) {
                self.counters.unguarded_writes(1);
                tracing::warn!(revision = %before.revision, %guard, "a write without its guard key");
            }
        }
    }

    fn note_undecodable(&self, key: &Key, entry: &EntryPtr) {
        if entry.is_quarantined() {
            self.counters.undecodable(1);
            tracing::warn!(%key, revision = %entry.meta.mod_revision, "a value does not decode");
        }
    }

    fn deliver(&self, applier: &mut Applier, set: ChangeSet) {
        applier.depart(self.leaving.take());
        self.prune_watches(applier);
        self.counters.observer_panics(applier.observers.call(self, &set));
        applier.subscribers.enqueue(set, || self.state());
    }

    fn after_publication(&self, applier: &mut Applier) {
        applier.subscribers.send(|| self.state());
        if self.check_open().is_err() {
            applier.subscribers.clear();
        }
    }
}

/// Changes of one transaction, sorted by key, those of one key merged: a transaction can delete a
/// key and put it again.
fn in_key_order(mut changes: Vec<RawChange>) -> Vec<RawChange> {
    // The store sends them in the order of execution; the sort is stable.
    changes.sort_by(|a, b| a.key.cmp(&b.key));
    changes.dedup_by(|later, earlier| {
        let same = later.key == earlier.key;
        if same {
            earlier.after = later.after.take();
        }
        same
    });
    changes.retain(|change| change.before.is_some() || change.after.is_some());
    changes
}
