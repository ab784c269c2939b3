//! The simulated programs, for stages outside of the simulation.

use std::sync::{Arc, Mutex};

use fastrand::Rng;
use tailetc_core::{Builder, Revision, Snapshot};
use tokio::task::JoinSet;

pub use super::outside::write;
use super::record::{Record, Stamp};
use super::stage::Stage;
pub use super::value::MARKERS;
use super::value::declare;
use super::{streams, worker};

/// Names prefix, collections and indexes of a `Db`, and has an observer record all its changes.
pub fn register(builder: Builder, db: usize, record: &Arc<Mutex<Record>>) -> Builder {
    let observer = streams::observer(db, record, |_| {});
    declare(builder).observer(observer)
}

/// Starts so many programs that use a `Db`, and consumers of its watches, which end when it is
/// closed.
pub fn start(
    stage: &Arc<dyn Stage>,
    db: usize,
    programs: usize,
    rng: &mut Rng,
    tasks: &mut JoinSet<()>,
    consumers: &mut JoinSet<()>,
) {
    streams::consumers(stage, db, rng, consumers);
    for program in 0..programs {
        tasks.spawn(worker::work(Arc::clone(stage), db, program, rng.fork()));
    }
}

/// Records what a snapshot shows, that is to be as new as `at_least`.
pub fn keep(
    stage: &dyn Stage,
    label: String,
    asked: Stamp,
    at_least: Option<Revision>,
    snapshot: &Snapshot,
) {
    worker::keep(stage, label, asked, at_least, snapshot);
}
