//! A program that commits again and again, and writes down how it ends.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tailetc::{Bytes, Db, Error, RAW};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use crate::Failure;

pub(crate) struct Committer {
    ends: Arc<Mutex<Ends>>,
    over: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

/// How commits ended.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ends {
    pub(crate) acknowledged: Vec<u64>,
    /// By what the error was, and whether it is one of those that an outage gives.
    failed: BTreeMap<(String, bool), u64>,
    slowest: Duration,
}

pub(crate) fn key(outage: &str, number: u64) -> String {
    format!("{outage}/{number}")
}

impl Committer {
    pub(crate) fn start(db: Db, outage: &'static str) -> Self {
        let (ends, over) =
            (Arc::new(Mutex::new(Ends::default())), Arc::new(AtomicBool::new(false)));
        let task = tokio::spawn(commit(db, outage, Arc::clone(&ends), Arc::clone(&over)));
        Self { ends, over, task }
    }

    /// What became of the commits so far.
    pub(crate) fn take(&self) -> Ends {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) async fn end(self) -> Ends {
        self.over.store(true, Ordering::Relaxed);
        // A task that panicked has said so.
        let _ = self.task.await;
        std::mem::take(&mut *self.ends.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

async fn commit(db: Db, outage: &str, ends: Arc<Mutex<Ends>>, over: Arc<AtomicBool>) {
    for number in 0.. {
        if over.load(Ordering::Relaxed) {
            return;
        }
        let began = Instant::now();
        let result = async {
            let mut txn = db.txn();
            txn.put(RAW, key(outage, number), Bytes::from("there"))?;
            txn.commit().await
        };
        let result = result.await;
        let took = began.elapsed();
        {
            let mut ends = ends.lock().unwrap_or_else(PoisonError::into_inner);
            ends.slowest = ends.slowest.max(took);
            match result {
                Ok(_) => ends.acknowledged.push(number),
                Err(error) => *ends.failed.entry(described(&error)).or_default() += 1,
            }
        }
        sleep(Duration::from_millis(50)).await;
    }
}

fn described(error: &Error) -> (String, bool) {
    let what = match error {
        Error::OutcomeUnknown { .. } => "unknown outcome",
        Error::Backend { .. } => "certainly not applied",
        Error::NotCaughtUp { .. } => "committed, not caught up with",
        _ => "unexpected",
    };
    let expected = error.is_outcome_unknown()
        || matches!(error, Error::Backend { .. } if error.is_transient())
        || error.committed().is_some();
    let kind = error.backend_kind();
    (format!("{what} ({kind:?})"), expected)
}

impl Ends {
    pub(crate) fn print(&self) {
        println!("  commits acknowledged until the end     {:>12}", self.acknowledged.len());
        for ((what, _), count) in &self.failed {
            println!("  commits that failed                    {count:>12} {what}");
        }
        println!("  the slowest commit                     {:>12.2?}", self.slowest);
    }

    /// Commits failed, with errors that say that trying again can help, and in time.
    pub(crate) fn check(&self, deadline: Duration) -> Result<(), Failure> {
        if self.failed.is_empty() {
            return Err("no commit has failed".into());
        }
        if let Some((what, _)) = self.failed.keys().find(|(_, expected)| !expected) {
            return Err(format!("a commit failed with what an outage does not give: {what}").into());
        }
        if self.slowest > deadline {
            return Err(format!("a commit took {:?}, over {deadline:?}", self.slowest).into());
        }
        Ok(())
    }
}
