//! What a client gets (etcd: `sendLoop` in `server/etcdserver/api/v3rpc/watch.go`).

use std::ops::Range;

use tailetc_core::Revision;
use tailetc_core::backend::{Event, EventKind, Header, KeyValue};
use tokio::time::Instant;

use super::message::{NO_WATCHER, Poll, StreamResponse};
use super::stream::{Long, News, Queued, Stream};
use super::watcher::Wanted;
use super::{History, Surroundings, fragment};
use crate::store::change::Changes;

impl Stream {
    /// The queue first, then what unsynced watchers missed.
    pub(super) fn next(&mut self, around: &mut Surroundings<'_>, now: Instant) -> Poll {
        self.tick(around, now);
        loop {
            if let Some(part) = self.parts.pop_front() {
                return Poll::Ready(part);
            }
            if !around.history.is_written && !self.is_next_written() {
                return Poll::Busy;
            }
            if let Some(long) = self.long.take() {
                if !self.go_on(long, around) {
                    return Poll::Busy;
                }
            } else if let Some(queued) = self.dequeue() {
                self.send(queued, around);
            } else if let Some(id) = self.unsynced.pop_front() {
                self.catch_up(id, around);
            } else {
                return Poll::Idle(self.ticker.deadline());
            }
        }
    }

    fn send(&mut self, queued: Queued, around: &mut Surroundings<'_>) {
        match queued {
            Queued::Answer(answer) => self.send_answer(answer, around),
            Queued::Events(News { changes: Changes::Wide(wide), watch_id, wanted, revision }) => {
                let places = wide.places_with(&wanted.range);
                // One that grows would be copied now and then.
                let events = Vec::with_capacity(places.iter().map(Range::len).sum());
                self.long = Some(Long { watch_id, wanted, revision, wide, places, events });
            }
            Queued::Events(news) => {
                let events = news.changes.iter().map(|change| change.event()).collect();
                let (id, wanted) = (news.watch_id, &news.wanted);
                self.send_events(id, wanted, news.revision, events, around);
                self.retry_deferred_progress(around);
            }
            Queued::Progress { watch_id, revision } => {
                let header = Header { revision, ..around.history.header };
                self.send_whole(StreamResponse::progress(header, watch_id), around);
                self.retry_deferred_progress(around);
            }
        }
    }

    /// Adds a slice of events to a response, and sends it if that was all.
    fn go_on(&mut self, mut long: Long, around: &mut Surroundings<'_>) -> bool {
        let mut left = around.rules.slice;
        while let Some(place) = long.places.front_mut() {
            let taken = place.start..place.end.min(place.start.saturating_add(left));
            for change in long.wide.part(taken.clone()) {
                if long.wanted.range.contains(&change.kv.key) && long.wanted.passes(change) {
                    let mut event = change.event();
                    complete(&mut event, &long.wanted, &around.history);
                    long.events.push(event);
                }
            }
            left -= taken.end - taken.start;
            place.start = taken.end;
            if place.start < place.end {
                self.long = Some(long);
                return false;
            }
            long.places.pop_front();
        }
        let Long { watch_id, wanted, revision, events, .. } = long;
        self.send_completed(watch_id, &wanted, revision, events, around);
        self.retry_deferred_progress(around);
        true
    }

    /// Old versions take a refusal, whose id is -1, for the end of the watcher with that id. What
    /// they have for it then waits until the id is used again.
    fn send_answer(&mut self, answer: StreamResponse, around: &Surroundings<'_>) {
        let StreamResponse { watch_id, created, canceled, .. } = answer;
        self.parts.push_back(answer);
        if !created || watch_id != NO_WATCHER {
            return;
        }
        if !canceled {
            self.parts.extend(self.withheld.take().into_iter().flatten());
        } else if around.rules.version.refusals_withhold_from_watch_minus_one() {
            self.withheld.get_or_insert_default();
        }
    }

    fn send_whole(&mut self, response: StreamResponse, around: &Surroundings<'_>) {
        match &mut self.withheld {
            Some(withheld) if response.watch_id == NO_WATCHER => {
                // A server keeps them all.
                if withheld.len() < around.rules.buffer {
                    withheld.push(response);
                }
            }
            _ => self.parts.push_back(response),
        }
    }

    /// Many revisions at once, under the store's.
    pub(super) fn send_backlog(
        &mut self,
        id: i64,
        wanted: &Wanted,
        mut events: Vec<Event>,
        around: &mut Surroundings<'_>,
    ) {
        let split = around.rules.split_revisions.then(|| split_last_revision(&mut events));
        let revision = around.history.header.revision;
        self.send_events(id, wanted, revision, events, around);
        if let Some(rest) = split.flatten() {
            self.send_events(id, wanted, revision, rest, around);
        }
        self.retry_deferred_progress(around);
    }

    /// The only response without a revision.
    pub(super) fn send_compacted(&mut self, id: i64, around: &mut Surroundings<'_>) {
        let header = Header { revision: Revision::ZERO, ..around.history.header };
        let compact_revision = around.history.compacted;
        let response = StreamResponse {
            // After a compaction at 0, which a negative start is behind, the server does not see
            // its own flag.
            canceled: !compact_revision.is_zero(),
            compact_revision,
            ..StreamResponse::progress(header, id)
        };
        self.send_whole(response, around);
        self.retry_deferred_progress(around);
    }

    fn send_events(
        &mut self,
        watch_id: i64,
        wanted: &Wanted,
        revision: Revision,
        mut events: Vec<Event>,
        around: &Surroundings<'_>,
    ) {
        for event in &mut events {
            complete(event, wanted, &around.history);
        }
        self.send_completed(watch_id, wanted, revision, events, around);
    }

    fn send_completed(
        &mut self,
        watch_id: i64,
        wanted: &Wanted,
        revision: Revision,
        events: Vec<Event>,
        around: &Surroundings<'_>,
    ) {
        let header = Header { revision, ..around.history.header };
        let response = StreamResponse { events, ..StreamResponse::progress(header, watch_id) };
        let withheld = watch_id == NO_WATCHER && self.withheld.is_some();
        if wanted.fragment && !withheld {
            fragment::split(response, around.rules.fragment_bytes, &mut self.parts);
        } else {
            self.send_whole(response, around);
        }
    }

    fn retry_deferred_progress(&mut self, around: &mut Surroundings<'_>) {
        if self.progress_deferred && self.progress_of_all(around) {
            self.progress_deferred = false;
        }
    }
}

/// Adds the pair before, if it is wanted.
fn complete(event: &mut Event, wanted: &Wanted, history: &History<'_>) {
    if wanted.prev_kv {
        event.prev_kv = pair_before(event, history);
    }
}

/// The key before the whole revision, if no compaction took it before the event is delivered. A key
/// that the revision created has none, even if it existed before.
fn pair_before(event: &Event, history: &History<'_>) -> Option<KeyValue> {
    let kv = &event.kv;
    if event.kind == EventKind::Put && kv.create_revision == kv.mod_revision {
        return None;
    }
    let before = Revision::new(kv.mod_revision.get() - 1);
    if before < history.compacted {
        return None;
    }
    history.keys.get_at(&kv.key, before).cloned()
}

/// [`Fault::SplitRevision`](crate::fault::Fault): takes the last event off if its revision has
/// others.
fn split_last_revision(events: &mut Vec<Event>) -> Option<Vec<Event>> {
    let [.., before, last] = &events[..] else {
        return None;
    };
    let together = before.revision() == last.revision();
    if together { events.pop().map(|last| vec![last]) } else { None }
}
