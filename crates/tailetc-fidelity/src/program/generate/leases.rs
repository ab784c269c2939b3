//! Leases.

use proptest::prelude::*;

use crate::program::{Action, FIRST_CHOSEN};

/// A lease that exists or not.
pub(super) fn lease() -> BoxedStrategy<i64> {
    prop_oneof![
        12 => 1_i64..=5,
        2 => FIRST_CHOSEN..FIRST_CHOSEN + 3,
        1 => prop::sample::select(vec![0_i64, -7, 99]),
    ]
    .boxed()
}

pub(super) fn lease_action() -> BoxedStrategy<Action> {
    prop_oneof![
        6 => (lease(), long_ttl()).prop_map(|(lease, ttl)| Action::Grant { lease, ttl }),
        3 => lease().prop_map(|lease| Action::Revoke { lease }),
        2 => lease().prop_map(|lease| Action::KeepAlive { lease }),
        2 => (lease(), any::<bool>()).prop_map(|(lease, keys)| Action::TimeToLive { lease, keys }),
        2 => Just(Action::Leases),
    ]
    .boxed()
}

/// No lease of a program ends by itself, unless it is one of [`short_lease`]. Two times are equal or
/// far apart, so that a run does not last long enough to make the order of their ends another one.
fn long_ttl() -> BoxedStrategy<i64> {
    prop_oneof![
        8 => (50_i64..54).prop_map(|thousands| thousands * 1000),
        1 => prop::sample::select(vec![9_000_000_000_i64, 9_000_000_001, i64::MAX]),
    ]
    .boxed()
}

/// A time to live that is over within two seconds; all of these are raised to the least.
pub(super) fn short_lease() -> BoxedStrategy<i64> {
    prop_oneof![3 => Just(1_i64), 1 => prop::sample::select(vec![0_i64, -1, i64::MIN])].boxed()
}
