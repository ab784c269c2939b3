//! One watch.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tailetc_core::Revision;
use tailetc_core::backend::{
    BackendError, Event, EventKind, Header, KeyRange, KeyValue, WatchRequest, WatchResponse,
};
use tokio::time::Instant;

use super::{History, Poll};
use crate::errors;

/// The most revisions in one response of a watch that catches up (etcd: `watchBatchMaxRevs` in
/// `server/storage/mvcc/watcher_group.go`).
const BATCH_REVISIONS: usize = 1000;

/// How far a watch has come.
///
/// It reads the log when its consumer asks, so being slow costs nothing. Its buffer stands for
/// etcd's stream: it is filled when the consumer asks, or when a compaction or a progress request
/// makes a difference between what is on the stream and what is not.
#[derive(Debug)]
pub(super) struct Position {
    range: KeyRange,
    prev_kv: bool,
    /// As requested.
    start: Revision,
    /// The first revision that was not looked at. Everything concerned below it was delivered or
    /// is in `buffer`.
    next: Revision,
    /// Whether the watch is up to date but for what a read of the log would add to its buffer.
    /// It is not when it began in the past, or when its buffer overflowed.
    synced: bool,
    buffer: VecDeque<Buffered>,
    /// How often an idle watch says so.
    progress: Option<Duration>,
    /// When that was last done, or last not needed.
    quiet_since: Instant,
}

#[derive(Debug)]
enum Buffered {
    /// All changes of a revision, one of which at least concerns the watch.
    Changes(Revision, Arc<[Event]>),
    Progress(Revision),
}

impl Position {
    pub(super) fn new(
        range: KeyRange,
        request: &WatchRequest,
        current: Revision,
        progress: Option<Duration>,
        now: Instant,
    ) -> Self {
        let start = request.start_revision;
        let synced = start.is_zero() || start > current;
        Self {
            range,
            prev_kv: request.prev_kv,
            start,
            next: if start.is_zero() { current.next() } else { start },
            synced,
            buffer: VecDeque::new(),
            progress,
            quiet_since: now,
        }
    }

    pub(super) fn poll(
        &mut self,
        history: &History<'_>,
        capacity: usize,
        now: Instant,
    ) -> Result<Poll, BackendError> {
        if self.buffer.is_empty() && self.synced {
            self.read_ahead(history, capacity);
        }
        if let Some(buffered) = self.buffer.pop_front() {
            return Ok(Poll::Ready(self.deliver(buffered, history, now)));
        }
        if !self.synced
            && let Some(events) = self.catch_up(history)?
        {
            self.quiet_since = now;
            let header = history.header;
            return Ok(Poll::Ready(WatchResponse::Events { header, events }));
        }
        Ok(self.idle(history, now))
    }

    pub(super) fn request_progress(&mut self, history: &History<'_>, capacity: usize) {
        let behind = !self.synced
            && (self.next < history.compacted || self.unread(history).next().is_some());
        if behind {
            return;
        }
        if !self.synced {
            self.now_synced(history);
        }
        self.read_ahead(history, capacity);
        let current = history.header.revision;
        if self.synced && current >= self.start && self.buffer.len() < capacity.max(1) {
            self.buffer.push_back(Buffered::Progress(current));
        }
    }

    pub(super) fn save_unread(&mut self, history: &History<'_>, capacity: usize) {
        if self.synced {
            self.read_ahead(history, capacity);
        }
    }

    /// The revisions not looked at that concern this watch.
    fn unread<'a>(
        &self,
        history: &History<'a>,
    ) -> impl Iterator<Item = (Revision, &'a Arc<[Event]>)> {
        let (range, log) = (&self.range, history.log);
        log.since(self.next)
            .filter(|(_, changes)| changes.iter().any(|change| range.contains(&change.kv.key)))
    }

    fn now_synced(&mut self, history: &History<'_>) {
        self.synced = true;
        self.next = self.next.max(history.header.revision.next());
    }

    /// Fills the buffer. A revision that finds it full ends being synced.
    fn read_ahead(&mut self, history: &History<'_>, capacity: usize) {
        let mut room = capacity.saturating_sub(self.buffer.len());
        let mut read = Vec::new();
        let mut overflow = None;
        for (revision, changes) in self.unread(history) {
            if room == 0 {
                overflow = Some(revision);
                break;
            }
            room -= 1;
            read.push(Buffered::Changes(revision, Arc::clone(changes)));
        }
        self.buffer.extend(read);
        match overflow {
            None => self.now_synced(history),
            Some(revision) => {
                self.synced = false;
                self.next = revision;
            }
        }
    }

    /// Many revisions at once, or `None` when there are none left.
    fn catch_up(&mut self, history: &History<'_>) -> Result<Option<Vec<Event>>, BackendError> {
        if self.next < history.compacted {
            return Err(errors::compacted_at(history.compacted));
        }
        let mut events = Vec::new();
        let mut left_over = None;
        for (count, (revision, changes)) in self.unread(history).enumerate() {
            if count == BATCH_REVISIONS {
                left_over = Some(revision);
                break;
            }
            events.extend(self.concerned(changes, history));
        }
        match left_over {
            None => self.now_synced(history),
            Some(revision) => self.next = revision,
        }
        Ok((!events.is_empty()).then_some(events))
    }

    fn deliver(
        &mut self,
        buffered: Buffered,
        history: &History<'_>,
        now: Instant,
    ) -> WatchResponse {
        let header = |revision| Header { revision, ..history.header };
        match buffered {
            Buffered::Changes(revision, changes) => {
                self.quiet_since = now;
                WatchResponse::Events {
                    header: header(revision),
                    events: self.concerned(&changes, history).collect(),
                }
            }
            Buffered::Progress(revision) => WatchResponse::Progress { header: header(revision) },
        }
    }

    fn concerned<'a>(
        &'a self,
        changes: &'a [Event],
        history: &'a History<'_>,
    ) -> impl Iterator<Item = Event> + 'a {
        changes.iter().filter(|change| self.range.contains(&change.kv.key)).map(|change| {
            let mut event = change.clone();
            if self.prev_kv {
                event.prev_kv = pair_before(change, history);
            }
            event
        })
    }

    fn idle(&mut self, history: &History<'_>, now: Instant) -> Poll {
        let Some(interval) = self.progress else {
            return Poll::Idle(None);
        };
        if now.saturating_duration_since(self.quiet_since) >= interval {
            self.quiet_since = now;
            let header = history.header;
            if header.revision >= self.start {
                return Poll::Ready(WatchResponse::Progress { header });
            }
        }
        Poll::Idle(self.quiet_since.checked_add(interval))
    }
}

/// The key before the whole revision, if no compaction took it before the event is delivered. A key
/// that the revision created has none, even if it existed before.
fn pair_before(change: &Event, history: &History<'_>) -> Option<KeyValue> {
    let kv = &change.kv;
    if change.kind == EventKind::Put && kv.create_revision == kv.mod_revision {
        return None;
    }
    let before = Revision::new(kv.mod_revision.get() - 1);
    history.keys.get_at(&kv.key, before).cloned()
}
