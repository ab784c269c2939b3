//! A transaction that remembers what it did.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tailetc_core::backend::KeyRange;
use tailetc_core::{Commit, Error, Key, LeaseId, Prefix, RAW, Snapshot, Txn};
use tokio::time::sleep;

use super::record::{Outcome, Read, TxnRecord};
use super::stage::Stage;
use super::value::{Area, BY_NUMBER, BY_SEAT, ITEMS, Item, Name, PLACES};

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
        let item = match name.area {
            Area::Items => self.txn.get(ITEMS, &name.rest)?.map(|item| *item),
            Area::Places => self.txn.get(PLACES, &name.rest)?.map(|item| *item),
            Area::Raw => {
                let bytes = self.txn.get(RAW, &name.rest)?;
                bytes.and_then(|bytes| Item::decode(&bytes))
            }
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
        let exists = match name.area {
            Area::Items => self.txn.contains(ITEMS, &name.rest)?,
            Area::Places => self.txn.contains(PLACES, &name.rest)?,
            Area::Raw => self.txn.contains(RAW, &name.rest)?,
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
        match name.area {
            Area::Items => {
                for (key, item) in self.txn.range(ITEMS, Prefix(&name.rest))? {
                    found.push((Name::item(key.to_string()), *item));
                }
            }
            Area::Places => {
                for (key, item) in self.txn.range(PLACES, Prefix(&name.rest))? {
                    found.push((Name::place(key.to_string()), *item));
                }
            }
            Area::Raw => {
                for (key, bytes) in self.txn.range(RAW, Prefix(&name.rest))? {
                    let name = Name { area: Area::Raw, rest: key.to_string() };
                    found.extend(Item::decode(&bytes).map(|item| (name, item)));
                }
            }
        }
        let (range, own) = (name.prefix(), self.own_within(&name.prefix()));
        let pairs = found.iter().map(|(name, item)| (name.whole(), item.encode())).collect();
        self.reads.push(Read::Range { range, own, pairs });
        Ok(found)
    }

    /// All items, or places, whose numbers are in a range, by their numbers.
    pub(crate) fn numbers(
        &mut self,
        area: Area,
        numbers: RangeInclusive<i64>,
    ) -> Result<Vec<(Name, Item)>, Error> {
        let (low, high) = (*numbers.start(), *numbers.end());
        let found = match area {
            Area::Items => self.txn.index_range(BY_NUMBER, low..=high)?,
            _ if low == high => self.txn.index_get(BY_SEAT, low)?,
            _ => self.txn.index_range(BY_SEAT, low..=high)?,
        };
        let named = |(key, item): (Key, Arc<Item>)| (Name { area, rest: key.to_string() }, *item);
        let found: Vec<_> = found.into_iter().map(named).collect();
        let range = Name { area, rest: String::new() }.prefix();
        let own = self.own_within(&range);
        let pairs = found.iter().map(|(name, item)| (name.whole(), item.encode())).collect();
        self.reads.push(Read::Numbers { range, low, high, own, pairs });
        Ok(found)
    }

    fn own_within(&self, range: &KeyRange) -> BTreeMap<Bytes, Option<Bytes>> {
        let own = self.writes.iter().filter(|(key, _)| range.contains(key));
        own.map(|(key, value)| (key.clone(), value.clone())).collect()
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
        match name.area {
            Area::Items => self.txn.put_with_lease(ITEMS, &name.rest, item, lease)?,
            Area::Places => self.txn.put(PLACES, &name.rest, item)?,
            Area::Raw => self.txn.put_with_lease(RAW, &name.rest, item.encode(), lease)?,
        }
        self.writes.insert(name.whole(), Some(item.encode()));
        Ok(())
    }

    pub(crate) fn delete(&mut self, name: &Name) -> Result<(), Error> {
        match name.area {
            Area::Items => self.txn.delete(ITEMS, &name.rest)?,
            Area::Places => self.txn.delete(PLACES, &name.rest)?,
            Area::Raw => self.txn.delete(RAW, &name.rest)?,
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
        let Self { stage, db, label, txn, mut reads, mut writes, mut validated } = self;
        let (resyncs, warned) = (stage.resyncs(db), stage.is_warned(db));
        let snapshot = txn.snapshot();
        let base = snapshot.revision();
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
                None if let Error::NotUnique { key, holder, .. } = error => {
                    // A transaction that wrote nothing, and read who has the number.
                    reads.extend(holding(&snapshot, &writes, key, holder));
                    validated = true;
                    writes.clear();
                    (Outcome::Committed(base, false), "not unique")
                }
                None => (Outcome::NotApplied, "refused"),
            },
        };
        stage.count(what);
        let why = result.as_ref().and_then(|result| result.as_ref().err());
        let why = why.map(|error| format!(": {error}")).unwrap_or_default();
        stage.trace(format_args!("{label} {what} {outcome:?}{why}"));
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

/// That a place has the number which `key` was to have.
fn holding(
    snapshot: &Snapshot,
    writes: &BTreeMap<Bytes, Option<Bytes>>,
    key: &Key,
    holder: &Key,
) -> Option<Read> {
    // Of two places that one transaction gives a number to, none need have it before.
    if writes.contains_key(holder.as_bytes()) {
        return None;
    }
    let wanted = Item::decode(writes.get(key.as_bytes())?.as_ref()?)?.number;
    let name = Name::place("").whole();
    let holder = Bytes::copy_from_slice(holder.as_bytes());
    let item = snapshot.get(PLACES, holder.strip_prefix(&*name)?).ok()??;
    let (range, own) = (Name::place("").prefix(), BTreeMap::new());
    let pairs = vec![(holder, item.encode())];
    Some(Read::Numbers { range, low: wanted, high: wanted, own, pairs })
}
