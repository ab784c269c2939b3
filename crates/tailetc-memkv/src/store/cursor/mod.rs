//! Watches: positions in the log (etcd: `server/storage/mvcc/watchable_store.go`).

mod position;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use tailetc_core::Revision;
use tailetc_core::backend::{BackendError, Header, KeyRange, WatchRequest, WatchResponse};
use tokio::time::Instant;

use self::position::Position;
use super::keys::Keys;
use super::log::Log;
use crate::{MemKvOptions, errors};

/// etcd's lower bound (`server/etcdserver/api/v3rpc/watch.go`, `minWatchProgressInterval`).
const MIN_PROGRESS_INTERVAL: Duration = Duration::from_millis(100);

/// The open watches.
#[derive(Debug)]
pub(crate) struct Cursors {
    open: BTreeMap<WatcherId, Position>,
    next_id: WatcherId,
    buffer_revisions: usize,
    progress_interval: Duration,
}

/// Names a watch within its store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct WatcherId(u64);

/// What watches read.
pub(super) struct History<'a> {
    /// The store's header.
    pub(super) header: Header,
    pub(super) compacted: Revision,
    pub(super) keys: &'a Keys,
    pub(super) log: &'a Log,
}

/// What a watch has for its consumer.
#[derive(Debug)]
pub(crate) enum Poll {
    Ready(WatchResponse),
    /// Nothing until the store changes or this instant comes.
    Idle(Option<Instant>),
}

impl Cursors {
    pub(super) fn new(options: &MemKvOptions) -> Self {
        Self {
            open: BTreeMap::new(),
            next_id: WatcherId(0),
            buffer_revisions: options.watch_buffer_revisions,
            progress_interval: options.progress_notify_interval.max(MIN_PROGRESS_INTERVAL),
        }
    }

    pub(super) fn open(
        &mut self,
        request: WatchRequest,
        current: Revision,
        now: Instant,
    ) -> Result<WatcherId, BackendError> {
        if request.start_revision < Revision::ZERO {
            return Err(errors::compacted());
        }
        let range = watched_range(&request.range);
        if range.is_empty() {
            return Err(errors::empty_watch_range());
        }
        let progress = request.progress_notify.then_some(self.progress_interval);
        let position = Position::new(range, &request, current, progress, now);
        let id = self.next_id;
        self.next_id = WatcherId(id.0 + 1);
        self.open.insert(id, position);
        Ok(id)
    }

    pub(super) fn close(&mut self, id: WatcherId) {
        self.open.remove(&id);
    }

    pub(super) fn poll(
        &mut self,
        id: WatcherId,
        history: &History<'_>,
        now: Instant,
    ) -> Result<Poll, BackendError> {
        match self.open.get_mut(&id) {
            Some(position) => position.poll(history, self.buffer_revisions, now),
            None => Ok(Poll::Idle(None)),
        }
    }

    pub(super) fn request_progress(&mut self, id: WatcherId, history: &History<'_>) {
        if let Some(position) = self.open.get_mut(&id) {
            position.request_progress(history, self.buffer_revisions);
        }
    }

    /// Before a compaction: what etcd would already have put on the streams must outlast it.
    pub(super) fn save_unread(&mut self, history: &History<'_>) {
        for position in self.open.values_mut() {
            position.save_unread(history, self.buffer_revisions);
        }
    }
}

/// In a watch, unlike elsewhere, an empty key is the smallest one
/// (etcd: `server/etcdserver/api/v3rpc/watch.go`).
fn watched_range(range: &KeyRange) -> KeyRange {
    if range.start().is_empty() {
        KeyRange::from_wire(Bytes::from_static(b"\0"), range.range_end().clone())
    } else {
        range.clone()
    }
}
