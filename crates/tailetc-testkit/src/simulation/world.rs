//! What all actors of a run share.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tailetc_core::{Db, Error, Token};
use tokio::time::Instant;

use super::record::{Record, Stamp};
use super::setup::Setup;
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
    /// How often a `Db` had resynced when it last said that the history which it shows is lost.
    warned: Mutex<BTreeMap<usize, u64>>,
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
            warned: Mutex::default(),
            next_id: AtomicU64::new(1_000),
            operations: AtomicUsize::new(0),
            over: AtomicBool::new(false),
        })
    }

    pub(crate) fn stamp(&self) -> Stamp {
        Stamp {
            at: self.began.elapsed(),
            era: self.cluster.restores(),
            seen: self.cluster.seen_revision(),
        }
    }

    /// A number that no other write has.
    pub(crate) fn id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    /// The number of the next operation; none when there have been enough.
    pub(crate) fn next_operation(&self) -> Option<usize> {
        let number = self.operations.fetch_add(1, Ordering::Relaxed);
        (number < self.setup.operations).then_some(number)
    }

    /// Ends operator and foreign writers.
    pub(crate) fn finish(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    pub(crate) fn resyncs(&self, db: usize) -> u64 {
        self.dbs[db].stats().resyncs
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
            self.warned.lock().unwrap_or_else(PoisonError::into_inner).insert(db, resyncs);
        }
    }

    /// Whether a `Db` has said that the history which it shows is lost.
    pub(crate) fn is_warned(&self, db: usize) -> bool {
        let warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        warned.get(&db) == Some(&self.resyncs(db))
    }

    pub(crate) fn record<T>(&self, add: impl FnOnce(&mut Record) -> T) -> T {
        add(&mut self.record.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn count(&self, what: &'static str) {
        self.record(|record| *record.counts.entry(what).or_default() += 1);
    }

    pub(crate) fn violation(&self, text: String) {
        self.trace.line(format_args!("VIOLATION {text}"));
        self.record(|record| record.violations.push(text));
    }

    pub(crate) fn trace(&self, text: fmt::Arguments<'_>) {
        self.trace.line(text);
    }
}
