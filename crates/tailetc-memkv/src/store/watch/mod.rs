//! Watch streams (etcd: `server/storage/mvcc/watchable_store.go` and
//! `server/etcdserver/api/v3rpc/watch.go`).
//!
//! A stream has watchers and a queue of what waits for its client. A watcher that is
//! [synced](watcher::State) is in an [index](index::Index) by what it watches, in which a commit
//! finds the watchers that it concerns and nobody else. What does not fit into the queue of a slow
//! client is not kept: its watcher reads the log when the client has emptied the queue.
//!
//! What things cost, with w watchers and r revisions since a watcher's start:
//!
//! - a commit: O(log w) for each event, and O(1) for each event that concerns a watcher;
//! - a commit that deletes very many keys: O(log n) for each watcher that there is, and O(1) for
//!   each event that concerns a watcher, a slice at a time;
//! - a watcher that catches up: see [`backlog`];
//! - a request for progress, and a tick of periodic progress: O(watchers of the stream).

mod backlog;
mod delivery;
mod fragment;
mod index;
mod message;
mod progress;
mod requests;
mod stream;
mod watcher;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tailetc_core::Revision;
use tailetc_core::backend::{Header, KeyRange};
use tokio::time::Instant;

use self::index::Index;
pub(crate) use self::message::{CreateRequest, Poll, StreamRequest, StreamResponse};
pub(crate) use self::stream::Signals;
use self::stream::Stream;
use super::Store;
use super::change::{Change, Changes, Wide};
use super::keys::Keys;
use super::log::Log;
use crate::fault::Fault;
use crate::{EtcdVersion, MemKvOptions};

/// etcd's lower bound (`server/etcdserver/api/v3rpc/watch.go`, `minWatchProgressInterval`).
const MIN_PROGRESS_INTERVAL: Duration = Duration::from_millis(100);

/// What gRPC may add to a request (etcd: `grpcOverheadBytes` in `server/embed/config.go`).
const GRPC_OVERHEAD_BYTES: usize = 512 * 1024;

/// Names a stream within its store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct StreamId(u64);

/// Names a watcher within its store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct WatcherName {
    stream: StreamId,
    id: i64,
}

/// The open streams.
#[derive(Debug)]
pub(crate) struct Watches {
    streams: HashMap<StreamId, Stream>,
    next_stream: u64,
    synced: Index,
    rules: Rules,
}

/// What all streams of a store go by.
#[derive(Debug)]
struct Rules {
    version: EtcdVersion,
    /// How many responses may wait on a stream; answers to requests do not count.
    buffer: usize,
    progress_interval: Duration,
    /// How many events are made at a time.
    slice: u32,
    /// The size from which responses are sent in parts.
    fragment_bytes: usize,
    split_revisions: bool,
}

/// What watchers read.
#[derive(Debug)]
struct History<'a> {
    /// The store's header.
    header: Header,
    compacted: Revision,
    keys: &'a Keys,
    log: &'a Log,
    /// Whether both have every change.
    is_written: bool,
}

/// All that is around a stream.
#[derive(Debug)]
struct Surroundings<'a> {
    id: StreamId,
    history: History<'a>,
    synced: &'a mut Index,
    rules: &'a Rules,
}

impl Watches {
    pub(super) fn new(options: &MemKvOptions) -> Self {
        Self {
            streams: HashMap::new(),
            next_stream: 0,
            synced: Index::default(),
            rules: Rules {
                version: options.imitate,
                buffer: options.watch_buffer_revisions,
                progress_interval: options.progress_notify_interval.max(MIN_PROGRESS_INTERVAL),
                slice: u32::try_from(options.slice).unwrap_or(u32::MAX).max(1),
                fragment_bytes: options.max_request_bytes.saturating_add(GRPC_OVERHEAD_BYTES),
                split_revisions: options.has(Fault::SplitRevision),
            },
        }
    }

    /// Tells those concerned of the changes that made `revision`, which is the current one.
    pub(super) fn committed(&mut self, revision: Revision, changes: &Changes) {
        for (name, positions) in self.synced.concerned(changes) {
            let Some(stream) = self.streams.get_mut(&name.stream) else {
                continue;
            };
            let lost = stream.push(name.id, revision, changes, &positions, self.rules.buffer);
            if let Some(wanted) = lost {
                self.synced.remove(&wanted.range, name);
            }
        }
    }
}

