//! Importing a file of JSON lines, in batches as large as the store takes.
//!
//! How far the import has come is stored in the same transaction as each batch, under the
//! fingerprint of the file. So an import that was killed continues where it was, one whose commit
//! had no answer is simply tried again, two at once share the work, and each record is imported
//! once in all these cases.

mod file;
mod fingerprint;
mod progress;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tailetc::{BoxError, Db, Error};
use tokio::time::{Instant, sleep};

use self::file::{Batch, Budget, Checked};
use self::progress::Progress;
use crate::model::{IMPORTS, Position, SERVICES};
use crate::problem::with_causes;
use crate::shutdown::Stop;

/// For how long a batch is tried again while the store does not take it.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(250);

/// How an import ended.
#[derive(Debug, PartialEq)]
pub(crate) enum Ended {
    Complete,
    Interrupted,
}

impl Ended {
    pub(crate) fn is_interrupted(&self) -> bool {
        *self == Self::Interrupted
    }
}

pub(crate) struct Import<'a> {
    db: &'a Db,
    prefix: &'a str,
    path: &'a Path,
}

impl<'a> Import<'a> {
    pub(crate) fn new(db: &'a Db, prefix: &'a str, path: &'a Path) -> Self {
        Self { db, prefix, path }
    }

    pub(crate) async fn run(&self, mut stop: Stop) -> Result<Ended, BoxError> {
        tokio::select! {
            // Whatever it was about to commit is committed with its position, or not at all.
            () = stop.requested() => {
                eprintln!("import: stopped; on the same store, the same command goes on from here");
                Ok(Ended::Interrupted)
            }
            complete = self.complete() => complete.map(|()| Ended::Complete),
        }
    }

    async fn complete(&self) -> Result<(), BoxError> {
        let file = Checked::read(self.path, self.budget()).await?;
        let done = self.position(&file).await?;
        if done == file.lines {
            eprintln!("import: {} is complete ({done} lines)", file.name);
            return Ok(());
        }
        if done > 0 {
            eprintln!("import: {} continues after line {done} of {}", file.name, file.lines);
        }
        let mut progress = Progress::begin(&file, done);
        let mut batches = file.batches(done);
        while let Some(batch) = batches.recv().await {
            let batch = batch?;
            self.apply(&file, &batch, &progress).await?;
            progress.reached(batch.end);
        }
        progress.complete();
        Ok(())
    }

    /// What fits into one transaction.
    fn budget(&self) -> Budget {
        let store = self.db.backend().capabilities();
        Budget {
            // One is for the position.
            records: store.max_txn_ops.saturating_sub(1).max(1),
            bytes: store.max_request_bytes.saturating_sub(Budget::POSITION),
            key: self.prefix.len() + SERVICES.prefix().len(),
        }
    }

    /// How many lines were imported before, by this process or another.
    async fn position(&self, file: &Checked) -> Result<u64, Error> {
        let position = self.db.fresh().await?.get(IMPORTS, &file.fingerprint)?;
        Ok(position.map_or(0, |position| position.lines))
    }

    async fn apply(&self, file: &Checked, batch: &Batch, progress: &Progress) -> Result<(), Error> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            // Also after an unknown outcome: if the transaction was applied, the position says so,
            // and the next one finds nothing to do.
            match self.try_apply(file, batch).await {
                Err(error) if error.committed().is_some() => return Ok(()),
                Err(error) if may_pass(&error) && Instant::now() < deadline => {
                    progress.say(&format!("import: {}; trying again", with_causes(&error)));
                    sleep(PAUSE).await;
                }
                outcome => return outcome,
            }
        }
    }

    async fn try_apply(&self, file: &Checked, batch: &Batch) -> Result<(), Error> {
        let apply = |txn: &mut tailetc::Txn| {
            let done = txn.get(IMPORTS, &file.fingerprint)?.map_or(0, |position| position.lines);
            for record in batch.records.iter().filter(|record| record.line > done) {
                txn.put(SERVICES, &record.name, Arc::clone(&record.service))?;
            }
            if done < batch.end {
                let position =
                    Position { file: file.name.clone(), lines: batch.end, of: file.lines };
                txn.put(IMPORTS, &file.fingerprint, position)?;
            }
            Ok::<_, Error>(())
        };
        self.db.transact(apply).await.map(drop)
    }
}

fn may_pass(error: &Error) -> bool {
    error.is_transient() || error.is_outcome_unknown() || error.is_conflict()
}
