//! The stage of the simulated programs in this process.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tailetc::backend::KvBackend;
use tailetc::{Db, Token};
use tailetc_testkit::simulation::{Habits, Record, Stage, Stamp};

use super::clock::Clock;
use super::tap::Tap;

pub(crate) struct Floor {
    pub(crate) dbs: Vec<Db>,
    outside: Tap,
    clock: Arc<Clock>,
    record: Arc<Mutex<Record>>,
    tokens: Mutex<Vec<(Token, usize)>>,
    next_id: AtomicU64,
    operations: AtomicUsize,
    over: AtomicBool,
    pause: Duration,
}

impl Floor {
    pub(crate) fn new(
        process: usize,
        dbs: Vec<Db>,
        outside: Tap,
        clock: Arc<Clock>,
        record: Arc<Mutex<Record>>,
        pause: Duration,
    ) -> Self {
        Self {
            dbs,
            outside,
            clock,
            record,
            tokens: Mutex::default(),
            next_id: AtomicU64::new((process as u64 + 1) << 32),
            operations: AtomicUsize::new(0),
            over: AtomicBool::new(false),
            pause,
        }
    }

    pub(crate) fn finish(&self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

impl Stage for Floor {
    fn db(&self, index: usize) -> &Db {
        &self.dbs[index]
    }

    fn outside(&self) -> &dyn KvBackend {
        &self.outside
    }

    fn stamp(&self) -> Stamp {
        self.clock.stamp()
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
        (!self.is_over()).then_some(number)
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    fn habits(&self) -> Habits {
        Habits { leases: true, garbage: true, pause: self.pause }
    }

    fn is_calm(&self, _: usize) -> bool {
        false
    }

    fn trace(&self, _: fmt::Arguments<'_>) {}
}
