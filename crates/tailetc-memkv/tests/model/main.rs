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

/// The store does at a time `slice` of what requests leave to do.
fn run(actions: Vec<Action>, buffer: usize, version: EtcdVersion, slice: usize) {
    let clock = ManualClock::new();
    let store = |slice| {
        let store = MemKv::builder()
            .with_imitate(version)
            .with_clock(clock.clone())
            .with_max_txn_ops(MAX_TXN_OPS)
            .with_watch_buffer_revisions(buffer)
            .with_slice(slice)
            .build();
        store.keep_hashes();
        store
    };
    let stores = [store(slice), store(usize::MAX)];
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        let mut pair = Pair::new(stores, clock, buffer, version, slice < WHOLE);
        for action in actions {
            pair.step(action).await;
        }
        pair.end().await;
    });
}

/// More than any request leaves.
const WHOLE: usize = 1000;

proptest! {
    #![proptest_config(Config::with_cases(400))]

    #[test]
    fn store_answers_as_the_model(actions in requests::actions()) {
        run(actions, 128, EtcdVersion::NEWEST, WHOLE);
    }

    #[test]
    fn store_answers_as_the_model_of_3_5(actions in requests::actions()) {
        run(actions, 128, EtcdVersion::V3_5, WHOLE);
    }

    #[test]
    fn store_answers_as_the_model_of_3_6(actions in requests::actions()) {
        run(actions, 128, EtcdVersion::V3_6, WHOLE);
    }

    #[test]
    fn store_answers_as_the_model_with_a_small_watch_buffer(actions in requests::actions()) {
        run(actions, 2, EtcdVersion::NEWEST, WHOLE);
    }

    #[test]
    fn store_answers_as_the_model_without_a_watch_buffer(actions in requests::actions()) {
        run(actions, 0, EtcdVersion::NEWEST, WHOLE);
    }

    #[test]
    fn store_answers_as_the_model_whatever_is_left_to_do(
        actions in requests::deletions(),
        buffer in prop::sample::select(vec![0, 2, 128]),
        slice in 0_usize..3,
        old in any::<bool>(),
    ) {
        let version = if old { EtcdVersion::V3_5 } else { EtcdVersion::NEWEST };
        run(actions, buffer, version, slice);
    }
}
