//! Many programs on many pairs of servers, and what is done about a divergence.

mod confirm;
mod finding;
mod regressions;
mod shrink;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::{Duration, Instant};

use self::confirm::confirm;
pub use self::finding::Finding;
pub use self::regressions::{load, store};
use crate::duel::{Broken, Compared, Duel, Kind, Pauses};
use crate::program::{Program, generate};

/// Programs after which a pair is replaced: databases grow.
const PROGRAMS_PER_PAIR: usize = 400;

/// What is run.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Hunt {
    /// The real server.
    pub a: Kind,
    /// What is compared with it.
    pub b: Kind,
    /// How many generated programs. Default: 100.
    pub programs: u64,
    /// Which sequence of programs. Default: 0.
    pub seed: u64,
    /// How many pairs of servers run side by side; waiting takes most of a pair's time.
    /// Default: 16.
    pub pairs: usize,
    /// After so many findings no more programs are begun. Default: 3.
    pub enough: usize,
    /// Whether a finding is made smaller. Default: true.
    pub shrink: bool,
    /// Told of each finding at once. Default: nobody.
    pub tell: Option<fn(&Finding)>,
}

impl Hunt {
    /// A hunt with the defaults.
    pub fn new(a: Kind, b: Kind) -> Self {
        Self { a, b, programs: 100, seed: 0, pairs: 16, enough: 3, shrink: true, tell: None }
    }

    /// Sets [`programs`](Self::programs).
    #[must_use]
    pub fn with_programs(mut self, programs: u64) -> Self {
        self.programs = programs;
        self
    }

    /// Sets [`seed`](Self::seed).
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Sets [`pairs`](Self::pairs).
    #[must_use]
    pub fn with_pairs(mut self, pairs: usize) -> Self {
        self.pairs = pairs;
        self
    }

    /// Sets [`enough`](Self::enough).
    #[must_use]
    pub fn with_enough(mut self, findings: usize) -> Self {
        self.enough = findings;
        self
    }

    /// Does not make findings smaller.
    #[must_use]
    pub fn without_shrinking(mut self) -> Self {
        self.shrink = false;
        self
    }

    /// Tells of each finding at once.
    #[must_use]
    pub fn with_tell(mut self, tell: fn(&Finding)) -> Self {
        self.tell = Some(tell);
        self
    }

    /// Runs the programs.
    ///
    /// # Errors
    ///
    /// When a server does not start.
    ///
    /// # Cancel safety
    ///
    /// A dropped future ends all servers.
    pub async fn run(self) -> Result<Report, HuntError> {
        let started = Instant::now();
        let pairs = self.pairs;
        let work = Arc::new(Work {
            hunt: self,
            next: AtomicU64::new(0),
            stop: AtomicBool::new(false),
            report: Mutex::new(Report::default()),
            confirming: Mutex::new(()),
        });
        let mut workers = JoinSet::new();
        for _ in 0..pairs {
            workers.spawn(Arc::clone(&work).worker());
        }
        while let Some(ended) = workers.join_next().await {
            ended.map_err(|e| HuntError(e.to_string()))??;
        }
        let mut report = std::mem::take(&mut *work.report.lock().await);
        report.time = started.elapsed();
        Ok(report)
    }

    /// Runs programs one after the other on one fresh pair, and returns where they part.
    ///
    /// # Errors
    ///
    /// When a server does not start.
    ///
    /// # Cancel safety
    ///
    /// A dropped future ends both servers.
    pub async fn replay(&self, programs: &[Program]) -> Result<Option<String>, HuntError> {
        let divergence = confirm::part(self, programs, Pauses::PATIENT).await?;
        Ok(divergence.map(|divergence| divergence.to_string()))
    }
}

/// A server does not start.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct HuntError(String);

impl From<Broken> for HuntError {
    fn from(broken: Broken) -> Self {
        let mut text = broken.to_string();
        let mut source = std::error::Error::source(&broken);
        while let Some(cause) = source {
            text = format!("{text}: {cause}");
            source = cause.source();
        }
        Self(text)
    }
}

/// What a hunt has seen.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Report {
    /// The programs that were run.
    pub programs: u64,
    /// The requests that were compared, those of watches among them.
    pub requests: u64,
    /// The responses of watches that were compared.
    pub watch_responses: u64,
    /// The time it took.
    pub time: Duration,
    /// Divergences that did not come again, as `program: divergence`.
    pub vanished: Vec<String>,
    /// Divergences that did.
    pub findings: Vec<Finding>,
}

#[derive(Debug)]
struct Work {
    hunt: Hunt,
    next: AtomicU64,
    stop: AtomicBool,
    report: Mutex<Report>,
    /// One divergence at a time is looked at.
    confirming: Mutex<()>,
}

impl Work {
    async fn worker(self: Arc<Self>) -> Result<(), HuntError> {
        let mut pair = None;
        // The programs that the pair has run.
        let mut history = Vec::new();
        while let Some(number) = self.next_program() {
            let mut duel = match pair.take() {
                Some(duel) => duel,
                None => Duel::start(&self.hunt.a, &self.hunt.b, Pauses::QUICK).await?,
            };
            let program = program(self.hunt.seed, number)?;
            history.push(number);
            let outcome = Box::pin(duel.run(&program)).await;
            self.count(duel.take_compared()).await;
            match outcome {
                Ok(()) if history.len() < PROGRAMS_PER_PAIR => pair = Some(duel),
                Ok(()) => history.clear(),
                Err(divergence) => {
                    drop(duel);
                    Box::pin(confirm(&self, &history, divergence)).await?;
                    history.clear();
                }
            }
        }
        Ok(())
    }

    fn next_program(&self) -> Option<u64> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let go = number < self.hunt.programs && !self.stop.load(Ordering::Relaxed);
        go.then_some(number)
    }

    async fn count(&self, compared: Compared) {
        let mut report = self.report.lock().await;
        report.programs += 1;
        report.requests += compared.requests;
        report.watch_responses += compared.watch_responses;
    }
}

/// The program with this number.
fn program(seed: u64, number: u64) -> Result<Program, HuntError> {
    generate(seed, number).map_err(|e| HuntError(e.to_string()))
}
