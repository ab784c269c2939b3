//! Judges a run by the store's own histories.
//!
//! Each revision's events are known, and so the state at every revision, of every history (a
//! restore begins another one). A committed transaction must have read the state just before its
//! revision; what a snapshot showed must be the state at its revision; what observers and watches
//! got must be the differences between such states, without gap.

mod invariants;
mod outcomes;
mod reads;
mod snapshots;
mod streams;
mod timeline;

use bytes::Bytes;
use tailetc_core::backend::KeyRange;

use self::timeline::Timeline;
use crate::faulty::History;
use crate::simulation::record::{Outcome, Read, Record};

/// A transaction as its program saw it: what was read and written, when it was called and
/// answered. Without any knowledge of the store.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Observed {
    /// Virtual nanoseconds from the beginning of the run to the call.
    pub called: u64,
    /// To the answer; none if there was none.
    pub answered: Option<u64>,
    /// Keys and values, none for absent ones.
    pub reads: Vec<(Bytes, Option<Bytes>)>,
    /// Ranges, with all that was in them.
    pub ranges: Vec<(KeyRange, Vec<(Bytes, Bytes)>)>,
    /// Keys and values, none for deletions.
    pub writes: Vec<(Bytes, Option<Bytes>)>,
}

/// Adds what is wrong to the record, and returns the transactions that took or may have taken
/// effect.
pub(crate) fn judge(record: &mut Record, histories: &[History]) -> Vec<Observed> {
    let timelines: Vec<_> = histories.iter().map(Timeline::new).collect();
    let mut violations = std::mem::take(&mut record.violations);
    let mut wrong = |violation: String| {
        // A broken run is wrong in a thousand places; the first ones tell.
        if violations.len() < 20 {
            violations.push(violation);
        }
    };
    outcomes::check(&record.txns, &timelines, &mut wrong);
    let astray = reads::check(&record.txns, &timelines, &mut wrong);
    snapshots::check(&record.snapshots, &timelines, &mut wrong);
    for (items, scope) in record.streams.iter().zip(&record.scopes) {
        let resynced = record.resyncs.get(scope.db).is_none_or(|resyncs| *resyncs > 0);
        streams::check(scope, resynced, items, &timelines, &mut wrong);
    }
    for (era, timeline) in timelines.iter().enumerate() {
        if !astray.contains(&era) {
            invariants::check(timeline, &mut wrong);
        }
    }
    if !astray.is_empty() {
        *record.counts.entry("histories with commits on lost ones").or_default() += 1;
    }
    record.violations = violations;
    record.txns.iter().filter_map(observed).collect()
}

fn observed(txn: &crate::simulation::record::TxnRecord) -> Option<Observed> {
    let nanos = |stamp: crate::simulation::record::Stamp| {
        u64::try_from(stamp.at.as_nanos()).unwrap_or(u64::MAX)
    };
    let answered = match txn.outcome {
        Outcome::NotApplied => return None,
        Outcome::Unknown => None,
        Outcome::Committed(_, changed) => {
            // Reads alone are only as new as their snapshot, unless they were validated.
            if !changed && !txn.validated {
                return None;
            }
            Some(nanos(txn.ended))
        }
    };
    let (mut reads, mut ranges) = (Vec::new(), Vec::new());
    for read in &txn.reads {
        match read {
            Read::Key { key, value } => reads.push((key.clone(), value.clone())),
            Read::Exists { key, exists: false } => reads.push((key.clone(), None)),
            Read::Exists { .. } => {}
            Read::Range { range, own, pairs } if own.is_empty() => {
                ranges.push((range.clone(), pairs.clone()));
            }
            // The independent checker knows no indexes.
            Read::Range { .. } | Read::Numbers { .. } => {}
        }
    }
    let writes = txn.writes.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
    Some(Observed { called: nanos(txn.called), answered, reads, ranges, writes })
}
