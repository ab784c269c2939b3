//! One transaction of a bulk, or several, if it turns out too large.

use std::collections::VecDeque;
use std::ops::Range;

use tokio::time::sleep;

use crate::tail::Backoff;
use crate::txn::{Prepared, is_too_large};
use crate::{Commit, Db, Error, Key, LeaseId};

/// How often a chunk is tried that the store certainly did not take, and may take later.
const ATTEMPTS: u32 = 8;

/// Operations to be applied together.
pub(super) struct Chunk {
    /// The number of the first operation.
    pub(super) first: u64,
    pub(super) writes: Vec<Prepared>,
    pub(super) if_absent: bool,
}

/// What became of a chunk.
pub(super) struct Done {
    pub(super) operations: Range<u64>,
    pub(super) keys: Vec<Key>,
    /// In order; of a chunk that failed, they end before `failed`.
    pub(super) pieces: Vec<Piece>,
    pub(super) failed: Option<Failed>,
    /// How many writes fit into one transaction, if the chunk was too many.
    pub(super) most: Option<usize>,
}

/// One committed transaction.
pub(super) struct Piece {
    pub(super) operations: Range<u64>,
    pub(super) written: u64,
    pub(super) commit: Commit,
}

pub(super) struct Failed {
    /// Those of the transaction that failed.
    pub(super) operations: Range<u64>,
    pub(super) error: Error,
}

impl Done {
    pub(super) fn applied(&self) -> bool {
        !self.pieces.is_empty()
    }
}

impl Chunk {
    pub(super) fn operations(&self) -> Range<u64> {
        self.first..self.first + self.writes.len() as u64
    }

    pub(super) async fn run(self, db: Db) -> Done {
        let mut done = Done {
            operations: self.operations(),
            keys: self.writes.iter().map(|write| write.key.clone()).collect(),
            pieces: Vec::new(),
            failed: None,
            most: None,
        };
        let mut due = VecDeque::from_iter(std::iter::once(0..self.writes.len()));
        while let Some(part) = due.pop_front() {
            let operations = self.first + part.start as u64..self.first + part.end as u64;
            let (written, outcome) = self.apply(&db, &self.writes[part.clone()]).await;
            match outcome {
                Ok(commit) => done.pieces.push(Piece { operations, written, commit }),
                Err(error) if is_too_large(&error) && part.len() > 1 => {
                    let middle = part.start + part.len() / 2;
                    done.most = Some(part.len() / 2);
                    due.push_front(middle..part.end);
                    due.push_front(part.start..middle);
                }
                Err(error) => {
                    if let Some(commit) = error.committed() {
                        let operations = operations.clone();
                        done.pieces.push(Piece { operations, written, commit });
                    }
                    done.failed = Some(Failed { operations, error });
                    break;
                }
            }
        }
        done
    }

    /// Commits some of the writes; returns how many keys were to be written.
    async fn apply(&self, db: &Db, writes: &[Prepared]) -> (u64, Result<Commit, Error>) {
        let mut written = 0;
        let mut backoff = Backoff::new(&db.shared().options);
        let mut attempt = 1;
        loop {
            let run = db.transact(|txn| {
                written = 0;
                for write in writes {
                    let is_there = || txn.lease_of(&write.key).is_some();
                    if self.if_absent && write.is_put() && is_there() {
                        continue;
                    }
                    txn.write_prepared(write, LeaseId::NONE)?;
                    written += 1;
                }
                Ok::<_, Error>(())
            });
            match run.await {
                Err(error @ Error::Backend { .. })
                    if error.is_transient() && attempt < ATTEMPTS =>
                {
                    tracing::debug!(%error, attempt, "a chunk is tried again");
                    attempt += 1;
                    sleep(backoff.pause(db.shared().random())).await;
                }
                outcome => return (written, outcome.map(|((), commit)| commit)),
            }
        }
    }
}
