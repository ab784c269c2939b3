//! Where programs run: in the simulation, or over a real cluster.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use fastrand::Rng;
use tailetc_core::backend::KvBackend;
use tailetc_core::{Db, Error, Token};

use super::record::{Record, Stamp};

/// What programs need of their surroundings.
pub trait Stage: Send + Sync + 'static {
    /// The `Db` with this index.
    fn db(&self, index: usize) -> &Db;

    /// The way to the store of those who write without a `Db`.
    fn outside(&self) -> &dyn KvBackend;

    /// The present moment.
    fn stamp(&self) -> Stamp;

    /// A number that no other write has, in no process.
    fn id(&self) -> u64;

    /// Where everything that is done and seen is written down.
    fn records(&self) -> &Mutex<Record>;

    /// Tokens of commits, with the history of the cluster that they are of.
    fn tokens(&self) -> &Mutex<Vec<(Token, usize)>>;

    /// The number of the next operation; none when there have been enough.
    fn next_operation(&self) -> Option<usize>;

    /// Whether operators, foreign writers and slow consumers are to stop.
    fn is_over(&self) -> bool;

    /// What programs do besides.
    fn habits(&self) -> Habits;

    /// Whether this `Db` has nothing to suffer from but other programs.
    fn is_calm(&self, db: usize) -> bool;

    /// Tells what happens, line by line.
    fn trace(&self, line: fmt::Arguments<'_>);
}

/// What programs do besides transactions.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "stages decide all of it")]
pub struct Habits {
    /// Grant leases and attach keys to them.
    pub leases: bool,
    /// Write what does not decode.
    pub garbage: bool,
    /// The longest pause between two operations of one program.
    pub pause: Duration,
}

impl Habits {
    /// A pause, the longest of which is so many times that between two operations.
    pub(crate) fn pause(&self, rng: &mut Rng, times: u32) -> Duration {
        let longest = u64::try_from((self.pause * times).as_micros()).unwrap_or(u64::MAX);
        Duration::from_micros(rng.u64(0..=longest))
    }
}

impl dyn Stage {
    /// Records how often the next `Db`, in the order of their indices, loaded everything again.
    pub fn resynced(&self, times: u64) {
        self.record(|record| record.resyncs.push(times));
    }

    pub(crate) fn record<T>(&self, add: impl FnOnce(&mut Record) -> T) -> T {
        add(&mut self.records().lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn count(&self, what: &'static str) {
        self.record(|record| *record.counts.entry(what).or_default() += 1);
    }

    pub(crate) fn resyncs(&self, db: usize) -> u64 {
        self.db(db).stats().resyncs
    }

    /// Takes note of what a call said that began after so many resyncs.
    pub(crate) fn heed(&self, db: usize, resyncs: u64, error: &Error) {
        let lost = match error {
            Error::HistoryLost { .. } => true,
            Error::NotCaughtUp { waited, committed, .. } => waited.is_zero() && committed.is_some(),
            _ => false,
        };
        // Else it may be of a history that is not shown any more.
        if lost && self.resyncs(db) == resyncs {
            self.record(|record| record.warned.insert(db, resyncs));
        }
    }

    /// Whether a `Db` has said that the history which it shows is lost.
    pub(crate) fn is_warned(&self, db: usize) -> bool {
        let resyncs = self.resyncs(db);
        self.record(|record| record.warned.get(&db) == Some(&resyncs))
    }

    /// Records what was found wrong on the spot.
    pub fn violation(&self, text: String) {
        self.trace(format_args!("VIOLATION {text}"));
        self.record(|record| record.violations.push(text));
    }
}
