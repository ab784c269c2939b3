//! Routing against a look at everybody.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use proptest::prelude::*;

use super::exact::{self, Next};
use super::{Scope, Sink, Subscribers};
use crate::backend::{KeyRange, KeyValue};
use crate::schema::{Schema, SchemaBuilder, SlotId};
use crate::state::{Entry, EntryPtr, RawChange, State};
use crate::{ChangeKind, ChangeSet, Collection, Key, Raw, Revision};

const A: Collection<Raw> = Collection::bare("a");
const B: Collection<Raw> = Collection::bare("b");

fn schema() -> Arc<Schema> {
    let mut schema = SchemaBuilder::default();
    schema.add(A, Raw);
    schema.add(B, Raw);
    Arc::new(schema.build(b"").unwrap())
}

fn key() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop::sample::select(vec![b'a', b'b', b'c']), 1..4)
}

/// Few enough to be the same now and then.
fn range() -> impl Strategy<Value = KeyRange> {
    prop_oneof![
        key().prop_map(KeyRange::key),
        key().prop_map(KeyRange::prefix),
        key().prop_map(KeyRange::from_key),
        (key(), key()).prop_map(|(start, end)| KeyRange::span(start, end)),
        Just(KeyRange::all()),
    ]
}

fn scope() -> impl Strategy<Value = Scope> {
    // The slots of `A`, of `B`, and of what is neither.
    let slot = prop::sample::select(vec!["a", "b", "c"]);
    (slot, range()).prop_map(|(of, range)| Scope::Keys { slot: slot_of(of.as_bytes()), range })
}

fn slot_of(key: &[u8]) -> SlotId {
    schema().slot_of(key)
}

/// A transaction that creates or deletes each of these keys.
fn set(state: &mut State, keys: &[(Vec<u8>, bool)]) -> ChangeSet {
    state.revision = state.revision.next();
    let mut changes: Vec<RawChange> = Vec::new();
    for (key, creates) in keys {
        let kv = KeyValue { key: key.clone().into(), ..KeyValue::default() };
        let entry = EntryPtr::new(Entry::decode(&state.schema, &kv));
        let (before, after) = if *creates { (None, Some(entry)) } else { (Some(entry), None) };
        changes.push(RawChange { key: Key::from(key.as_slice()), before, after });
    }
    changes.sort_by(|a, b| a.key.cmp(&b.key));
    changes.dedup_by(|a, b| a.key == b.key);
    ChangeSet::new(ChangeKind::Transaction, state, changes)
}

fn received(source: &mut exact::Source, scope: &Scope) -> Vec<Revision> {
    let mut context = Context::from_waker(Waker::noop());
    let mut received = Vec::new();
    while let Poll::Ready(Next::Set(set)) = source.poll(&mut context, scope) {
        received.push(set.revision());
    }
    received
}

proptest! {
    #[test]
    fn each_subscriber_gets_once_what_touches_its_scope_and_nothing_else(
        scopes in prop::collection::vec((scope(), any::<bool>()), 0..40),
        sets in prop::collection::vec(prop::collection::vec((key(), any::<bool>()), 1..8), 1..6),
        all_at_once in any::<bool>(),
    ) {
        let mut state = State::empty(schema());
        let published = Arc::new(state.clone());
        let mut subscribers = Subscribers::default();
        let mut stay = Vec::new();
        let mut left = Vec::new();
        for (scope, stays) in scopes {
            let (sink, source) = exact::queue(100, Revision::ZERO, &published, Vec::new());
            subscribers.add(&scope, Sink::Exact(sink));
            if stays {
                stay.push((scope, source, Vec::new()));
            } else {
                left.push(scope);
            }
        }
        left.iter().for_each(|scope| subscribers.prune(scope));
        prop_assert_eq!(subscribers.is_empty(), stay.is_empty());
        for keys in &sets {
            let set = set(&mut state, keys);
            for (scope, _, expected) in &mut stay {
                if scope.is_touched_by(&set) {
                    expected.push(set.revision());
                }
            }
            subscribers.enqueue(set, || Arc::clone(&published));
            if !all_at_once {
                subscribers.send(|| Arc::clone(&published));
            }
        }
        subscribers.send(|| Arc::clone(&published));
        for (scope, source, expected) in &mut stay {
            prop_assert_eq!(&received(source, scope), expected, "{:?}", scope);
        }
        let scopes: Vec<Scope> = stay.into_iter().map(|(scope, ..)| scope).collect();
        scopes.iter().for_each(|scope| subscribers.prune(scope));
        prop_assert!(subscribers.is_empty());
    }
}
