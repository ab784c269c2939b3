//! A snapshot shows the state at its revision, all of it, and what it was asked to show.

use std::collections::BTreeMap;

use bytes::Bytes;
use tailetc_core::Revision;
use tailetc_core::backend::KeyRange;

use super::timeline::{Timeline, shows};
use crate::simulation::record::{Pair, SnapshotRecord};
use crate::simulation::value::PREFIX;

pub(crate) fn check(
    snapshots: &[SnapshotRecord],
    timelines: &[Timeline],
    wrong: &mut impl FnMut(String),
) {
    let all = KeyRange::prefix(PREFIX);
    for snapshot in snapshots {
        let (label, revision) = (&snapshot.label, snapshot.revision);
        let is =
            |timeline: &Timeline, at| difference(&snapshot.pairs, &all, timeline, at).is_none();
        let present = snapshot.got.era.min(timelines.len() - 1);
        if !timelines[..=present].iter().any(|timeline| is(timeline, revision)) {
            let what = difference(&snapshot.pairs, &all, &timelines[present], revision);
            wrong(format!("{label}: a snapshot is not revision {revision}: {what:?}"));
            continue;
        }
        let Some(at_least) = snapshot.at_least else { continue };
        if snapshot.asked.era != snapshot.got.era {
            continue;
        }
        // On an idle prefix the revision may stay behind, if the state is the same.
        let until = snapshot.got.seen.max(revision).get();
        let mut current = (at_least.get()..=until).map(Revision::new);
        if !current.any(|at| is(&timelines[present], at)) {
            wrong(format!("{label}: at {revision}, which is older than {at_least}"));
        }
    }
}

/// The first key in which what was seen differs from a state.
pub(super) fn difference(
    seen: &BTreeMap<Bytes, Pair>,
    range: &KeyRange,
    timeline: &Timeline,
    at: Revision,
) -> Option<String> {
    let mut expected = timeline.state(range, at);
    let mut seen = seen.iter();
    loop {
        match (expected.next(), seen.next()) {
            (None, None) => return None,
            (Some((key, kv)), Some((shown, pair))) if key == shown && shows(pair, kv) => {}
            (expected, seen) => {
                let seen = seen.map(|(key, pair)| (key, pair.mod_revision));
                let expected = expected.map(|(key, kv)| (key, kv.mod_revision));
                return Some(format!("{seen:?}, not {expected:?}"));
            }
        }
    }
}
