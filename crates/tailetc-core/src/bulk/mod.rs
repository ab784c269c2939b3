//! Many writes, in transactions as large as the store takes, several of them under way at once.

mod chunk;
mod error;
mod ledger;
mod report;

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use tokio::task::JoinSet;

use self::chunk::{Chunk, Done};
pub use self::error::BulkError;
use self::ledger::Ledger;
pub use self::report::{BulkProgress, BulkReport};
use crate::backend::{BackendError, BackendErrorKind};
use crate::txn::{Prepared, Room};
use crate::{Codec, Collection, Db, Error, Key};

/// How many chunks are under way at once, unless it is said.
const CONCURRENCY: usize = 4;

impl Db {
    /// Many writes, for imports and migrations: see [`Bulk`].
    pub fn bulk(&self) -> Bulk {
        Bulk::new(self.clone())
    }
}

/// Writes operations in chunks: transactions as large as the store takes.
///
/// ```
/// use tailetc_core::{Bytes, BulkError, Db, RAW};
///
/// # async fn example(db: &Db, lines: impl Iterator<Item = String>) -> Result<(), BulkError> {
/// let mut bulk = db.bulk().on_progress(|so_far| println!("{} applied", so_far.applied));
/// for line in lines {
///     bulk.put(RAW, line, Bytes::new()).await?; // waits while enough chunks are under way
/// }
/// let report = bulk.finish().await?;
/// println!("{} written in {} chunks", report.written, report.chunks);
/// # Ok(())
/// # }
/// ```
///
/// # Atomicity
///
/// Each chunk is one transaction: applied wholly or not at all, at one revision, and checked like
/// every other (a key that somebody else writes meanwhile makes it run again). The whole is not:
/// readers see some chunks and not yet others. Where chunks begin and end depends on the store's
/// limits; a chunk that turns out too large is split in two.
///
/// # Order
///
/// Operations on one key are applied in the order in which they were given: a chunk with a key that
/// is in a chunk under way waits for that. Within a chunk the last one of a key wins. Apart from
/// that, chunks under way at once may be applied in any order. With a
/// [`concurrency`](Self::concurrency) of 1, all operations are applied in order: for migrations in
/// which a later operation relies on an earlier one of another key, such as one that gives an index
/// key of a unique index to another entry than had it.
///
/// # Memory
///
/// That of the chunks under way and of the one that is being filled.
///
/// # Failure
///
/// The first failure ends it: no further chunk is begun, those under way are waited for, and the
/// [`BulkError`] tells which operations are certainly applied, counted from the first that was
/// given, and of which that is not known. To go on, give the same operations again and
/// [`skip`](Self::skip) the former. Conflicts are run again, as by [`Db::transact`]; what the
/// store certainly did not take and may take later is tried again for some seconds; an unknown
/// outcome is never tried again. (With
/// [`Builder::commit_markers`](crate::Builder::commit_markers) it becomes a known one.) Should a
/// chunk of unknown outcome be applied late, after its keys were given again and written, it does
/// nothing, as long as they are there: every chunk is guarded by the revisions of its keys. A chunk
/// of keys that were all absent is guarded by their absence alone: if they were written and deleted
/// again meanwhile, it puts them once more.
///
/// # Cancel safety
///
/// Dropping it sends nothing any more. Of what was under way, each chunk is applied wholly or not
/// at all.
pub struct Bulk {
    db: Db,
    concurrency: usize,
    if_absent: bool,
    skip: u64,
    /// How many operations were given, those skipped included.
    given: u64,
    filling: Filling,
    running: JoinSet<Done>,
    /// The keys of the chunks under way.
    busy: HashSet<Key>,
    /// The most writes that a chunk is filled with.
    most: usize,
    ledger: Ledger,
    on_progress: Option<Box<dyn FnMut(BulkProgress) + Send>>,
    /// The first failure, and every later one's answer.
    failed: Option<BulkError>,
}

/// The chunk that is being filled.
struct Filling {
    writes: Vec<Prepared>,
    room: Room,
}

impl Filling {
    fn new(db: &Db, most: usize) -> Self {
        Self { writes: Vec::new(), room: Room::new(db.shared(), most) }
    }
}

impl Bulk {
    fn new(db: Db) -> Self {
        let most = usize::MAX;
        Self {
            filling: Filling::new(&db, most),
            db,
            concurrency: CONCURRENCY,
            if_absent: false,
            skip: 0,
            given: 0,
            running: JoinSet::new(),
            busy: HashSet::new(),
            most,
            ledger: Ledger::default(),
            on_progress: None,
            failed: None,
        }
    }

    /// How many chunks may be under way at once, at least 1; 1 keeps everything in order. Default
    /// 4.
    #[must_use]
    pub fn concurrency(mut self, chunks: usize) -> Self {
        self.concurrency = chunks.max(1);
        self
    }

    /// The most operations in a chunk, at least 1. Default: as many as the store takes (etcd: 128).
    #[must_use]
    pub fn chunk_operations(mut self, most: usize) -> Self {
        self.most = most.max(1);
        if self.filling.writes.is_empty() {
            self.filling = Filling::new(&self.db, self.most);
        }
        self
    }

    /// Puts only keys that are absent: a key that is there is left as it is, also if somebody else
    /// puts it meanwhile. Deletions are as ever.
    #[must_use]
    pub fn if_absent(mut self) -> Self {
        self.if_absent = true;
        self
    }

