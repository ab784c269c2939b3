//! Random programs, as proptest strategies.

mod keys;
mod leases;
mod ops;
mod ties;
mod watches;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, Reason, RngAlgorithm, TestRng, TestRunner};

use self::leases::{lease_action, short_lease};
use self::ops::{delete, key_of_writes, put, range, revision, txn};
use self::ties::ties;
use self::watches::{stream, watch, watch_action};
use super::{Action, Program, Put, Rev, Step, Value, Watch};

/// The longest generated program.
const MAX_STEPS: usize = 65;

thread_local! {
    /// To make the strategy takes longer than to make a program.
    static STRATEGY: BoxedStrategy<Program> = strategy();
}

/// The program with this number of the sequence that a seed stands for.
///
/// # Errors
///
/// When the strategy yields nothing.
pub fn generate(seed: u64, number: u64) -> Result<Program, Reason> {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    bytes[8..16].copy_from_slice(&number.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    STRATEGY.with(|strategy| strategy.new_tree(&mut runner)).map(|tree| tree.current())
}

/// Programs of up to 65 steps; some turn on one thing that is dear, such as the expiry of a lease.
pub fn strategy() -> BoxedStrategy<Program> {
    let steps = |special: Option<BoxedStrategy<Vec<Step>>>| {
        let common = prop::collection::vec(step(), 5..=MAX_STEPS);
        match special {
            None => common.prop_map(Program).boxed(),
            Some(special) => (common, special, any::<prop::sample::Index>())
                .prop_map(|(mut steps, special, at)| {
                    let at = at.index(steps.len());
                    steps.splice(at..at, special);
                    Program(steps)
                })
                .boxed(),
        }
    };
    prop_oneof![
        1000 => steps(None),
        120 => steps(Some(ties())),
        40 => steps(Some(expiry())),
        8 => steps(Some(burst())),
        8 => steps(Some(fragments())),
        6 => steps(Some(too_large())),
    ]
    .boxed()
}

fn step() -> BoxedStrategy<Step> {
    (prop_oneof![4 => Just(0_u8), 1 => 1_u8..3], action())
        .prop_map(|(client, action)| Step { client, action })
        .boxed()
}

fn action() -> BoxedStrategy<Action> {
    prop_oneof![
        22 => put().prop_map(Action::Put),
        14 => range().prop_map(Action::Range),
        9 => delete().prop_map(Action::Delete),
        22 => txn(3).prop_map(Action::Txn),
        3 => (compaction(), prop::bool::weighted(0.7))
            .prop_map(|(revision, physical)| Action::Compact { revision, physical }),
        9 => lease_action(),
        2 => revision().prop_map(|revision| Action::HashKv { revision }),
        1 => Just(Action::Status),
        7 => watch().prop_map(Action::Watch),
        7 => watch_action(),
    ]
    .boxed()
}

fn compaction() -> BoxedStrategy<Rev> {
    prop_oneof![
        6 => (-6_i64..=0).prop_map(Rev::Now),
        1 => (1_i64..=2).prop_map(Rev::Now),
        3 => (-1_i64..=3).prop_map(Rev::Compacted),
        1 => (-2_i64..=1).prop_map(Rev::At),
    ]
    .boxed()
}

/// Steps that follow each other closely: a step in between takes time that a lease does not have.
fn steps_of(actions: Vec<Action>) -> Vec<Step> {
    actions.into_iter().map(|action| Step { client: 0, action }).collect()
}

fn expiry() -> BoxedStrategy<Vec<Step>> {
    let grants = prop::collection::vec(short_lease(), 1..4);
    // Keys of several leases, mostly.
    let puts = prop::collection::vec((put(), key_of_writes(), 1_i64..=3), 1..8);
    (grants, puts, prop::option::of(watch()))
        .prop_map(|(grants, puts, watch)| {
            let mut actions: Vec<_> = watch.map(Action::Watch).into_iter().collect();
            for (lease, ttl) in (1..).zip(grants) {
                // Else the lease may have been granted for long.
                actions.push(Action::Revoke { lease });
                actions.push(Action::Grant { lease, ttl });
            }
            actions.extend(puts.into_iter().map(|(put, key, lease)| {
                Action::Put(Put { key, lease, ignore_lease: false, ignore_value: false, ..put })
            }));
            actions.push(Action::Expire);
            steps_of(actions)
        })
        .boxed()
}

/// More revisions than a watcher that catches up is sent at once (etcd: 1000).
fn burst() -> BoxedStrategy<Vec<Step>> {
    (
        key_of_writes(),
        990_usize..1060,
        prop::option::of(delete()),
        prop::collection::vec(watch(), 1..3),
    )
        .prop_map(|(key, count, delete, watches)| {
            let mut actions = vec![Action::Burst { key: key.clone(), count }];
            actions.extend(delete.map(Action::Delete));
            actions.extend(watches.into_iter().map(|watch| {
                let start = Rev::Now(1 - i64::try_from(count).unwrap_or(0));
                Action::Watch(Watch { key: key.clone(), start, ..watch })
            }));
            steps_of(actions)
        })
        .boxed()
}

/// Responses of watches of 2 MiB, which is where they are sent in fragments if asked for.
fn fragments() -> BoxedStrategy<Vec<Step>> {
    let puts = prop::collection::vec((put(), 300_000_usize..1_500_000), 2..6);
    (puts, prop::collection::vec((watch(), prop::bool::weighted(0.8)), 1..3))
        .prop_map(|(puts, watches)| {
            let back = i64::try_from(puts.len()).unwrap_or(0);
            let mut actions: Vec<_> = puts
                .into_iter()
                .map(|(put, size)| {
                    Action::Put(Put { value: Value::Size(size), ignore_value: false, ..put })
                })
                .collect();
            actions.extend(watches.into_iter().map(|(watch, fragment)| {
                Action::Watch(Watch { start: Rev::Now(1 - back), fragment, ..watch })
            }));
            steps_of(actions)
        })
        .boxed()
}

/// Requests on both sides of the limit of a request's size (1.5 MiB), and of a message's (2 MiB).
fn too_large() -> BoxedStrategy<Vec<Step>> {
    let size = prop_oneof![
        // How many bytes the server adds depends on how often it was started.
        Just(1_572_864_usize - 64),
        Just(1_572_864),
        Just(2_097_152 - 64),
        Just(2_097_152),
    ];
    (put(), size, stream())
        .prop_map(|(put, size, stream)| {
            let put = Put { value: Value::Size(size), ..put };
            steps_of(vec![Action::Put(put), Action::EndStream { stream }])
        })
        .boxed()
}
