//! Deterministic simulation: one seed decides everything that happens to several `Db`s over one
//! store, and an oracle that knows all histories of the store judges what they did and saw.
//!
//! A run is on one thread and on tokio's paused clock. With the same seed, the same program and
//! `--cfg tokio_unstable` (by which tokio's own generator is seeded too; this workspace sets it in
//! `.cargo/config.toml`) it repeats line by line.
//!
//! ```no_run
//! let report = tailetc_testkit::simulation::run(7, 1_000, true);
//! for line in &report.trace {
//!     println!("{line}");
//! }
//! assert_eq!(report.violations, Vec::<String>::new());
//! ```

mod finish;
mod outside;
pub mod programs;
pub(crate) mod record;
mod session;
mod setup;
mod stage;
mod streams;
mod trace;
mod transfer;
pub(crate) mod value;
mod view;
mod worker;
pub(crate) mod workload;
mod world;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use fastrand::Rng;
use tailetc_core::{Db, Error, Options};
use tailetc_memkv::{MemKv, MemKvOptions};
use tokio::task::JoinSet;
use tokio::time::timeout;

pub use self::record::{Record, Stamp};
use self::setup::Setup;
pub use self::stage::{Habits, Stage};
use self::trace::Trace;
pub use self::transfer::{DBS, Merged, Verdict};
use self::value::{Item, MARKERS, Name, declare};
use self::world::World;
use crate::faulty::{Cluster, FaultPlan, FaultyBackend, Identity};
use crate::oracle;
pub use crate::oracle::Observed;

/// What became of a run.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Report {
    /// What was found wrong; nothing, if all promises were kept.
    pub violations: Vec<String>,
    /// What the seed decided beforehand, printed.
    pub setup: String,
    /// Everything that happened, if it was asked for: virtual microseconds and what.
    pub trace: Vec<String>,
    /// How many lines the trace has or would have.
    pub trace_lines: u64,
    /// A hash of the trace.
    pub trace_hash: u64,
    /// How often what happened.
    pub counts: BTreeMap<&'static str, u64>,
    /// The transactions, in the form that other checkers take.
    pub observed: Vec<Observed>,
}

/// How long a run may take, in virtual time: far more than any does.
const PATIENCE: Duration = Duration::from_secs(7_200);

/// Runs the simulation of this seed, with so many operations. Keeps the trace if asked for.
///
/// # Panics
///
/// If no runtime can be made.
pub fn run(seed: u64, operations: usize, keep_trace: bool) -> Report {
    run_as(seed, keep_trace, |rng| Setup::draw(rng, operations))
}

/// The same without anybody who writes but the transactions of `Db`s: all that happened is in
/// [`Report::observed`], for checkers that know nothing of the store. What is there at the
/// beginning is in [`initial`].
///
/// # Panics
///
/// As for [`run`].
pub fn run_alone(seed: u64, operations: usize) -> Report {
    run_as(seed, false, |rng| Setup::draw(rng, operations).alone())
}

/// What the store holds when a run begins.
pub fn initial() -> Vec<(Bytes, Bytes)> {
    let items = begin_with().into_iter().zip(1..);
    items.map(|((name, number), id)| (name.whole(), Item { id, number }.encode())).collect()
}

#[expect(clippy::expect_used, reason = "a simulation without a runtime cannot report anything")]
fn run_as(seed: u64, keep_trace: bool, setup: impl FnOnce(&mut Rng) -> Setup) -> Report {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_time().start_paused(true);
    #[cfg(tokio_unstable)]
    builder.rng_seed(tokio::runtime::RngSeed::from_bytes(&seed.to_le_bytes()));
    let runtime = builder.build().expect("a runtime without I/O");
    runtime.block_on(async {
        let mut rng = Rng::with_seed(seed);
        let setup = setup(&mut rng);
        let printed = format!("{setup:?}");
        let trace = Arc::new(Trace::new(keep_trace));
        let record = Arc::new(Mutex::new(Record::default()));
        let simulated = simulate(setup, rng, Arc::clone(&trace), Arc::clone(&record));
        let outcome = timeout(PATIENCE, simulated).await;
        let mut record =
            std::mem::take(&mut *record.lock().unwrap_or_else(PoisonError::into_inner));
        let observed = match outcome {
            Ok(Ok(histories)) => oracle::judge(&mut record, &histories),
            Ok(Err(failure)) => {
                record.violations.push(failure);
                Vec::new()
            }
            Err(_) => {
                record.violations.push(format!("not finished within {PATIENCE:?}"));
                Vec::new()
            }
        };
        let (trace, trace_lines, trace_hash) = trace.finish();
        let (violations, counts) = (record.violations, record.counts);
        Report { violations, setup: printed, trace, trace_lines, trace_hash, counts, observed }
    })
}

