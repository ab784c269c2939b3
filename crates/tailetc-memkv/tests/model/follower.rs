//! What a watch must deliver.

use std::collections::VecDeque;

use tailetc_core::backend::{Event, EventKind, KeyRange, WatchRequest};
use tailetc_core::{LeaseId, Revision};

use crate::naive::Naive;

/// The response that must come next.
#[derive(Debug, PartialEq)]
pub(crate) enum Expected {
    /// With the revision of the header.
    Events(i64, Vec<Event>),
    Progress(i64),
    Compacted(i64),
    Nothing,
}

/// A watch in the words of a server: it is told of every change as it happens.
pub(crate) struct Follower {
    range: KeyRange,
    prev_kv: bool,
    start: i64,
    /// The first revision that was not put on the stream.
    next: i64,
    synced: bool,
    stream: VecDeque<OnStream>,
    capacity: usize,
}

enum OnStream {
    Events(i64, Vec<Event>),
    Progress(i64),
}

impl Follower {
    pub(crate) fn new(request: &WatchRequest, model: &Naive, capacity: usize) -> Self {
        let mut range = request.range.clone();
        if range.start().is_empty() {
            range = KeyRange::from_wire("\0", range.range_end().clone());
        }
        let start = request.start_revision.get();
        Self {
            range,
            prev_kv: request.prev_kv,
            start,
            next: if start == 0 { model.current() + 1 } else { start },
            synced: start == 0 || start > model.current(),
            stream: VecDeque::new(),
            capacity,
        }
    }

    /// After every request: puts on the stream what it has room for, up to the current revision.
    pub(crate) fn advance(&mut self, model: &Naive) {
        while self.synced && self.next <= model.current() {
            let events = concerned(&self.range, &model.changes[self.next as usize]);
            if !events.is_empty() {
                if self.stream.len() >= self.capacity {
                    self.synced = false;
                    return;
                }
                self.stream.push_back(OnStream::Events(self.next, events));
            }
            self.next += 1;
        }
    }

    pub(crate) fn request_progress(&mut self, model: &Naive) {
        if !self.synced {
            let left = self.unread(model);
            if self.next < model.compacted || !left.is_empty() {
                return;
            }
            self.synced = true;
            self.next = model.current() + 1;
        }
        let room = self.stream.len() < self.capacity.max(1);
        if self.synced && model.current() >= self.start && room {
            self.stream.push_back(OnStream::Progress(model.current()));
        }
    }

    pub(crate) fn expect(&mut self, model: &Naive) -> Expected {
        match self.stream.pop_front() {
            Some(OnStream::Progress(revision)) => return Expected::Progress(revision),
            Some(OnStream::Events(revision, events)) => {
                return Expected::Events(revision, self.with_prev(events, model));
            }
            None => {}
        }
        if self.synced {
            return Expected::Nothing;
        }
        if self.next < model.compacted {
            return Expected::Compacted(model.compacted);
        }
        let events = self.unread(model);
        self.next = model.current() + 1;
        self.synced = true;
        if events.is_empty() {
            Expected::Nothing
        } else {
            Expected::Events(model.current(), self.with_prev(events, model))
        }
    }

    /// These are fewer than a response can hold.
    fn unread(&self, model: &Naive) -> Vec<Event> {
        let revisions = self.next.max(model.compacted).max(2)..=model.current();
        revisions
            .flat_map(|revision| concerned(&self.range, &model.changes_left(revision)))
            .collect()
    }

    fn with_prev(&self, mut events: Vec<Event>, model: &Naive) -> Vec<Event> {
        if !self.prev_kv {
            return events;
        }
        for event in &mut events {
            let before = event.kv.mod_revision.get() - 1;
            let existed = model.states[before as usize].get(&event.kv.key);
            let created = event.kind == EventKind::Put
                && event.kv.create_revision == Revision::new(before + 1);
            if !created && before >= model.compacted {
                event.prev_kv = existed.cloned();
            }
            assert!(event.kind == EventKind::Put || event.kv.lease == LeaseId::NONE);
        }
        events
    }
}

fn concerned(range: &KeyRange, changes: &[Event]) -> Vec<Event> {
    let mut changes = changes.to_vec();
    changes.retain(|change| range.contains(&change.kv.key));
    changes
}
