//! A divergence that comes again.

use std::fmt;

use crate::duel::Divergence;
use crate::program::Program;

/// Programs on which two servers part, and where.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Finding {
    /// The number of the generated program.
    pub number: u64,
    /// What is to be run, in order, on fresh servers.
    pub programs: Vec<Program>,
    /// What was asked and what was answered.
    pub divergence: String,
}

impl Finding {
    pub(super) fn new(number: u64, programs: Vec<Program>, divergence: &Divergence) -> Self {
        Self { number, programs, divergence: divergence.to_string() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "program {} diverges {}", self.number, self.divergence)?;
        let texts: Vec<_> = self.programs.iter().map(super::regressions::text).collect();
        write!(f, "{}", texts.join("\n"))
    }
}
