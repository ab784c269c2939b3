//! Saying how far a stream has come.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::Surroundings;
use super::message::{NO_WATCHER, StreamResponse};
use super::stream::{Queued, Stream};
use super::watcher::{State, Watcher};
use crate::version::SolicitedProgress;

/// When progress comes unasked for: one clock for the stream, as in etcd, but without its jitter
/// (`progressTicker` in `server/etcdserver/api/v3rpc/watch.go`).
#[derive(Debug)]
pub(super) struct Ticker {
    interval: Duration,
    next: Instant,
    /// The watchers that asked for it, and whether the next tick is for them: it is not for those
    /// that got events since the last one.
    quiet: BTreeMap<i64, bool>,
}

impl Ticker {
    pub(super) fn new(now: Instant, interval: Duration) -> Self {
        Self { interval, next: later(now, interval), quiet: BTreeMap::new() }
    }

    pub(super) fn add(&mut self, id: i64) {
        self.quiet.insert(id, true);
    }

    pub(super) fn remove(&mut self, id: i64) {
        self.quiet.remove(&id);
    }

    pub(super) fn saw_events(&mut self, id: i64) {
        if let Some(quiet) = self.quiet.get_mut(&id) {
            *quiet = false;
        }
    }

    /// When the next tick has something to do.
    pub(super) fn deadline(&self) -> Option<Instant> {
        (!self.quiet.is_empty()).then_some(self.next)
    }

    /// The watchers that a tick is for, if one is due. Ticks that nobody waited for are one.
    fn due(&mut self, now: Instant) -> Vec<i64> {
        if now < self.next {
            return Vec::new();
        }
        // The interval is never zero.
        let missed = (now - self.next).as_nanos() % self.interval.as_nanos();
        let since = Duration::from_nanos(u64::try_from(missed).unwrap_or(0));
        self.next = later(now, self.interval.saturating_sub(since));
        let quiet = self.quiet.iter_mut();
        quiet.filter_map(|(id, quiet)| std::mem::replace(quiet, true).then_some(*id)).collect()
    }
}

/// What is too far away for the clock never comes.
fn later(now: Instant, after: Duration) -> Instant {
    const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
    now.checked_add(after.min(CENTURY)).unwrap_or(now)
}

impl Stream {
    /// Sends the progress that is due.
    pub(super) fn tick(&mut self, around: &Surroundings<'_>, now: Instant) {
        for id in self.ticker.due(now) {
            if self.watchers.get(&id).is_some_and(|watcher| may_tell(watcher, around)) {
                self.offer_progress(id, around);
            }
        }
    }

    pub(super) fn request_progress(&mut self, around: &mut Surroundings<'_>) {
        match around.rules.version.solicited_progress() {
            SolicitedProgress::AtOnce => {
                // A server reads no more requests meanwhile.
                if self.has_room() {
                    let header = around.history.header;
                    let answer = StreamResponse::progress(header, NO_WATCHER);
                    self.enqueue(Queued::Answer(answer));
                }
            }
            SolicitedProgress::Deferred => {
                // One that waits already stands for both.
                if !self.progress_deferred {
                    self.progress_deferred = !self.progress_of_all(around);
                }
            }
            SolicitedProgress::Synchronised => {
                self.progress_of_all(around);
            }
        }
    }

    /// Whether every watcher has come to the current revision. If so, says it.
    pub(super) fn progress_of_all(&mut self, around: &mut Surroundings<'_>) -> bool {
        self.sync_those_without_backlog(around);
        if !self.watchers.values().all(|watcher| may_tell(watcher, around)) {
            return false;
        }
        if !self.watchers.is_empty() {
            self.offer_progress(NO_WATCHER, around);
        }
        true
    }

    /// A stream that is full gets no progress: its client has enough to read.
    fn offer_progress(&mut self, watch_id: i64, around: &Surroundings<'_>) {
        if self.room(around.rules.buffer.max(1)) > 0 {
            let revision = around.history.header.revision;
            self.enqueue(Queued::Progress { watch_id, revision });
        }
    }
}

/// Whether the current revision is progress of this watcher.
fn may_tell(watcher: &Watcher, around: &Surroundings<'_>) -> bool {
    let started = watcher.start <= around.history.header.revision;
    watcher.state == State::Synced
        && (started || !around.rules.version.progress_waits_for_watch_start())
}
