//! Random requests against the store and against a model that keeps a copy of every state.
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking, in its helpers too"
)]

mod check;
mod follower;
mod naive;
mod requests;

use proptest::prelude::*;
use proptest::test_runner::Config;
use tailetc_memkv::{EtcdVersion, ManualClock, MemKv};

use crate::check::Pair;
use crate::requests::Action;

/// Small, so that random transactions exceed it now and then.
const MAX_TXN_OPS: usize = 5;

fn run(actions: Vec<Action>, buffer: usize, version: EtcdVersion) {
    let clock = ManualClock::new();
    let store = MemKv::builder()
        .with_imitate(version)
        .with_clock(clock.clone())
        .with_max_txn_ops(MAX_TXN_OPS)
        .with_watch_buffer_revisions(buffer)
        .build();
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        let mut pair = Pair::new(store, clock, buffer, version);
        for action in actions {
            pair.step(action).await;
        }
        pair.drain();
    });
}

proptest! {
    #![proptest_config(Config::with_cases(400))]

    #[test]
    fn store_answers_as_the_model(actions in requests::actions()) {
        run(actions, 128, EtcdVersion::NEWEST);
    }

    #[test]
    fn store_answers_as_the_model_of_3_5(actions in requests::actions()) {
        run(actions, 128, EtcdVersion::V3_5);
    }

    #[test]
    fn store_answers_as_the_model_of_3_6(actions in requests::actions()) {
        run(actions, 128, EtcdVersion::V3_6);
    }

    #[test]
    fn store_answers_as_the_model_with_a_small_watch_buffer(actions in requests::actions()) {
        run(actions, 2, EtcdVersion::NEWEST);
    }

    #[test]
    fn store_answers_as_the_model_without_a_watch_buffer(actions in requests::actions()) {
        run(actions, 0, EtcdVersion::NEWEST);
    }
}
