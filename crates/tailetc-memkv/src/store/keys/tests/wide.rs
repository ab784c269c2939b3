//! Deletions of many keys at once, which the keys do not know of at first.

use std::collections::{BTreeMap, VecDeque};

use super::super::*;
use proptest::prelude::*;

/// What one revision does. Keys are numbers, given as from where and how many.
#[derive(Clone, Debug)]
enum Step {
    /// Every key is attached to the lease with that number, plus its own modulo 3 if it is scattered.
    Put {
        keys: (u16, u16),
        lease: i64,
        scattered: bool,
    },
    Delete {
        keys: (u16, u16),
    },
    Revoke {
        lease: i64,
        exact: bool,
    },
    /// Writes down so many keys of what is deleted.
    Show {
        most: usize,
    },
    /// Shows all, and forgets everything below so many revisions ago.
    Compact {
        kept: i64,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let keys = || prop_oneof![(0_u16..300, 1_u16..6), (0_u16..300, 1_u16..150)];
    let step = prop_oneof![
        6 => (keys(), 1_i64..4, any::<bool>())
            .prop_map(|(keys, lease, scattered)| Step::Put { keys, lease, scattered }),
        4 => keys().prop_map(|keys| Step::Delete { keys }),
        2 => (1_i64..7, any::<bool>()).prop_map(|(lease, exact)| Step::Revoke { lease, exact }),
        2 => (1_usize..20).prop_map(|most| Step::Show { most }),
        1 => (0_i64..6).prop_map(|kept| Step::Compact { kept }),
    ];
    prop::collection::vec(step, 1..40)
}

fn name(number: u16) -> Bytes {
    format!("{number:03}").into()
}

fn range((from, count): (u16, u16)) -> KeyRange {
    KeyRange::span(name(from), name(from + count))
}

type State = BTreeMap<Bytes, KeyValue>;

/// What was deleted at a revision and is to be shown.
struct Pending {
    revision: Revision,
    range: Option<KeyRange>,
    expected: VecDeque<(Bytes, KeyValue)>,
    cursor: Bytes,
    sub: u32,
}

#[derive(Default)]
struct Pair {
    keys: Keys,
    /// By revision.
    states: Vec<State>,
    pending: VecDeque<Pending>,
    changed: Vec<(i64, Bytes)>,
    compacted: i64,
}

impl Pair {
    fn revision(&self) -> Revision {
        Revision::new(self.states.len() as i64)
    }

    fn step(&mut self, step: Step) {
        let revision = self.revision();
        let mut state = self.states.last().cloned().unwrap_or_default();
        match step {
            Step::Put { keys: (from, count), lease, scattered } => {
                for number in from..from + count {
                    let lease = lease + if scattered { i64::from(number % 3) } else { 0 };
                    self.put(&mut state, name(number), LeaseId::new(lease));
                }
            }
            Step::Delete { keys } => {
                let range = range(keys);
                let deleted = extract(&mut state, |kv| range.contains(&kv.key));
                assert_eq!(self.keys.delete(&range, revision, 7), deleted.len() as u32);
                self.pend(Some(range), deleted);
            }
            Step::Revoke { lease, exact } => {
                let lease = LeaseId::new(lease);
                let exact = exact && self.pending.is_empty();
                let stale = if exact { Vec::new() } else { self.ever(lease) };
                let deleted = extract(&mut state, |kv| kv.lease == lease);
                let mut members = KeySet::default();
                deleted.iter().map(|kv| &kv.key).chain(&stale).for_each(|key| members.insert(key));
                let count = self.keys.delete_attached(lease, (&members, exact), revision, 7);
                assert_eq!(count, deleted.len() as u32);
                self.pend(None, deleted);
            }
            Step::Show { most } => return self.show(most),
            Step::Compact { kept } => return self.compact(kept),
        }
        self.states.push(state);
    }

    /// The keys that were ever attached to a lease, deleted or not.
    fn ever(&self, lease: LeaseId) -> Vec<Bytes> {
        let pairs = self.states.iter().flat_map(BTreeMap::values);
        pairs.filter(|kv| kv.lease == lease).map(|kv| kv.key.clone()).collect()
    }

