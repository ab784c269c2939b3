//! One watcher.

use std::sync::Arc;

use tailetc_core::Revision;
use tailetc_core::backend::{EventKind, KeyRange};

use crate::store::change::Change;

#[derive(Debug)]
pub(super) struct Watcher {
    pub(super) wanted: Arc<Wanted>,
    /// As requested.
    pub(super) start: Revision,
    /// What it has not seen begins here, at the earliest.
    pub(super) next: Revision,
    pub(super) state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// It is in the index: changes are put on its stream as they happen.
    Synced,
    /// It began in the past, or its stream was full: it reads the log when the stream is empty.
    Unsynced,
    /// A compaction overtook it. It gets nothing more, and keeps its id until it is cancelled.
    Compacted,
}

/// What a watcher asked for. What waits for the client keeps it when the watcher is gone.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) range: KeyRange,
    pub(super) no_put: bool,
    pub(super) no_delete: bool,
    pub(super) prev_kv: bool,
    pub(super) fragment: bool,
}

impl Wanted {
    /// Whether the filters let a change of the range pass.
    pub(super) fn passes(&self, change: &Change) -> bool {
        match change.kind() {
            EventKind::Put => !self.no_put,
            EventKind::Delete => !self.no_delete,
        }
    }
}
