//! A transaction that remembers what it did.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use tailetc_core::{Commit, Error, LeaseId, Prefix, RAW, Txn};
use tokio::time::sleep;

use super::record::{Outcome, Read, TxnRecord};
use super::stage::Stage;
use super::value::{ITEMS, Item, Name};

pub(crate) struct Session<'w> {
    stage: &'w dyn Stage,
    db: usize,
    label: String,
    txn: Txn,
    reads: Vec<Read>,
    writes: BTreeMap<Bytes, Option<Bytes>>,
    validated: bool,
}

impl<'w> Session<'w> {
    pub(crate) fn begin(stage: &'w dyn Stage, db: usize, label: String) -> Self {
        let txn = stage.db(db).txn();
        let (reads, writes) = (Vec::new(), BTreeMap::new());
        Self { stage, db, label, txn, reads, writes, validated: false }
    }

    pub(crate) fn get(&mut self, name: &Name) -> Result<Option<Item>, Error> {
        let item = if name.typed {
            self.txn.get(ITEMS, &name.rest)?.map(|item| *item)
        } else {
            let bytes = self.txn.get(RAW, &name.rest)?;
            bytes.and_then(|bytes| Item::decode(&bytes))
        };
        let (key, value) = (name.whole(), item.map(Item::encode));
        match self.writes.get(&key) {
            Some(own) if *own != value => {
                let label = &self.label;
                self.stage.violation(format!("{label}: own write of {key:?} read as {value:?}"));
            }
            Some(_) => {}
            None => self.reads.push(Read::Key { key, value }),
        }
        Ok(item)
    }

    pub(crate) fn contains(&mut self, name: &Name) -> Result<bool, Error> {
        let exists = match name.typed {
            true => self.txn.contains(ITEMS, &name.rest)?,
            false => self.txn.contains(RAW, &name.rest)?,
        };
        let key = name.whole();
        if !self.writes.contains_key(&key) {
            self.reads.push(Read::Exists { key, exists });
        }
        Ok(exists)
    }

    /// All keys that begin with `name`, relative to the collection.
    pub(crate) fn range(&mut self, name: &Name) -> Result<Vec<(Name, Item)>, Error> {
        let mut found = Vec::new();
        if name.typed {
            for (key, item) in self.txn.range(ITEMS, Prefix(&name.rest))? {
                found.push((Name::item(key.to_string()), *item));
            }
        } else {
            for (key, bytes) in self.txn.range(RAW, Prefix(&name.rest))? {
                let name = Name { typed: false, rest: key.to_string() };
                found.extend(Item::decode(&bytes).map(|item| (name, item)));
            }
        }
        let range = name.prefix();
        let own = self.writes.iter().filter(|(key, _)| range.contains(key));
        let own = own.map(|(key, value)| (key.clone(), value.clone())).collect();
        let pairs = found.iter().map(|(name, item)| (name.whole(), item.encode())).collect();
        self.reads.push(Read::Range { range, own, pairs });
        Ok(found)
    }

    pub(crate) fn put(&mut self, name: &Name, number: i64) -> Result<(), Error> {
        self.put_with_lease(name, number, LeaseId::NONE)
    }

    pub(crate) fn put_with_lease(
        &mut self,
        name: &Name,
        number: i64,
        lease: LeaseId,
    ) -> Result<(), Error> {
        let item = Item { id: self.stage.id(), number };
        match name.typed {
            true => self.txn.put_with_lease(ITEMS, &name.rest, item, lease)?,
            false => self.txn.put_with_lease(RAW, &name.rest, item.encode(), lease)?,
        }
        self.writes.insert(name.whole(), Some(item.encode()));
        Ok(())
    }

    pub(crate) fn delete(&mut self, name: &Name) -> Result<(), Error> {
        match name.typed {
            true => self.txn.delete(ITEMS, &name.rest)?,
            false => self.txn.delete(RAW, &name.rest)?,
        }
        self.writes.insert(name.whole(), None);
        Ok(())
    }

    pub(crate) fn validate(&mut self) {
        self.validated = true;
        self.txn.validate();
    }

    /// Commits, giving up the wait after `patience` if there is one.
    pub(crate) async fn commit(self, patience: Option<Duration>) -> Result<Commit, Error> {
        let Self { stage, db, label, txn, reads, writes, validated } = self;
        let (resyncs, warned) = (stage.resyncs(db), stage.is_warned(db));
        let base = txn.snapshot().revision();
        let called = stage.stamp();
        let written = writes.len();
        stage.trace(format_args!(
            "{label} commits {written} writes, {} reads at {base}",
            reads.len()
        ));
        let commit = Box::pin(txn.commit());
        let result = match patience {
            None => Some(commit.await),
            Some(patience) => tokio::select! {
                biased;
                result = commit => Some(result),
                () = sleep(patience) => None,
            },
        };
        let ended = stage.stamp();
        let (outcome, what) = match &result {
            None => (Outcome::Unknown, "given up"),
            Some(Ok(commit)) => {
                (Outcome::Committed(commit.revision(), commit.changed()), "committed")
            }
            Some(Err(error)) => match error.committed() {
                Some(commit) => {
                    (Outcome::Committed(commit.revision(), true), "committed, not seen")
                }
                None if error.is_outcome_unknown() => (Outcome::Unknown, "unknown"),
                None if error.is_conflict() => (Outcome::NotApplied, "conflict"),
                None => (Outcome::NotApplied, "refused"),
            },
        };
        stage.count(what);
        stage.trace(format_args!("{label} {what} {outcome:?}"));
        let shown_still = warned && stage.resyncs(db) == resyncs;
        if shown_still && matches!(outcome, Outcome::Committed(_, true)) {
            stage.violation(format!("{label}: committed from a history known to be lost"));
        }
        if let Some(Err(error)) = &result {
            stage.heed(db, resyncs, error);
        }
        stage.record(|record| {
            let label = label.clone();
            record.txns.push(TxnRecord {
                label,
                called,
                ended,
                base,
                reads,
                writes,
                validated,
                outcome,
            });
        });
        // None was given up: as good as an error that nobody looks at.
        result.unwrap_or(Err(Error::WritesDenied))
    }
}
