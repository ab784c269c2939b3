//! The versions of one key.

use std::iter;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use tailetc_core::Revision;
use tailetc_core::backend::KeyValue;

use super::tree::{Counted, Turn, Whom};
use crate::store::change::Change;

/// Versions, oldest first, never none.
#[derive(Debug)]
pub(super) enum History {
    /// So common that it is worth no list.
    One(Arc<Change>),
    Many(Vec<Arc<Change>>),
}

impl History {
    fn versions(&self) -> &[Arc<Change>] {
        match self {
            Self::One(version) => std::slice::from_ref(version),
            Self::Many(versions) => versions,
        }
    }

    /// The last version up to `revision`, which may be a deletion.
    pub(super) fn at(&self, revision: Revision) -> Option<&Arc<Change>> {
        let versions = self.versions();
        // Most reads of the past are of its end.
        if let Some(last) = versions.last()
            && last.revision() <= revision
        {
            return Some(last);
        }
        let reached = versions.partition_point(|version| version.revision() <= revision);
        versions[..reached].last()
    }

    pub(super) fn live_at(&self, revision: Revision) -> Option<&KeyValue> {
        self.at(revision)?.live()
    }

    /// The deletion at a position among the changes of `revision`, and the pair before it.
    pub(super) fn deletion(
        &self,
        revision: Revision,
        subs: &Range<u32>,
    ) -> Option<(&Arc<Change>, &KeyValue)> {
        let versions = self.versions();
        let first = versions.partition_point(|version| version.revision() < revision);
        let is_it = |version: &Change| version.is_deletion() && subs.contains(&version.sub);
        let after = versions[first..].iter().take_while(|version| version.revision() == revision);
        let (at, deletion) = (first..).zip(after).find(|(_, version)| is_it(version))?;
        Some((deletion, &versions.get(at.checked_sub(1)?)?.kv))
    }

    /// The versions from `revision` on.
    pub(super) fn since(&self, revision: Revision) -> &[Arc<Change>] {
        let versions = self.versions();
        &versions[versions.partition_point(|version| version.revision() < revision)..]
    }

    pub(super) fn push(&mut self, version: Arc<Change>) {
        match self {
            Self::Many(versions) => versions.push(version),
            Self::One(only) => *self = Self::Many(vec![Arc::clone(only), version]),
        }
    }

    /// Forgets what the key was before `revision`, about `most` versions of it, and shows them to
    /// `forgotten`.
    pub(super) fn compact(
        &mut self,
        revision: Revision,
        most: usize,
        forgotten: &mut impl FnMut(&Change),
    ) -> Left {
        let versions = self.versions();
        let reached = versions.partition_point(|version| version.revision() <= revision);
        let Some(last) = versions[..reached].last() else {
            return Left::Rest;
        };
        let gone = if last.is_deletion() { reached } else { reached - 1 };
        if gone > most {
            self.forget_some(most, forgotten);
            return Left::More;
        }
        versions[..gone].iter().for_each(|version| forgotten(version));
        if gone == versions.len() {
            return Left::Nothing;
        }
        if gone == 0 {
            return Left::Rest;
        }
        if let Self::Many(versions) = self {
            let mut left = versions.split_off(gone);
            *self = match left.pop() {
                Some(only) if left.is_empty() => Self::One(only),
                last => {
                    left.extend(last);
                    Self::Many(left)
                }
            };
        }
        Left::Rest
    }

    /// What is left begins with a version of what exists, as [`turns`](Counted::turns) needs it.
    fn forget_some(&mut self, count: usize, forgotten: &mut impl FnMut(&Change)) {
        if let Self::Many(versions) = self {
            let splits = versions.get(count).is_some_and(|version| version.is_deletion());
            versions.drain(..count + usize::from(splits)).for_each(|version| forgotten(&version));
        }
    }
}

/// What a compaction left of a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Left {
    Nothing,
    /// What it should.
    Rest,
    /// More than it should: it is to be called again.
    More,
}

impl Counted for History {
    fn is_live_at(&self, revision: Revision) -> bool {
        self.live_at(revision).is_some()
    }

    /// From the last to the first. A version tells when its key was created, and how many versions
    /// ago: those between are not looked at.
    fn turns(&self) -> impl Iterator<Item = Turn> {
        let mut left = self.versions();
        iter::from_fn(move || {
            let (last, before) = left.split_last()?;
            if last.is_deletion() {
                left = before;
                return Some(Turn { revision: last.revision(), live: false });
            }
            let since_creation = usize::try_from(last.kv.version).unwrap_or(usize::MAX);
            left = &left[..left.len().saturating_sub(since_creation)];
            Some(Turn { revision: last.kv.create_revision, live: true })
        })
    }

    fn weight(&self) -> usize {
        self.versions().len()
    }

    fn is_of(&self, whom: Whom) -> bool {
        match whom {
            Whom::All => true,
            Whom::Lease(lease) => self.versions().last().is_some_and(|last| last.kv.lease == lease),
        }
    }

    fn end(&mut self, key: &Bytes, revision: Revision, sub: u32) {
        self.push(Arc::new(Change::deletion(key.clone(), revision, sub)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(versions: &[(i64, i64, i64)]) -> History {
        let change = |&(created, modified, version)| {
            let kv = KeyValue {
                key: Bytes::from_static(b"k"),
                create_revision: Revision::new(created),
                mod_revision: Revision::new(modified),
                version,
                ..KeyValue::default()
            };
            Arc::new(Change { kv, sub: 0 })
        };
        History::Many(versions.iter().map(change).collect())
    }

    fn turns(history: &History) -> Vec<(i64, bool)> {
        history.turns().map(|turn| (turn.revision.get(), turn.live)).collect()
    }

    #[test]
    fn turns_are_creations_and_deletions() {
        let mut history =
            history(&[(2, 2, 1), (2, 3, 2), (2, 5, 3), (0, 6, 0), (6, 6, 1), (0, 8, 0), (9, 9, 1)]);
        let all = [(9, true), (8, false), (6, true), (6, false), (2, true)];
        assert_eq!(turns(&history), all);
        history.compact(Revision::new(4), 10, &mut |_| ());
        assert_eq!(history.weight(), 6);
        assert_eq!(turns(&history), all);
        history.compact(Revision::new(8), 10, &mut |_| ());
        assert_eq!(turns(&history), [(9, true)]);
    }

    #[test]
    fn some_versions_at_a_time_are_forgotten_and_no_deletion_is_left_first() {
        let mut history = history(&[
            (2, 2, 1),
            (2, 3, 2),
            (0, 5, 0),
            (6, 6, 1),
            (0, 7, 0),
            (9, 9, 1),
            (9, 10, 2),
        ]);
        let mut seen = Vec::new();
        let mut compact = |history: &mut History| {
            history.compact(Revision::new(9), 2, &mut |change| seen.push(change.revision().get()))
        };
        assert_eq!(compact(&mut history), Left::More);
        assert_eq!(turns(&history), [(9, true), (7, false), (6, true)]);
        assert_eq!(compact(&mut history), Left::Rest);
        assert_eq!(turns(&history), [(9, true)]);
        assert_eq!(seen, [2, 3, 5, 6, 7]);
        assert_eq!(history.weight(), 2);
    }
}
