//! A thread that reads as fast as it can.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use tailetc::{Db, RAW};
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// How many reads are made between two looks at whether to go on.
const BATCH: u64 = 1_000;

pub(crate) struct Reader {
    counts: Arc<Counts>,
    since: Mutex<(Instant, u64)>,
    thread: JoinHandle<()>,
}

#[derive(Default)]
struct Counts {
    reads: AtomicU64,
    over: AtomicBool,
}

impl Reader {
    pub(crate) fn start(db: Db) -> Self {
        let counts = Arc::new(Counts::default());
        let theirs = Arc::clone(&counts);
        let thread = tokio::task::spawn_blocking(move || {
            while !theirs.over.load(Ordering::Relaxed) {
                let found = (0..BATCH).filter(|number| {
                    let read = db.get(RAW, format!("key/{number}"));
                    read.is_ok_and(|value| value.is_some())
                });
                theirs.reads.fetch_add(found.count() as u64, Ordering::Relaxed);
            }
        });
        Self { counts, since: Mutex::new((Instant::now(), 0)), thread }
    }

    /// Reads per second since the last call.
    pub(crate) fn take(&self) -> f64 {
        let reads = self.counts.reads.load(Ordering::Relaxed);
        let mut since = self.since.lock().unwrap_or_else(PoisonError::into_inner);
        let (began, before) = std::mem::replace(&mut *since, (Instant::now(), reads));
        (reads - before) as f64 / began.elapsed().as_secs_f64()
    }

    /// Ends it; reads per second since the last call.
    pub(crate) async fn end(self) -> f64 {
        let reads = self.take();
        self.counts.over.store(true, Ordering::Relaxed);
        // A thread that panicked has said so.
        let _ = self.thread.await;
        reads
    }
}