    /// Takes the first `operations` that are given for applied, and passes over them: to go on
    /// after a failure, with what [`BulkError::applied`] has told. To be said before anything is
    /// given; later it does nothing.
    #[must_use]
    pub fn skip(mut self, operations: u64) -> Self {
        if self.given == 0 {
            self.skip = operations;
            self.ledger = Ledger::beginning_at(operations);
        }
        self
    }

    /// Calls `tell` whenever a chunk is known to be applied, from within the other methods.
    #[must_use]
    pub fn on_progress(mut self, tell: impl FnMut(BulkProgress) + Send + 'static) -> Self {
        self.on_progress = Some(Box::new(tell));
        self
    }

    /// Puts a key, without a lease. The value is encoded now. Waits while as many chunks are under
    /// way as may be, and the next is full.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: an operation whose future was dropped before it returned was not taken.
    ///
    /// # Errors
    ///
    /// The failure of an earlier operation, or that of this one: [`Error::Encode`] and the other
    /// errors of [`Txn::put`](crate::Txn::put). Once it has failed, it fails for ever.
    pub async fn put<C: Codec, P>(
        &mut self,
        collection: Collection<C, P>,
        key: impl AsRef<[u8]>,
        value: impl Into<Arc<C::Value>>,
    ) -> Result<(), BulkError> {
        if self.given < self.skip && self.failed.is_none() {
            self.given += 1;
            return Ok(());
        }
        let write = Prepared::put(self.db.shared(), collection, key.as_ref(), value.into());
        self.give(write).await
    }

    /// Deletes a key.
    ///
    /// # Cancel safety
    ///
    /// As for [`put`](Self::put).
    ///
    /// # Errors
    ///
    /// As for [`put`](Self::put).
    pub async fn delete<C: Codec, P>(
        &mut self,
        collection: Collection<C, P>,
        key: impl AsRef<[u8]>,
    ) -> Result<(), BulkError> {
        if self.given < self.skip && self.failed.is_none() {
            self.given += 1;
            return Ok(());
        }
        let write = Prepared::delete(self.db.shared(), collection, key.as_ref());
        self.give(write).await
    }

    /// Writes what is left, waits until everything is applied, and says what was done.
    ///
    /// # Cancel safety
    ///
    /// As for dropping the [`Bulk`].
    ///
    /// # Errors
    ///
    /// The first failure.
    pub async fn finish(mut self) -> Result<BulkReport, BulkError> {
        self.check().await?;
        self.send().await?;
        while !self.running.is_empty() {
            self.collect().await;
            self.check().await?;
        }
        Ok(self.ledger.report(self.given))
    }

    async fn give(&mut self, write: Result<Prepared, Error>) -> Result<(), BulkError> {
        self.check().await?;
        let write = match write {
            Ok(write) => write,
            Err(error) => {
                self.ledger.fail(self.given, error);
                return self.check().await;
            }
        };
        if !self.filling.room.take(&write) {
            self.send().await?;
            // An empty chunk takes whatever comes.
            self.filling.room.take(&write);
        }
        self.filling.writes.push(write);
        self.given += 1;
        Ok(())
    }

    /// Begins the chunk that was filled, as soon as it may run.
    async fn send(&mut self) -> Result<(), BulkError> {
        loop {
            while let Some(done) = self.running.try_join_next() {
                self.settle(done);
            }
            self.check().await?;
            let waits = self.running.len() >= self.concurrency
                || self.filling.writes.iter().any(|write| self.busy.contains(&write.key));
            if !waits {
                break;
            }
            self.collect().await;
        }
        let filled = std::mem::replace(&mut self.filling, Filling::new(&self.db, self.most));
        if filled.writes.is_empty() {
            return Ok(());
        }
        let first = self.given - filled.writes.len() as u64;
        self.busy.extend(filled.writes.iter().map(|write| write.key.clone()));
        let db = self.db.clone();
        let chunk = Chunk { first, writes: filled.writes, if_absent: self.if_absent };
        self.ledger.begin(chunk.operations());
        self.running.spawn(chunk.run(db));
        Ok(())
    }

    async fn collect(&mut self) {
        if let Some(done) = self.running.join_next().await {
            self.settle(done);
        }
    }

    /// Takes note of a chunk that has ended.
    fn settle(&mut self, done: Result<Done, tokio::task::JoinError>) {
        let done = match done {
            Ok(done) => done,
            // The runtime is shutting down: what it has sent may be applied.
            Err(ended) => {
                let unknown = BackendError::new(BackendErrorKind::Unknown, "the task has ended");
                let source = Arc::new(unknown.with_source(ended));
                return self.ledger.fail(self.given, Error::OutcomeUnknown { source });
            }
        };
        for key in &done.keys {
            self.busy.remove(key);
        }
        self.most = self.most.min(done.most.unwrap_or(self.most));
        let applied = done.applied();
        self.ledger.settle(done);
        if let (true, Some(tell)) = (applied, &mut self.on_progress) {
            tell(self.ledger.progress(self.given));
        }
    }

    /// Ends everything after the first failure.
    async fn check(&mut self) -> Result<(), BulkError> {
        if let Some(failed) = &self.failed {
            return Err(failed.clone());
        }
        if !self.ledger.has_failed() {
            return Ok(());
        }
        while !self.running.is_empty() {
            self.collect().await;
        }
        self.filling = Filling::new(&self.db, self.most);
        match self.ledger.failure() {
            Some(failure) => Err(self.failed.insert(failure).clone()),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Bulk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bulk")
            .field("given", &self.given)
            .field("under_way", &self.running.len())
            .field("failed", &self.failed)
            .finish_non_exhaustive()
    }
}
