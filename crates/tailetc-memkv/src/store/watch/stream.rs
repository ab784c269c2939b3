//! One stream: its watchers, and what waits for its client.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use tailetc_core::Revision;
use tailetc_core::backend::Event;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::index::Index;
use super::message::StreamResponse;
use super::progress::Ticker;
use super::watcher::{State, Wanted, Watcher};
use super::{StreamId, WatcherName};
use crate::store::change::{Changes, Wide};

/// How many answers may wait before no more requests are read (etcd: `ctrlStreamBufLen` in
/// `server/etcdserver/api/v3rpc/watch.go`).
const ANSWERS: usize = 16;

#[derive(Debug)]
pub(super) struct Stream {
    pub(super) watchers: BTreeMap<i64, Watcher>,
    /// The first id that the store may choose.
    pub(super) next_id: i64,
    /// In the order in which the client gets it.
    queue: VecDeque<Queued>,
    /// How many in the queue are answers.
    answers: usize,
    /// The response that is being sent, if in parts.
    pub(super) parts: VecDeque<StreamResponse>,
    /// The response that is being made, if it is a long one.
    pub(super) long: Option<Long>,
    /// What the watcher with the id -1 does not get, if a refusal was taken for its end.
    pub(super) withheld: Option<Vec<StreamResponse>>,
    /// Those [`State::Unsynced`], in the order of their turns.
    pub(super) unsynced: VecDeque<i64>,
    pub(super) ticker: Ticker,
    /// Whether a request for progress waits for the next response.
    pub(super) progress_deferred: bool,
    signals: Arc<Signals>,
}

#[derive(Debug)]
pub(super) enum Queued {
    /// To a request.
    Answer(StreamResponse),
    Events(News),
    Progress {
        watch_id: i64,
        revision: Revision,
    },
}

/// What one revision has for one watcher.
#[derive(Debug)]
pub(super) struct News {
    pub(super) watch_id: i64,
    pub(super) wanted: Arc<Wanted>,
    pub(super) revision: Revision,
    /// Those of other ranges may be among them.
    pub(super) changes: Changes,
}

/// A response with very many events, which is made little by little.
#[derive(Debug)]
pub(super) struct Long {
    pub(super) watch_id: i64,
    pub(super) wanted: Arc<Wanted>,
    pub(super) revision: Revision,
    pub(super) wide: Arc<Wide>,
    /// Where the changes lie that are left.
    pub(super) places: VecDeque<Range<u32>>,
    /// Those that are done.
    pub(super) events: Vec<Event>,
}

/// What a stream tells those who wait for it. Each has one waiter at most.
#[derive(Debug, Default)]
pub(crate) struct Signals {
    /// There may be something for the client.
    pub(crate) ready: Notify,
    /// There may be room for another request.
    pub(crate) room: Notify,
}

impl Stream {
    pub(super) fn new(now: Instant, progress_interval: Duration) -> Self {
        Self {
            watchers: BTreeMap::new(),
            next_id: 0,
            queue: VecDeque::new(),
            answers: 0,
            parts: VecDeque::new(),
            long: None,
            withheld: None,
            unsynced: VecDeque::new(),
            ticker: Ticker::new(now, progress_interval),
            progress_deferred: false,
            signals: Arc::default(),
        }
    }

    pub(super) fn signals(&self) -> Arc<Signals> {
        Arc::clone(&self.signals)
    }

    pub(super) fn watchers(&self) -> usize {
        self.watchers.len()
    }

    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.queue.len()
    }

    pub(super) fn has_room(&self) -> bool {
        self.answers < ANSWERS
    }

    /// Takes all watchers out of the index.
    pub(super) fn leave(&self, stream: StreamId, synced: &mut Index) {
        for (&id, watcher) in &self.watchers {
            if watcher.state == State::Synced {
                synced.remove(&watcher.wanted.range, WatcherName { stream, id });
            }
        }
    }

    /// Tells a synced watcher of the `changes` at `positions`, which are of its range.
    ///
    /// Returns what it wanted if there is no room for them, which ends its being synced.
    pub(super) fn push(
        &mut self,
        id: i64,
        revision: Revision,
        changes: &Changes,
        positions: &[usize],
        capacity: usize,
    ) -> Option<Arc<Wanted>> {
        let watcher = self.watchers.get(&id)?;
        if revision < watcher.next {
            return None;
        }
        let wanted = &watcher.wanted;
        let passing = || positions.iter().map(|&at| &changes[at]).filter(|c| wanted.passes(c));
        let count = passing().count();
        if count == 0 {
            return None;
        }
        let changes = if count == changes.len() {
            changes.clone()
        } else {
            passing().cloned().collect::<Vec<_>>().into()
        };
        self.offer(id, revision, changes, capacity)
    }

    /// The same for `changes` of which some are of its range and pass its filters.
    pub(super) fn offer(
        &mut self,
        id: i64,
        revision: Revision,
        changes: Changes,
        capacity: usize,
    ) -> Option<Arc<Wanted>> {
        let room = self.room(capacity);
        let watcher = self.watchers.get_mut(&id)?;
        let wanted = Arc::clone(&watcher.wanted);
        self.signals.ready.notify_one();
        if room == 0 {
            watcher.state = State::Unsynced;
            watcher.next = revision;
            self.unsynced.push_back(id);
            return Some(wanted);
        }
        self.ticker.saw_events(id);
        self.queue.push_back(Queued::Events(News { watch_id: id, wanted, revision, changes }));
        None
    }

    /// The watchers that are told of changes as they happen, if they wait for `revision`.
    pub(super) fn synced(&self, revision: Revision) -> Vec<(i64, Arc<Wanted>)> {
        let synced = self
            .watchers
            .iter()
            .filter(|(_, watcher)| watcher.state == State::Synced && watcher.next <= revision);
        synced.map(|(&id, watcher)| (id, Arc::clone(&watcher.wanted))).collect()
    }

    /// Whether watchers have to read what they missed.
    pub(super) fn is_behind(&self) -> bool {
        !self.unsynced.is_empty()
    }

    /// Whether what comes next can be told though not every change is written down.
    pub(super) fn is_next_written(&self) -> bool {
        if self.long.is_some() {
            return !self.is_behind();
        }
        match self.queue.front() {
            Some(Queued::Answer(_)) => true,
            Some(Queued::Events(news)) => news.changes.is_written() && !self.is_behind(),
            Some(Queued::Progress { .. }) | None => !self.is_behind(),
        }
    }

    /// How many more responses may wait, answers apart.
    pub(super) fn room(&self, capacity: usize) -> usize {
        capacity.saturating_sub(self.queue.len() - self.answers)
    }

    pub(super) fn enqueue(&mut self, queued: Queued) {
        if matches!(queued, Queued::Answer(_)) {
            self.answers += 1;
        }
        self.queue.push_back(queued);
        self.signals.ready.notify_one();
    }

    pub(super) fn dequeue(&mut self) -> Option<Queued> {
        let queued = self.queue.pop_front()?;
        if matches!(queued, Queued::Answer(_)) {
            self.answers -= 1;
            if self.answers + 1 == ANSWERS {
                self.signals.room.notify_one();
            }
        }
        Some(queued)
    }
}