    fn put(&mut self, state: &mut State, key: Bytes, lease: LeaseId) {
        let revision = self.revision();
        let before = state.get(&key);
        let kv = KeyValue {
            key: key.clone(),
            create_revision: before.map_or(revision, |kv| kv.create_revision),
            mod_revision: revision,
            version: before.map_or(0, |kv| kv.version) + 1,
            lease,
            ..KeyValue::default()
        };
        assert_eq!(self.keys.get(&key), before);
        self.keys.push(Arc::new(Change { kv: kv.clone(), sub: 0 }));
        self.changed.push((revision.get(), key.clone()));
        state.insert(key, kv);
    }

    fn pend(&mut self, range: Option<KeyRange>, deleted: Vec<KeyValue>) {
        let revision = self.revision();
        let changed = deleted.iter().map(|kv| (revision.get(), kv.key.clone()));
        self.changed.extend(changed);
        let cursor = range.as_ref().map(|range| range.start().clone()).unwrap_or_default();
        let expected = deleted.into_iter().map(|kv| (kv.key.clone(), kv)).collect();
        self.pending.push_back(Pending { revision, range, expected, cursor, sub: 7 });
    }

    fn show(&mut self, mut most: usize) {
        while most > 0
            && let Some(pending) = self.pending.front_mut()
        {
            let Pending { revision, expected, cursor, sub, .. } = pending;
            let subs = 7..*sub + expected.len() as u32;
            let first = expected.front().map(|(key, _)| key.clone());
            let mut check = |change: &Change, before: Option<&KeyValue>| {
                let (key, kv) = expected.pop_front().expect("one that was deleted");
                assert!(change.is_deletion());
                assert_eq!(
                    (&change.kv.key, change.revision(), change.sub),
                    (&key, *revision, *sub)
                );
                assert!(before.is_none_or(|before| *before == kv));
                *sub += 1;
            };
            match &pending.range {
                Some(range) => {
                    let about = (*revision, &subs);
                    let next =
                        self.keys.show_deleted(range, about, cursor, most, |change, before| {
                            check(change, Some(before));
                        });
                    most = 0;
                    let is_last = next.is_none();
                    *cursor = next.unwrap_or_default();
                    if is_last {
                        assert!(pending.expected.is_empty());
                    }
                }
                None => {
                    most -= 1;
                    if let Some(key) = first {
                        let change = self.keys.deleted(&key, *revision, &subs).cloned();
                        check(&change.expect("it was deleted"), None);
                    }
                }
            }
            if pending.expected.is_empty() {
                self.pending.pop_front();
            }
        }
    }

    fn compact(&mut self, kept: i64) {
        while !self.pending.is_empty() {
            self.show(1000);
        }
        let revision = self.compacted.max(self.revision().get() - 1 - kept);
        for (_, key) in self.changed.iter().filter(|(changed, _)| *changed <= revision) {
            while !self.keys.compact(key, Revision::new(revision), 1, &mut |_| ()) {}
        }
        self.compacted = revision;
    }

    fn check(&self) {
        let ranges = [KeyRange::all(), range((20, 100)), range((150, 7)), KeyRange::from_key("25")];
        let states = self.states.iter().enumerate().skip(self.compacted.max(0) as usize);
        for (revision, state) in states {
            let revision = Revision::new(revision as i64);
            for range in &ranges {
                let expected: Vec<&KeyValue> =
                    state.values().filter(|kv| range.contains(&kv.key)).collect();
                let found: Vec<&KeyValue> = self.keys.range_at(range, revision).collect();
                assert_eq!(found, expected, "{range:?} at {revision}");
                assert_eq!(self.keys.count_at(range, revision), expected.len());
                let all = KeyRange::all();
                assert_eq!(self.keys.count_of_both([range, &all], revision), expected.len());
            }
            for key in (0..450).step_by(13).map(name) {
                assert_eq!(self.keys.get_at(&key, revision), state.get(&key));
                let single = KeyRange::key(key.clone());
                let count = usize::from(state.contains_key(&key));
                assert_eq!(self.keys.count_at(&single, revision), count);
            }
        }
    }
}

fn extract(state: &mut State, is_it: impl Fn(&KeyValue) -> bool) -> Vec<KeyValue> {
    let found: Vec<KeyValue> = state.values().filter(|kv| is_it(kv)).cloned().collect();
    state.retain(|_, kv| !is_it(kv));
    found
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn every_revision_is_what_it_was_though_the_keys_know_it_later(steps in steps()) {
        let mut pair = Pair { states: vec![State::new()], ..Pair::default() };
        for step in steps {
            pair.step(step);
            pair.check();
        }
        pair.compact(0);
        pair.check();
    }
}
