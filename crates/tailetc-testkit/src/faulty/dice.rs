//! Every decision of a client, from one seeded generator.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::{Fault, FaultPlan};

/// How many injected faults are remembered.
const REMEMBERED: usize = 100_000;

#[derive(Debug)]
pub(super) struct Dice {
    /// Decides whether. Apart from `how`, so that a script draws the same lengths.
    whether: fastrand::Rng,
    how: fastrand::Rng,
    chances: Vec<(Fault, f64)>,
    script: BTreeSet<(u64, Fault)>,
    latency: Duration,
    turn: u64,
    healed: bool,
    injected: Vec<(u64, Fault)>,
}

impl Dice {
    pub(super) fn new(plan: &FaultPlan) -> Self {
        let mut whether = fastrand::Rng::with_seed(plan.seed);
        let how = whether.fork();
        Self {
            whether,
            how,
            chances: plan.chances.clone(),
            script: plan.script.iter().copied().collect(),
            latency: plan.latency,
            turn: 0,
            healed: false,
            injected: Vec::new(),
        }
    }

    /// Ends all faults; delays stay.
    pub(super) fn heal(&mut self) {
        self.chances.clear();
        self.script.clear();
        self.healed = true;
    }

    pub(super) fn is_healed(&self) -> bool {
        self.healed
    }

    /// Whether `fault` happens at this turn.
    pub(super) fn roll(&mut self, fault: Fault) -> bool {
        let turn = self.turn;
        self.turn += 1;
        let chance = self.chances.iter().find(|(known, _)| *known == fault);
        let happens = chance.is_some_and(|(_, probability)| self.whether.f64() < *probability)
            || (!self.script.is_empty() && self.script.contains(&(turn, fault)));
        if happens && self.injected.len() < REMEMBERED {
            self.injected.push((turn, fault));
        }
        happens
    }

    /// The first of `faults` that happens.
    pub(super) fn any_of(&mut self, faults: &[Fault]) -> Option<Fault> {
        faults.iter().copied().find(|fault| self.roll(*fault))
    }

    pub(super) fn millis(&mut self, range: RangeInclusive<u64>) -> Duration {
        Duration::from_millis(self.how.u64(range))
    }

    pub(super) fn below(&mut self, end: usize) -> usize {
        self.how.usize(..end.max(1))
    }

    pub(super) fn latency(&mut self) -> Duration {
        if self.latency.is_zero() {
            return Duration::ZERO;
        }
        self.latency.mul_f64(self.how.f64())
    }

    pub(super) fn injected(&self) -> &[(u64, Fault)] {
        &self.injected
    }
}
