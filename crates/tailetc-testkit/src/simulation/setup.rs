//! What a seed decides before anything happens.

use std::time::Duration;

use fastrand::Rng;
use tailetc_core::Options;

use crate::faulty::{Fault, FaultPlan};

/// The shape of a run: everything in it comes from its seed.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    /// How many operations the workers do together.
    pub(crate) operations: usize,
    /// One for each `Db`.
    pub(crate) plans: Vec<FaultPlan>,
    /// The `Db`s that are told that progress cannot be trusted.
    pub(crate) distrustful: Vec<bool>,
    /// The `Db`s with commit markers.
    pub(crate) marked: Vec<bool>,
    pub(crate) workers_per_db: usize,
    pub(crate) foreign_writers: usize,
    pub(crate) restores: usize,
    /// How much the operator interferes: 0 not at all.
    pub(crate) unrest: u64,
    pub(crate) garbage: bool,
    pub(crate) leases: bool,
}

impl Setup {
    pub(crate) fn draw(rng: &mut Rng, operations: usize) -> Self {
        let dbs = rng.usize(2..=3);
        // Some runs are calm, so that what only happens without faults is met too.
        let unrest = rng.u64(0..=4);
        let plans = (0..dbs).map(|_| plan(rng, unrest)).collect();
        Self {
            operations,
            plans,
            distrustful: (0..dbs).map(|_| rng.u8(..4) == 0).collect(),
            marked: (0..dbs).map(|_| rng.u8(..3) == 0).collect(),
            workers_per_db: rng.usize(1..=3),
            foreign_writers: rng.usize(0..=2),
            restores: if unrest > 0 && rng.u8(..3) == 0 { rng.usize(1..=2) } else { 0 },
            unrest,
            garbage: rng.bool(),
            leases: rng.bool(),
        }
    }

    /// Without anybody who changes the store behind the transactions' backs.
    pub(crate) fn alone(self) -> Self {
        Self { foreign_writers: 0, restores: 0, garbage: false, leases: false, ..self }
    }

    /// Short deadlines: time is virtual, but each wait is time in which nothing is done.
    pub(crate) fn options(rng: &mut Rng) -> Options {
        let mut options = Options::default();
        options.commit_timeout = Duration::from_secs(2);
        options.catch_up_timeout = Duration::from_secs(2);
        options.backoff_min = Duration::from_millis(10);
        options.backoff_max = Duration::from_millis(500);
        options.progress_interval = Duration::from_secs(2);
        options.progress_timeout = Duration::from_secs(2);
        options.page_keys = rng.usize(2..=40);
        options.history = rng.usize(0..=8);
        options.seed = Some(rng.u64(..));
        options
    }
}

fn plan(rng: &mut Rng, unrest: u64) -> FaultPlan {
    let mut plan = FaultPlan::seeded(rng.u64(..))
        .with_latency(Duration::from_micros(rng.u64(0..=4_000)))
        .with_timeout(Duration::from_secs(1));
    if unrest == 0 {
        return plan;
    }
    for fault in Fault::HONEST.into_iter().chain([Fault::PrematureProgress]) {
        if rng.bool() {
            // In thousandths, so that plans print short.
            let thousandths = rng.u64(1..=10 * unrest);
            plan = plan.with(fault, thousandths as f64 / 1_000.0);
        }
    }
    plan
}
