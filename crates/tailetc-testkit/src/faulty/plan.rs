//! Which faults, how often, and when: as data.

use std::fmt;
use std::time::Duration;

use super::Fault;

/// The faults of one client. Everything that is left to chance comes from the seed.
///
/// `Debug` prints the expression that makes the plan, to be pasted into a test:
///
/// ```
/// use tailetc_testkit::faulty::{Fault, FaultPlan};
///
/// let plan = FaultPlan::seeded(7).with(Fault::CutWatch, 0.05).at(12, Fault::LoseReply);
/// assert_eq!(
///     format!("{plan:?}"),
///     "FaultPlan::seeded(7).with(Fault::CutWatch, 0.05).at(12, Fault::LoseReply)"
/// );
/// ```
#[derive(Clone, PartialEq)]
pub struct FaultPlan {
    pub(super) seed: u64,
    pub(super) chances: Vec<(Fault, f64)>,
    pub(super) script: Vec<(u64, Fault)>,
    pub(super) latency: Duration,
    pub(super) timeout: Duration,
}

/// What etcd's clients usually have.
const TIMEOUT: Duration = Duration::from_secs(5);

impl FaultPlan {
    /// No faults, no delays.
    pub fn none() -> Self {
        Self::seeded(0)
    }

    /// No faults yet; what is left to chance will come from `seed`.
    pub fn seeded(seed: u64) -> Self {
        let (chances, script) = (Vec::new(), Vec::new());
        Self { seed, chances, script, latency: Duration::ZERO, timeout: TIMEOUT }
    }

    /// Injects `fault` with this probability wherever it can occur.
    #[must_use]
    pub fn with(mut self, fault: Fault, probability: f64) -> Self {
        self.chances.retain(|(known, _)| *known != fault);
        self.chances.push((fault, probability));
        self
    }

    /// Injects `fault` at this turn: [`FaultyBackend::injected`](super::FaultyBackend::injected)
    /// lists the turns at which faults were injected, so that a run can be repeated with those
    /// faults, or some of them, and no others.
    #[must_use]
    pub fn at(mut self, turn: u64, fault: Fault) -> Self {
        self.script.push((turn, fault));
        self
    }

    /// Delays each request and each answer by up to this. Default zero.
    #[must_use]
    pub fn with_latency(mut self, most: Duration) -> Self {
        self.latency = most;
        self
    }

    /// After what time a request without an answer fails with `Timeout`. Default 5 s.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }
}

impl fmt::Debug for FaultPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FaultPlan::seeded({})", self.seed)?;
        for (fault, probability) in &self.chances {
            write!(f, ".with(Fault::{fault:?}, {probability:?})")?;
        }
        for (turn, fault) in &self.script {
            write!(f, ".at({turn}, Fault::{fault:?})")?;
        }
        if !self.latency.is_zero() {
            let micros = self.latency.as_micros();
            write!(f, ".with_latency(Duration::from_micros({micros}))")?;
        }
        if self.timeout != TIMEOUT {
            let millis = self.timeout.as_millis();
            write!(f, ".with_timeout(Duration::from_millis({millis}))")?;
        }
        Ok(())
    }
}
