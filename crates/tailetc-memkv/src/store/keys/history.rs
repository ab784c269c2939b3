//! The versions of one key.

use std::sync::Arc;

use tailetc_core::Revision;
use tailetc_core::backend::KeyValue;

use super::tree::Counted;
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

    /// The last version, which may be a deletion.
    pub(super) fn last(&self) -> Option<&Arc<Change>> {
        self.versions().last()
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

    /// Forgets what the key was before `revision`, shows it to `forgotten`, and says whether
    /// nothing is left.
    pub(super) fn compact(
        &mut self,
        revision: Revision,
        forgotten: &mut impl FnMut(&Change),
    ) -> bool {
        let versions = self.versions();
        let reached = versions.partition_point(|version| version.revision() <= revision);
        let Some(last) = versions[..reached].last() else {
            return false;
        };
        let gone = if last.is_deletion() { reached } else { reached - 1 };
        versions[..gone].iter().for_each(|version| forgotten(version));
        if gone == versions.len() {
            return true;
        }
        if gone == 0 {
            return false;
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
        false
    }
}

impl Counted for History {
    fn is_live(&self) -> bool {
        self.last().is_some_and(|last| !last.is_deletion())
    }
}
