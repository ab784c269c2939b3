//! Watches.

use proptest::prelude::*;

use super::keys::span;
use crate::program::{Action, Rev, Watch};

pub(super) fn stream() -> BoxedStrategy<u8> {
    prop_oneof![4 => Just(0_u8), 2 => Just(1_u8), 1 => Just(2_u8)].boxed()
}

pub(super) fn watch() -> BoxedStrategy<Watch> {
    let id = prop_oneof![6 => Just(0_i64), 3 => 1_i64..6, 1 => prop::sample::select(vec![-1_i64, -2, i64::MAX])];
    let filters = prop_oneof![
        6 => Just(vec![]), 1 => Just(vec![0]), 1 => Just(vec![1]), 1 => prop::collection::vec(0..3, 1..4),
    ];
    let flags = [prop::bool::weighted(0.4), prop::bool::weighted(0.2), prop::bool::weighted(0.2)];
    (stream(), id, span(), start(), filters, flags)
        .prop_map(
            |(stream, id, (key, end), start, filters, [prev_kv, progress_notify, fragment])| {
                Watch { stream, id, key, end, start, prev_kv, progress_notify, fragment, filters }
            },
        )
        .boxed()
}

/// Where a watch starts: a client that resumes asks for the revision after its last.
fn start() -> BoxedStrategy<Rev> {
    prop_oneof![
        6 => Just(Rev::At(0)),
        3 => Just(Rev::Now(1)),
        6 => (-12_i64..=0).prop_map(Rev::Now),
        1 => (2_i64..=4).prop_map(Rev::Now),
        2 => (-1_i64..=2).prop_map(Rev::Compacted),
        2 => (0_i64..4).prop_map(Rev::Start),
        1 => prop::sample::select(vec![-1_i64, -2, i64::MIN, 1, i64::MAX]).prop_map(Rev::At),
    ]
    .boxed()
}

pub(super) fn watch_action() -> BoxedStrategy<Action> {
    let id = prop_oneof![10 => 0_i64..6, 1 => prop::sample::select(vec![-1_i64, -2, 77])];
    prop_oneof![
        5 => (stream(), id).prop_map(|(stream, id)| Action::Cancel { stream, id }),
        4 => stream().prop_map(|stream| Action::Progress { stream }),
        2 => stream().prop_map(|stream| Action::EndStream { stream }),
        1 => stream().prop_map(|stream| Action::EmptyWatchRequest { stream }),
    ]
    .boxed()
}
