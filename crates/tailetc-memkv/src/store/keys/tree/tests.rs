use std::collections::BTreeMap;

use super::*;
use proptest::prelude::*;

/// An entry of nothing but its turns.
#[derive(Debug)]
struct Life(Vec<Turn>);

impl Counted for Life {
    fn is_live_at(&self, revision: Revision) -> bool {
        self.0.iter().rev().find(|turn| turn.revision <= revision).is_some_and(|turn| turn.live)
    }

    fn turns(&self) -> impl Iterator<Item = Turn> {
        self.0.iter().copied()
    }

    fn weight(&self) -> usize {
        self.0.len()
    }

    fn is_of(&self, _: Whom) -> bool {
        true
    }

    fn end(&mut self, _: &Bytes, revision: Revision, _: u32) {
        self.0.push(Turn { revision, live: false });
    }
}

/// What one revision does to the keys from a number on.
#[derive(Clone, Debug)]
enum Step {
    Turn {
        from: u16,
        count: u16,
        live: bool,
    },
    /// Forgets what is below so many revisions ago.
    Compact(i64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let turn = |from, count, live| Step::Turn { from, count, live };
    let step = prop_oneof![
        6 => (0_u16..1000, 1_u16..300, any::<bool>()).prop_map(move |(f, c, l)| turn(f, c, l)),
        3 => (0_u16..1000, 1_u16..4, any::<bool>()).prop_map(move |(f, c, l)| turn(f, c, l)),
        2 => (0_i64..8).prop_map(Step::Compact),
    ];
    prop::collection::vec(step, 1..30)
}

/// The tree, and what it must say: for every entry whether it is live, by revision.
#[derive(Default)]
struct Pair {
    tree: Tree<Life>,
    model: BTreeMap<Bytes, Vec<bool>>,
    revision: i64,
    compacted: i64,
}

impl Pair {
    fn turn(&mut self, keys: impl Iterator<Item = Bytes>, live: bool) {
        self.revision += 1;
        let turn = Turn { revision: Revision::new(self.revision), live };
        for key in keys {
            let change = |life: &mut Life| {
                if life.is_live_at(turn.revision) != live {
                    life.0.push(turn);
                }
            };
            if !self.tree.modify(&key, turn.revision, change) {
                let mut life = Life(Vec::new());
                change(&mut life);
                self.tree.insert(key.clone(), turn.revision, life);
            }
            let told = self.model.entry(key).or_default();
            let last = told.last().copied().unwrap_or(false);
            told.resize(self.revision as usize, last);
            told.push(live);
        }
        for told in self.model.values_mut() {
            let last = told.last().copied().unwrap_or(false);
            told.resize(self.revision as usize + 1, last);
        }
    }

    fn compact(&mut self, kept: i64) {
        self.compacted = self.compacted.max(self.revision - kept);
        let revision = Revision::new(self.compacted);
        self.model.retain(|key, told| {
            let forgotten = !told[self.compacted as usize..].contains(&true);
            self.tree.compact(key, revision, |life| {
                let live = life.is_live_at(revision);
                let reached = life.0.partition_point(|turn| turn.revision <= revision);
                life.0.drain(..reached - usize::from(live));
                forgotten
            });
            !forgotten
        });
    }

    fn check(&self) {
        let all: Vec<_> = self.tree.from(b"", None).map(|(key, _)| key).collect();
        assert_eq!(all, self.model.keys().collect::<Vec<_>>());
        for revision in self.compacted..=self.revision {
            self.check_at(revision);
        }
    }

    fn check_at(&self, number: i64) {
        let revision = Revision::new(number);
        let was_live = |(_, told): &(&Bytes, &Vec<bool>)| told[number as usize];
        let live: Vec<_> = self.model.iter().filter(was_live).map(|(key, _)| key).collect();
        let walked = self.tree.from(b"", Some(revision));
        let walked = walked.filter(|(_, life)| life.is_live_at(revision)).map(|(key, _)| key);
        assert_eq!(walked.collect::<Vec<_>>(), live);
        let count = Count { all: self.model.len(), live: live.len() };
        assert_eq!(self.tree.count(revision), count);
        let all: Vec<_> = self.model.keys().collect();
        for probe in (0..1400).step_by(97).flat_map(|number| [scattered(number), ordered(number)]) {
            let before = |keys: &[&Bytes]| keys.partition_point(|key| **key < probe);
            let expected = Count { all: before(&all), live: before(&live) };
            assert_eq!(self.tree.count_before(&probe, revision), expected);
            let told = self.model.get(&probe).map(|told| told[number as usize]);
            let found = self.tree.get(&probe).map(|(_, life)| life.is_live_at(revision));
            assert_eq!(found, told);
            let first = self.tree.from(&probe, None).next().map(|(key, _)| key);
            assert_eq!(first, all.get(before(&all)).copied());
        }
    }
}

fn ordered(number: u16) -> Bytes {
    Bytes::copy_from_slice(&number.to_be_bytes())
}

/// Numbers in another order than that of the keys, so that nodes are also cut in the middle.
fn scattered(number: u16) -> Bytes {
    ordered(number.wrapping_mul(7919))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn behaves_as_a_map_and_counts_at_every_revision(steps in steps(), in_order in any::<bool>()) {
        let key = if in_order { ordered } else { scattered };
        let mut pair = Pair::default();
        for step in steps {
            match step {
                Step::Turn { from, count, live } => {
                    pair.turn((from..from + count).map(key), live);
                }
                Step::Compact(kept) => pair.compact(kept),
            }
            pair.check();
        }
    }
}

#[test]
fn compaction_leaves_no_more_steps_than_entries_need() {
    let mut pair = Pair::default();
    pair.turn((0..100).map(scattered), true);
    for _ in 0..50 {
        pair.turn((0..100).map(scattered), false);
        pair.turn((0..100).map(scattered), true);
    }
    let Node::Inner(children) = &pair.tree.root else { panic!("several leaves") };
    assert!(children.iter().all(|child| child.live.len() == 101));
    pair.compact(0);
    let Node::Inner(children) = &pair.tree.root else { panic!("several leaves") };
    assert!(children.iter().all(|child| child.live.len() == 1));
}
