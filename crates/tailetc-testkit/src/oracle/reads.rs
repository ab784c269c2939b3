//! Strict serializability: every transaction read one state; a committed one read the state just
//! before its own revision, and overwrote nothing that its program had not seen.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use tailetc_core::Revision;
use tailetc_core::backend::{KeyRange, KeyValue};

use super::outcomes::{era_of, read_a_lost_history};
use super::timeline::{Timeline, is_undecodable};
use crate::simulation::record::{Outcome, Read, TxnRecord};
use crate::simulation::value::Item;

/// Returns the histories to which transactions were committed that had read one that is lost: no
/// guard tells the two apart, and what the workloads keep true does not hold there.
pub(crate) fn check(
    txns: &[TxnRecord],
    timelines: &[Timeline],
    wrong: &mut impl FnMut(String),
) -> BTreeSet<usize> {
    let mut astray = BTreeSet::new();
    for txn in txns.iter().filter(|txn| txn.label != "foreign") {
        let label = &txn.label;
        let at_base = |timeline: &Timeline| mismatch(txn, txn.base, timeline).is_none();
        let eras = &timelines[..=txn.ended.era.min(timelines.len() - 1)];
        if !eras.iter().any(at_base) {
            let now = eras.last().and_then(|timeline| mismatch(txn, txn.base, timeline));
            wrong(format!("{label}: did not read revision {}: {now:?}", txn.base));
            continue;
        }
        match txn.outcome {
            Outcome::Committed(revision, true) => {
                let Some(era) = era_of(txn, revision, timelines) else { continue };
                let before = Revision::new(revision.get() - 1);
                let timeline = &timelines[era];
                let stale =
                    mismatch(txn, before, timeline).or_else(|| overwritten(txn, before, timeline));
                if read_a_lost_history(txn, era, timelines, at_base) {
                    astray.extend(era..timelines.len());
                } else if let Some(stale) = stale {
                    let base = txn.base;
                    wrong(format!("{label}: committed at {revision} on {base}, stale: {stale}"));
                }
            }
            Outcome::Committed(_, false) if txn.validated && txn.called.era == txn.ended.era => {
                let (from, to) = (txn.called.seen, txn.ended.seen);
                let timeline = &timelines[txn.ended.era];
                let mut held = (from.get()..=to.get()).map(Revision::new);
                if !held.any(|at| mismatch(txn, at, timeline).is_none()) {
                    wrong(format!(
                        "{label}: validated, but not what was there from {from} to {to}"
                    ));
                }
            }
            _ => {}
        }
    }
    astray
}

/// The first read that a state does not give.
fn mismatch(txn: &TxnRecord, at: Revision, timeline: &Timeline) -> Option<String> {
    txn.reads.iter().find_map(|read| {
        let holds = match read {
            Read::Key { key, value } => {
                let stored = timeline.get(key, at);
                stored.is_none_or(|kv| !is_undecodable(kv))
                    && stored.map(|kv| &kv.value) == value.as_ref()
            }
            Read::Exists { key, exists } => timeline.get(key, at).is_some() == *exists,
            Read::Range { range, own, pairs } => {
                let expected = overlaid(range, own, at, timeline);
                pairs.iter().map(|(key, value)| (key, value)).eq(expected)
            }
            Read::Numbers { range, low, high, own, pairs } => {
                let items = overlaid(range, own, at, timeline).into_iter();
                let numbered = items.filter_map(|(key, value)| {
                    let number = Item::decode(value)?.number;
                    (*low..=*high).contains(&number).then_some((number, key, value))
                });
                let expected: BTreeSet<_> = numbered.collect();
                let expected = expected.into_iter().map(|(_, key, value)| (key, value));
                pairs.iter().map(|(key, value)| (key, value)).eq(expected)
            }
        };
        (!holds).then(|| format!("{read:?} at {at}"))
    })
}

/// What a range holds, with a transaction's own writes on top.
fn overlaid<'r>(
    range: &'r KeyRange,
    own: &'r BTreeMap<Bytes, Option<Bytes>>,
    at: Revision,
    timeline: &'r Timeline,
) -> BTreeMap<&'r Bytes, &'r Bytes> {
    let stored = timeline.state(range, at);
    let mut expected: BTreeMap<_, _> = stored.map(|(key, kv)| (key, &kv.value)).collect();
    for (key, value) in own {
        match value {
            Some(value) => expected.insert(key, value),
            None => expected.remove(key),
        };
    }
    expected
}

/// A written key that somebody else changed after what the transaction saw.
fn overwritten(txn: &TxnRecord, before: Revision, timeline: &Timeline) -> Option<String> {
    let revision = |kv: Option<&KeyValue>| kv.map(|kv| kv.mod_revision);
    let changed = txn
        .writes
        .keys()
        .find(|key| revision(timeline.get(key, before)) != revision(timeline.get(key, txn.base)));
    changed.map(|key| format!("write of {key:?}"))
}
