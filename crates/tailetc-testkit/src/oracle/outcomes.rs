//! Acknowledged writes are there, exactly once and whole; refused ones are not; those of unknown
//! outcome are there whole or not at all. A commit takes effect between its call and its answer.

use std::collections::BTreeMap;

use bytes::Bytes;
use tailetc_core::Revision;
use tailetc_core::backend::EventKind;

use super::timeline::{Timeline, same_up_to};
use crate::simulation::record::{Outcome, TxnRecord};
use crate::simulation::value::Item;

pub(crate) fn check(txns: &[TxnRecord], timelines: &[Timeline], wrong: &mut impl FnMut(String)) {
    let written: Vec<_> = timelines.iter().map(by_value).collect();
    for txn in txns {
        let label = &txn.label;
        for (era, written) in written.iter().enumerate() {
            check_presence(txn, era, &timelines[era], written, wrong);
        }
        let Outcome::Committed(revision, true) = txn.outcome else { continue };
        match era_of(txn, revision, timelines) {
            None => {
                let writes = &txn.writes;
                wrong(format!("{label}: acknowledged at {revision}, which is not it: {writes:?}"));
            }
            Some(_) if txn.called.era != txn.ended.era => {}
            Some(_) => {
                if revision <= txn.called.seen {
                    let seen = txn.called.seen;
                    wrong(format!("{label}: at {revision}, before its call at {seen}"));
                }
                if revision > txn.ended.seen {
                    wrong(format!("{label}: at {revision}, after its answer"));
                }
            }
        }
    }
}

/// The revisions at which each unique value was written.
fn by_value(timeline: &Timeline) -> BTreeMap<&Bytes, Vec<Revision>> {
    let mut written: BTreeMap<&Bytes, Vec<Revision>> = BTreeMap::new();
    for (revision, events) in &timeline.revisions {
        for event in events.iter().filter(|event| event.kind == EventKind::Put) {
            if Item::decode(&event.kv.value).is_some() {
                written.entry(&event.kv.value).or_default().push(*revision);
            }
        }
    }
    written
}

fn check_presence(
    txn: &TxnRecord,
    era: usize,
    timeline: &Timeline,
    written: &BTreeMap<&Bytes, Vec<Revision>>,
    wrong: &mut impl FnMut(String),
) {
    let label = &txn.label;
    let values = txn.writes.values().flatten();
    let places: Vec<&[Revision]> =
        values.map(|value| written.get(value).map_or(&[][..], |places| places)).collect();
    let Some(first) = places.first() else { return };
    if places.iter().any(|place| place != first) {
        wrong(format!("{label}: torn in history {era}: {places:?}"));
        return;
    }
    match (txn.outcome, first) {
        (_, []) => {}
        (Outcome::NotApplied, _) => wrong(format!("{label}: refused, but at {first:?}")),
        (Outcome::Committed(..) | Outcome::Unknown, [revision]) => {
            if !is_effect_of(txn, *revision, timeline) {
                wrong(format!("{label}: not whole at {revision} in history {era}"));
            }
        }
        (_, many) => wrong(format!("{label}: applied at each of {many:?}")),
    }
}

/// The history in which an acknowledged transaction is what happened at its revision.
pub(crate) fn era_of(txn: &TxnRecord, revision: Revision, timelines: &[Timeline]) -> Option<usize> {
    let eras = txn.called.era..=txn.ended.era.min(timelines.len() - 1);
    eras.into_iter().find(|era| is_effect_of(txn, revision, &timelines[*era]))
}

/// Whether the events of a revision are the writes of a transaction, all of them and no others.
fn is_effect_of(txn: &TxnRecord, revision: Revision, timeline: &Timeline) -> bool {
    let before = Revision::new(revision.get() - 1);
    let mut expected: BTreeMap<&Bytes, Option<&Bytes>> = BTreeMap::new();
    for (key, value) in &txn.writes {
        // To delete what is absent is no change.
        if value.is_some() || timeline.get(key, before).is_some() {
            expected.insert(key, value.as_ref());
        }
    }
    let events = timeline.events(revision);
    let happened = events.iter().map(|event| {
        let value = (event.kind == EventKind::Put).then_some(&event.kv.value);
        (&event.kv.key, value)
    });
    !expected.is_empty()
        && events.len() == expected.len()
        && happened.collect::<BTreeMap<_, _>>() == expected
}

/// Whether the transaction may have read a history that the one it was committed to has lost.
pub(crate) fn read_a_lost_history(
    txn: &TxnRecord,
    committed: usize,
    timelines: &[Timeline],
    matches: impl Fn(&Timeline) -> bool,
) -> bool {
    (0..committed)
        .any(|era| !same_up_to(timelines, era, committed, txn.base) && matches(&timelines[era]))
}