async fn simulate(
    setup: Setup,
    mut rng: Rng,
    trace: Arc<Trace>,
    record: Arc<Mutex<Record>>,
) -> Result<Vec<crate::faulty::History>, String> {
    let identity = Identity { cluster_id: 1_000, raft_term: 50 };
    let cluster = cluster(identity, &trace);
    let clients: Vec<_> = setup.plans.iter().map(|plan| cluster.client(plan.clone())).collect();
    let latency = Duration::from_millis(2);
    let outside = cluster.client(FaultPlan::seeded(rng.u64(..)).with_latency(latency));
    outside::prepare(&cluster, initial()).await.map_err(|error| error.to_string())?;
    let mut dbs = Vec::new();
    for (index, client) in clients.iter().enumerate() {
        if setup.distrustful[index] {
            client.distrust_progress();
        }
        let options = Setup::options(&mut rng);
        let observer = || {
            let trace = Arc::clone(&trace);
            streams::observer(index, &record, move |line| trace.line(line))
        };
        dbs.push(connect(client, options, setup.marked[index], observer).await?);
    }
    let world = World::new(setup, cluster, clients, dbs, trace, record, outside);

    let (mut workers, mut others) = (JoinSet::new(), JoinSet::new());
    let mut consumers = JoinSet::new();
    let stage: Arc<dyn Stage> = world.clone();
    for db in 0..world.dbs.len() {
        streams::consumers(&stage, db, &mut rng, &mut consumers);
        for worker in 0..world.setup.workers_per_db {
            workers.spawn(worker::work(Arc::clone(&stage), db, worker, rng.fork()));
        }
    }
    for _ in 0..world.setup.foreign_writers {
        others.spawn(outside::write(Arc::clone(&stage), rng.fork()));
    }
    others.spawn(outside::operate(Arc::clone(&world), identity, rng.fork()));
    join(&mut workers).await?;
    world.finish();
    join(&mut others).await?;
    finish::converge(&world).await;
    join(&mut consumers).await?;
    world.cluster.histories().await.map_err(|error| error.to_string())
}

fn cluster(identity: Identity, trace: &Arc<Trace>) -> Cluster {
    let trace = Arc::clone(trace);
    let make = |identity: Identity| {
        let options = MemKvOptions::default()
            .with_cluster_id(identity.cluster_id)
            .with_raft_term(identity.raft_term);
        Arc::new(MemKv::with_options(options)) as Arc<dyn tailetc_core::backend::KvBackend>
    };
    Cluster::tapped(identity, make, move |line| trace.line(line))
}

fn begin_with() -> Vec<(Name, i64)> {
    let accounts =
        (0..workload::ACCOUNTS).map(|number| (workload::account(number), workload::BALANCE));
    accounts.collect()
}

/// Connects, again and again: a client with faults has them from the start.
async fn connect<O: FnMut(&tailetc_core::ChangeSet) + Send + 'static>(
    client: &FaultyBackend,
    options: Options,
    marked: bool,
    observer: impl Fn() -> O,
) -> Result<Db, String> {
    let mut last: Option<Error> = None;
    for _ in 0..200 {
        let mut builder = declare(Db::builder(client.clone()));
        if marked {
            builder = builder.commit_markers(MARKERS);
        }
        match builder.options(options.clone()).observer(observer()).connect().await {
            Ok(db) => return Ok(db),
            Err(error) => last = Some(error),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Err(format!("cannot connect: {last:?}"))
}

async fn join(tasks: &mut JoinSet<()>) -> Result<(), String> {
    while let Some(ended) = tasks.join_next().await {
        ended.map_err(|error| format!("a task failed: {error}"))?;
    }
    Ok(())
}