impl Watches {
    /// The same for a revision that deletes very many keys. `others` are its other changes, and
    /// `concerns` says whether it deletes some of a range. Looks at every watcher.
    pub(super) fn committed_wide(
        &mut self,
        revision: Revision,
        wide: &Arc<Wide>,
        others: &[Arc<Change>],
        concerns: impl Fn(&KeyRange) -> bool,
    ) {
        let by_others = self.synced.concerned(others);
        let mut ids: Vec<StreamId> = self.streams.keys().copied().collect();
        ids.sort_unstable();
        for id in ids {
            let Some(stream) = self.streams.get_mut(&id) else {
                continue;
            };
            for (watcher, wanted) in stream.synced(revision) {
                let name = WatcherName { stream: id, id: watcher };
                let positions = by_others.get(&name).into_iter().flatten();
                let is_told = positions.map(|&at| &others[at]).any(|other| wanted.passes(other))
                    || (!wanted.no_delete && concerns(&wanted.range));
                if is_told {
                    let changes = Changes::Wide(Arc::clone(wide));
                    let lost = stream.offer(watcher, revision, changes, self.rules.buffer);
                    if let Some(wanted) = lost {
                        self.synced.remove(&wanted.range, name);
                    }
                }
            }
        }
    }
}

impl Store {
    /// Opens a stream without watchers.
    pub(crate) fn open_stream(&mut self, now: Instant) -> (StreamId, Arc<Signals>) {
        let watches = &mut self.watches;
        let id = StreamId(watches.next_stream);
        watches.next_stream += 1;
        let stream = Stream::new(now, watches.rules.progress_interval);
        let signals = stream.signals();
        watches.streams.insert(id, stream);
        (id, signals)
    }

    /// Ends a stream with its watchers and with all that its client has not taken.
    pub(crate) fn close_stream(&mut self, id: StreamId) {
        if let Some(stream) = self.watches.streams.remove(&id) {
            stream.leave(id, &mut self.watches.synced);
        }
    }

    /// Does what a client asks. The answer, if there is one, is on the stream.
    ///
    /// A client that asks without taking its answers makes them pile up: see
    /// [`stream_has_room`](Self::stream_has_room).
    ///
    /// `None`: it must wait until more is written down.
    pub(crate) fn stream_request(
        &mut self,
        id: StreamId,
        request: &StreamRequest,
        now: Instant,
    ) -> Option<()> {
        let is_all_written = self.is_all_written();
        if let Some((stream, mut around)) = self.stream(id) {
            let reads = matches!(request, StreamRequest::Progress) && stream.is_behind();
            if reads && !is_all_written {
                return None;
            }
            stream.request(request.clone(), &mut around, now);
        }
        Some(())
    }

    /// Whether another request should be read from the client: as in etcd, not while 16 answers
    /// wait. [`Signals::room`] tells when there is room again.
    pub(crate) fn stream_has_room(&self, id: StreamId) -> bool {
        self.watches.streams.get(&id).is_none_or(Stream::has_room)
    }

    /// How many watchers a stream has, those that a compaction ended included.
    pub(crate) fn stream_watchers(&self, id: StreamId) -> usize {
        self.watches.streams.get(&id).map_or(0, Stream::watchers)
    }

    /// What the client gets next.
    pub(crate) fn stream_next(&mut self, id: StreamId, now: Instant) -> Poll {
        match self.stream(id) {
            Some((stream, mut around)) => stream.next(&mut around, now),
            None => Poll::Idle(None),
        }
    }

    #[cfg(test)]
    fn has_no_watchers(&self) -> bool {
        self.watches.synced.is_empty() && self.watches.streams.values().all(|s| s.watchers() == 0)
    }

    #[cfg(test)]
    fn waiting_responses(&self) -> usize {
        self.watches.streams.values().map(Stream::waiting).sum()
    }

    fn stream(&mut self, id: StreamId) -> Option<(&mut Stream, Surroundings<'_>)> {
        let history = History {
            header: self.header(),
            compacted: self.compacted,
            keys: &self.keys,
            log: &self.log,
            is_written: self.unwritten.is_empty(),
        };
        let Watches { streams, synced, rules, .. } = &mut self.watches;
        Some((streams.get_mut(&id)?, Surroundings { id, history, synced, rules }))
    }
}
