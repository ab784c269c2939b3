mod wide;

use std::collections::BTreeMap;

use super::*;
use proptest::prelude::*;

fn put(keys: &mut Keys, key: &str, revision: i64) {
    let mod_revision = Revision::new(revision);
    let before = keys.get(key.as_bytes());
    let create_revision = before.map_or(mod_revision, |kv| kv.create_revision);
    let version = before.map_or(0, |kv| kv.version) + 1;
    let key = key.to_owned().into();
    let kv = KeyValue { key, create_revision, mod_revision, version, ..KeyValue::default() };
    keys.push(Arc::new(Change { kv, sub: 0 }));
}

fn delete(keys: &mut Keys, key: &str, revision: i64) {
    keys.push(Arc::new(Change::deletion(key.to_owned().into(), Revision::new(revision), 0)));
}

fn found<'a>(keys: impl Iterator<Item = &'a KeyValue>) -> Vec<(&'a [u8], i64)> {
    keys.map(|kv| (&kv.key[..], kv.mod_revision.get())).collect()
}

fn sample() -> Keys {
    let mut keys = Keys::default();
    put(&mut keys, "a", 2);
    put(&mut keys, "b", 3);
    put(&mut keys, "a", 4);
    delete(&mut keys, "b", 5);
    put(&mut keys, "b", 7);
    keys
}

// G2, C2
#[test]
fn every_revision_stays_readable() {
    let keys = sample();
    let at = |revision| found(keys.range_at(&KeyRange::all(), Revision::new(revision)));
    assert_eq!(at(1), []);
    assert_eq!(at(2), [(&b"a"[..], 2)]);
    assert_eq!(at(4), [(&b"a"[..], 4), (b"b", 3)]);
    assert_eq!(at(6), [(&b"a"[..], 4)]);
    assert_eq!(at(7), found(keys.range(&KeyRange::all())));
}

#[test]
fn ranges_are_etcds() {
    let keys = sample();
    let of = |start, end| found(keys.range(&KeyRange::from_wire(start, end))).len();
    assert_eq!(of("a", ""), 1);
    assert_eq!(of("a", "b"), 1);
    assert_eq!(of("a", "\0"), 2);
    assert_eq!(of("b", "a"), 0);
    assert_eq!(of("b", "b"), 0);
}

// C2
#[test]
fn compaction_keeps_the_last_version_unless_it_is_a_deletion() {
    let mut keys = sample();
    for key in ["a", "b"] {
        assert!(keys.compact(key.as_bytes(), Revision::new(5), 10, &mut |_| ()));
    }
    for key in [&b"a"[..], b"b"] {
        let (_, history) = keys.histories.get(key).expect("alive");
        assert!(matches!(history, History::One(_)));
    }
    let at = |revision| found(keys.range_at(&KeyRange::all(), Revision::new(revision)));
    assert_eq!(at(5), [(&b"a"[..], 4)]);
    assert_eq!(at(7), [(&b"a"[..], 4), (b"b", 7)]);
}

// C2
#[test]
fn compacted_deletion_leaves_nothing_of_the_key() {
    let mut keys = Keys::default();
    put(&mut keys, "a", 2);
    delete(&mut keys, "a", 3);
    assert!(keys.compact(b"a", Revision::new(3), 10, &mut |_| ()));
    assert_eq!(keys.histories.count(NOW), Count::default());
}

/// What one revision does to which keys, given as from where and how many.
#[derive(Clone, Debug)]
struct Step {
    deleted: (u16, u16),
    put: (u16, u16),
    /// Afterwards everything below so many revisions ago is forgotten.
    kept: Option<usize>,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let few = || (0_u16..400, 0_u16..8);
    let some = || prop_oneof![4 => few(), 1 => (0_u16..400, 0_u16..200)];
    let kept = prop_oneof![6 => Just(None), 1 => (0_usize..12).prop_map(Some)];
    let step = (some(), some(), kept);
    prop::collection::vec(step.prop_map(|(deleted, put, kept)| Step { deleted, put, kept }), 1..60)
}

/// The keys that exist at each revision, with the revision of their last change.
type States = Vec<BTreeMap<String, i64>>;

/// Does what `step` says, at the revision after the last one, and says which keys changed.
fn apply(keys: &mut Keys, states: &mut States, step: &Step) -> Vec<String> {
    let names = |(from, count)| (from..from + count).map(|number: u16| format!("{number:03}"));
    let revision = states.len() as i64;
    let mut state = states.last().cloned().unwrap_or_default();
    let mut changed = Vec::new();
    for name in names(step.deleted) {
        if state.remove(&name).is_some() {
            delete(keys, &name, revision);
            changed.push(name);
        }
    }
    for name in names(step.put) {
        put(keys, &name, revision);
        state.insert(name.clone(), revision);
        changed.push(name);
    }
    states.push(state);
    changed
}

fn check(keys: &Keys, states: &States, compacted: usize) {
    let ranges =
        [("\0", "\0"), ("000", "399"), ("1", "2"), ("25", "253"), ("399", "\0"), ("200", "")];
    for (start, end) in ranges {
        let range = KeyRange::from_wire(start, end);
        for (revision, state) in states.iter().enumerate().skip(compacted) {
            let expected: Vec<(&[u8], i64)> = state
                .iter()
                .map(|(key, revision)| (key.as_bytes(), *revision))
                .filter(|(key, _)| range.contains(key))
                .collect();
            let revision = Revision::new(revision as i64);
            assert_eq!(found(keys.range_at(&range, revision)), expected, "{start} at {revision}");
            assert_eq!(keys.count_at(&range, revision), expected.len(), "{start} at {revision}");
        }
        assert_eq!(keys.count(&range), keys.range(&range).count());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_revision_is_what_it_was(steps in steps()) {
        let (mut keys, mut states) = (Keys::default(), vec![BTreeMap::new()]);
        let (mut changed, mut compacted) = (Vec::new(), 0);
        for step in steps {
            changed.push(apply(&mut keys, &mut states, &step));
            if let Some(kept) = step.kept {
                let last = states.len() - 1;
                let revision = compacted.max(last.saturating_sub(kept));
                for name in changed[compacted..revision].iter().flatten() {
                    let (key, revision) = (name.as_bytes(), Revision::new(revision as i64));
                    while !keys.compact(key, revision, 1, &mut |_| ()) {}
                }
                compacted = revision;
                check(&keys, &states, compacted);
            }
        }
        check(&keys, &states, compacted);
    }
}
