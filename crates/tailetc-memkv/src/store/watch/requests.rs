//! What a client asks (etcd: `recvLoop` in `server/etcdserver/api/v3rpc/watch.go`).

use std::sync::Arc;

use bytes::Bytes;
use tailetc_core::Revision;
use tailetc_core::backend::KeyRange;
use tokio::time::Instant;

use super::message::{CreateRequest, NO_WATCHER, StreamRequest, StreamResponse};
use super::stream::{Queued, Stream};
use super::watcher::{State, Wanted, Watcher};
use super::{Surroundings, WatcherName};
use crate::errors;

impl Stream {
    pub(super) fn request(
        &mut self,
        request: StreamRequest,
        around: &mut Surroundings<'_>,
        now: Instant,
    ) {
        // A watcher does not get the progress of a tick from before it was there.
        self.tick(around, now);
        match request {
            StreamRequest::Create(request) => {
                let answer = self.create(request, around);
                self.enqueue(Queued::Answer(answer));
            }
            StreamRequest::Cancel(id) => {
                if let Some(answer) = self.cancel(id, around) {
                    self.enqueue(Queued::Answer(answer));
                }
            }
            StreamRequest::Progress => self.request_progress(around),
        }
    }

    fn create(&mut self, request: CreateRequest, around: &mut Surroundings<'_>) -> StreamResponse {
        let header = around.history.header;
        let refused = |cancel_reason| StreamResponse {
            created: true,
            canceled: true,
            cancel_reason,
            ..StreamResponse::progress(header, NO_WATCHER)
        };
        let watch = request.watch;
        let start = watch.start_revision;
        if start < Revision::ZERO && around.rules.version.refuses_negative_watch_starts() {
            return refused(errors::COMPACTED);
        }
        let range = watched_range(&watch.range);
        if range.is_empty() {
            return refused(errors::EMPTY_WATCH_RANGE);
        }
        let Some(id) = self.choose_id(request.watch_id) else {
            return refused(errors::DUPLICATE_WATCH_ID);
        };

        let synced = start.is_zero() || start > header.revision;
        let (state, next) = if synced {
            around.synced.insert(&range, WatcherName { stream: around.id, id });
            (State::Synced, start.max(header.revision.next()))
        } else {
            self.unsynced.push_back(id);
            (State::Unsynced, start)
        };
        if watch.progress_notify {
            self.ticker.add(id);
        }
        let wanted = Arc::new(Wanted {
            range,
            no_put: watch.no_put,
            no_delete: watch.no_delete,
            prev_kv: watch.prev_kv,
            fragment: request.fragment,
        });
        self.watchers.insert(id, Watcher { wanted, start, next, state });
        StreamResponse { created: true, ..StreamResponse::progress(header, id) }
    }

    /// `None` if the client chose one that is taken.
    fn choose_id(&mut self, requested: i64) -> Option<i64> {
        if requested != 0 {
            return (!self.watchers.contains_key(&requested)).then_some(requested);
        }
        while self.watchers.contains_key(&self.next_id) {
            self.next_id += 1;
        }
        let id = self.next_id;
        self.next_id += 1;
        Some(id)
    }

    fn cancel(&mut self, id: i64, around: &mut Surroundings<'_>) -> Option<StreamResponse> {
        let watcher = self.watchers.remove(&id)?;
        match watcher.state {
            State::Synced => {
                let name = WatcherName { stream: around.id, id };
                around.synced.remove(&watcher.wanted.range, name);
            }
            State::Unsynced => self.unsynced.retain(|unsynced| *unsynced != id),
            State::Compacted => {}
        }
        self.ticker.remove(id);
        let header = around.history.header;
        Some(StreamResponse { canceled: true, ..StreamResponse::progress(header, id) })
    }
}

/// In a watch, unlike elsewhere, an empty key is the smallest one.
fn watched_range(range: &KeyRange) -> KeyRange {
    if range.start().is_empty() {
        KeyRange::from_wire(Bytes::from_static(b"\0"), range.range_end().clone())
    } else {
        range.clone()
    }
}
