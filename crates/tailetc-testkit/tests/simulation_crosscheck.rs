//! The oracle and an independent checker agree: what the simulated programs saw of small runs is
//! strictly serializable, which is to say that the transactions, each as one operation on the
//! whole store, are linearizable. The checker knows nothing of revisions.

#![expect(clippy::expect_used, reason = "a test ends at the first thing that is not as expected")]

use std::collections::BTreeMap;

use bytes::Bytes;
use porcupine_rs::{Model, Operation, check_operations};
use tailetc_testkit::simulation::{Observed, initial, run_alone};

const OPERATIONS: usize = 60;

#[derive(Clone, Debug)]
struct Store;

impl Model for Store {
    type State = BTreeMap<Bytes, Bytes>;
    type Op = Observed;
    type Metadata = ();

    fn init() -> Self::State {
        initial().into_iter().collect()
    }

    fn step(state: &Self::State, txn: &Observed) -> (bool, Self::State) {
        let mut reads = txn.reads.iter();
        let held = reads.all(|(key, value)| state.get(key) == value.as_ref())
            && txn.ranges.iter().all(|(range, pairs)| {
                let stored = state.iter().filter(|(key, _)| range.contains(key));
                stored.eq(pairs.iter().map(|(key, value)| (key, value)))
            });
        if !held {
            // One of unknown outcome may have been refused.
            return (txn.answered.is_none(), state.clone());
        }
        let mut after = state.clone();
        for (key, value) in &txn.writes {
            match value {
                Some(value) => after.insert(key.clone(), value.clone()),
                None => after.remove(key),
            };
        }
        (true, after)
    }
}

fn is_strictly_serializable(observed: &[Observed]) -> bool {
    let operations: Vec<_> = observed
        .iter()
        .map(|txn| Operation::<Store> {
            client_id: None,
            call_time: i64::try_from(txn.called).expect("virtual time is short"),
            return_time: txn.answered.map_or(i64::MAX, |at| i64::try_from(at).expect("short")),
            op: txn.clone(),
            metadata: None,
        })
        .collect();
    check_operations(&operations)
}

#[test]
fn what_the_oracle_accepts_is_strictly_serializable_to_another_checker_too() {
    let mut checked = 0;
    for seed in 0..60 {
        let report = run_alone(seed, OPERATIONS);
        assert!(report.violations.is_empty(), "seed {seed}: {:?}", report.violations);
        assert!(is_strictly_serializable(&report.observed), "seed {seed}");
        checked += report.observed.iter().filter(|txn| txn.answered.is_some()).count();
    }
    assert!(checked > 1_000, "{checked} transactions are not much of a check");
}

#[test]
fn other_checker_sees_a_stale_read() {
    let report = run_alone(0, OPERATIONS);
    let mut observed = report.observed;
    // The first read of a register that had been overwritten since becomes stale.
    let mut written = BTreeMap::<Bytes, Bytes>::new();
    let stale = observed.iter_mut().filter(|txn| txn.answered.is_some()).find_map(|txn| {
        for (key, value) in &mut txn.reads {
            let Some(before) = written.get(key).filter(|before| Some(*before) != value.as_ref())
            else {
                continue;
            };
            if value.is_some() {
                *value = Some(before.clone());
                return Some(());
            }
        }
        let first =
            txn.writes.iter().filter_map(|(key, value)| Some((key.clone(), value.clone()?)));
        for (key, value) in first {
            written.entry(key).or_insert(value);
        }
        None
    });
    assert!(stale.is_some(), "nothing was overwritten and read");
    assert!(!is_strictly_serializable(&observed));
}
