//! What several processes did and saw, put together in one of them and judged there.

mod code;

use std::collections::BTreeMap;

use self::code::Code;
use super::record::{Record, Scope, SnapshotRecord, StreamItem, TxnRecord};
use crate::faulty::History;
use crate::oracle;

/// The most `Db`s of one process.
pub const DBS: usize = 16;

impl Record {
    /// Takes out all that has been recorded since the last call, as bytes for [`Merged::add`].
    pub fn drain(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        std::mem::take(&mut self.txns).write(&mut bytes);
        std::mem::take(&mut self.snapshots).write(&mut bytes);
        // A stream is known by its place: the places stay.
        let scopes: Vec<Scope> = self.scopes.drain(..).collect();
        let first = self.streams.len() - scopes.len();
        (first, scopes).write(&mut bytes);
        let items: Vec<_> = self.streams.iter_mut().map(std::mem::take).collect();
        items.write(&mut bytes);
        std::mem::take(&mut self.resyncs).write(&mut bytes);
        std::mem::take(&mut self.violations).write(&mut bytes);
        let counts = std::mem::take(&mut self.counts).into_iter();
        counts.map(|(what, count)| (what.to_owned(), count)).collect::<Vec<_>>().write(&mut bytes);
        bytes
    }
}

/// The records of all processes.
#[derive(Debug, Default)]
pub struct Merged {
    record: Record,
    /// Where the streams of each process are.
    places: BTreeMap<(usize, usize), usize>,
    counts: BTreeMap<String, u64>,
}

/// What became of it all.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Verdict {
    /// What was found wrong; nothing, if all promises were kept.
    pub violations: Vec<String>,
    /// How often what happened.
    pub counts: BTreeMap<String, u64>,
    /// How many snapshots were compared with the store's state.
    pub snapshots: usize,
    /// How many items of observers and watches were compared with its log.
    pub stream_items: usize,
}

impl Merged {
    /// Adds what a process has recorded.
    ///
    /// # Errors
    ///
    /// When the bytes are not those of [`Record::drain`]; some of them may have been added.
    pub fn add(&mut self, process: usize, bytes: &[u8]) -> Result<(), String> {
        self.try_add(process, &mut &*bytes)
            .ok_or_else(|| format!("process {process} has sent what is no record"))
    }

    fn try_add(&mut self, process: usize, from: &mut &[u8]) -> Option<()> {
        for mut txn in Vec::<TxnRecord>::read(from)? {
            // The oracle knows foreign writers by their label.
            if txn.label != "foreign" {
                txn.label = format!("process {process} {}", txn.label);
            }
            self.record.txns.push(txn);
        }
        for mut snapshot in Vec::<SnapshotRecord>::read(from)? {
            snapshot.label = format!("process {process} {}", snapshot.label);
            self.record.snapshots.push(snapshot);
        }
        let (first, scopes) = <(usize, Vec<Scope>)>::read(from)?;
        for (index, mut scope) in scopes.into_iter().enumerate() {
            scope.label = format!("process {process} {}", scope.label);
            scope.db += process * DBS;
            self.places.insert((process, first + index), self.record.scopes.len());
            self.record.scopes.push(scope);
            self.record.streams.push(Vec::new());
        }
        for (index, items) in Vec::<Vec<StreamItem>>::read(from)?.into_iter().enumerate() {
            let place = *self.places.get(&(process, index))?;
            self.record.streams[place].extend(items);
        }
        for (index, resyncs) in Vec::<u64>::read(from)?.into_iter().enumerate() {
            let db = process * DBS + index;
            let length = self.record.resyncs.len().max(db + 1);
            self.record.resyncs.resize(length, 0);
            self.record.resyncs[db] = resyncs;
        }
        for violation in Vec::<String>::read(from)? {
            self.record.violations.push(format!("process {process} {violation}"));
        }
        for (what, count) in Vec::<(String, u64)>::read(from)? {
            *self.counts.entry(what).or_default() += count;
        }
        from.is_empty().then_some(())
    }

    /// Has the oracle of the simulation judge all of it, by the histories of the store.
    pub fn judge(mut self, histories: &[History]) -> Verdict {
        let snapshots = self.record.snapshots.len();
        let stream_items = self.record.streams.iter().map(Vec::len).sum();
        oracle::judge(&mut self.record, histories);
        let Record { violations, counts, .. } = self.record;
        for (what, count) in counts {
            *self.counts.entry(what.to_owned()).or_default() += count;
        }
        Verdict { violations, counts: self.counts, snapshots, stream_items }
    }
}
