//! What all actors of a run share.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tailetc_core::backend::KvBackend;
use tailetc_core::{Db, Token};
use tokio::time::Instant;

use super::record::{Record, Stamp};
use super::setup::Setup;
use super::stage::{Habits, Stage};
use super::trace::Trace;
use crate::faulty::{Cluster, FaultyBackend};

pub(crate) struct World {
    pub(crate) setup: Setup,
    pub(crate) cluster: Cluster,
    pub(crate) dbs: Vec<Db>,
    /// The way of each `Db` to the cluster.
    pub(crate) clients: Vec<FaultyBackend>,
    /// The way of everybody else.
    pub(crate) outside: FaultyBackend,
    pub(crate) trace: Arc<Trace>,
    pub(crate) began: Instant,
    pub(crate) record: Arc<Mutex<Record>>,
    /// Tokens of commits, with the era and revision that they promise.
    pub(crate) tokens: Mutex<Vec<(Token, usize)>>,
    next_id: AtomicU64,
    operations: AtomicUsize,
    over: AtomicBool,
}

impl World {
    pub(crate) fn new(
        setup: Setup,
        cluster: Cluster,
        clients: Vec<FaultyBackend>,
        dbs: Vec<Db>,
        trace: Arc<Trace>,
        record: Arc<Mutex<Record>>,
        outside: FaultyBackend,
    ) -> Arc<Self> {
        Arc::new(Self {
            setup,
            outside,
            cluster,
            dbs,
            clients,
            trace,
            began: Instant::now(),
            record,
            tokens: Mutex::default(),
            next_id: AtomicU64::new(1_000),
            operations: AtomicUsize::new(0),
            over: AtomicBool::new(false),
        })
    }

    /// Ends operator and foreign writers.
    pub(crate) fn finish(&self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

impl Stage for World {
    fn db(&self, index: usize) -> &Db {
        &self.dbs[index]
    }

    fn outside(&self) -> &dyn KvBackend {
        &self.outside
    }

    fn stamp(&self) -> Stamp {
        Stamp {
            at: self.began.elapsed(),
            era: self.cluster.restores(),
            seen: self.cluster.seen_revision(),
        }
    }

    fn id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    fn records(&self) -> &Mutex<Record> {
        &self.record
    }

    fn tokens(&self) -> &Mutex<Vec<(Token, usize)>> {
        &self.tokens
    }

    fn next_operation(&self) -> Option<usize> {
        let number = self.operations.fetch_add(1, Ordering::Relaxed);
        (number < self.setup.operations).then_some(number)
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    fn habits(&self) -> Habits {
        let Setup { leases, garbage, .. } = self.setup;
        Habits { leases, garbage, pause: Duration::from_millis(20) }
    }

    fn is_calm(&self, db: usize) -> bool {
        self.setup.unrest == 0 && !self.setup.distrustful[db]
    }

    fn trace(&self, line: fmt::Arguments<'_>) {
        self.trace.line(line);
    }
}
