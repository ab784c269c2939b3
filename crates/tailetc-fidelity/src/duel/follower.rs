//! Watch streams of one side, with what has come of them and what is still to come.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use etcd_client::proto::{PbEvent, PbWatchRequest, PbWatchResponse};
use tokio::sync::Notify;

use crate::wire::{Client, Refusal, WatchStream, create};

/// The order of responses is compared within a lane: that between watchers is unspecified. With
/// identifier -1 failed creations, progress and a live watcher are told apart.
type Lane = (i64, u8);

/// Events that are remembered to know what a watcher in the past is owed.
const LOG: usize = 4000;

/// The revisions that a watcher catches up with in one round (etcd: `watchBatchMaxRevs`).
const BATCH: i64 = 1000;

/// A change of a key.
#[derive(Clone, Debug)]
pub(super) struct Change {
    revision: i64,
    key: Vec<u8>,
    is_delete: bool,
}

/// A watcher that was asked for.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) key: Vec<u8>,
    pub(super) end: Vec<u8>,
    pub(super) start: i64,
    pub(super) filters: Vec<i32>,
    /// It starts before the compaction, and is to be cancelled.
    pub(super) doomed: bool,
    /// It starts in the past, and is not yet known to have caught up.
    pub(super) fresh: bool,
}

#[derive(Debug)]
pub(super) struct Watcher {
    pub(super) asked: Asked,
    from: i64,
    expected: usize,
    delivered: usize,
    cancelled: bool,
}

/// A stream that a program has opened.
#[derive(Debug)]
pub(super) struct Follower {
    stream: WatchStream,
    pub(super) lanes: BTreeMap<Lane, VecDeque<PbWatchResponse>>,
    pub(super) watchers: HashMap<i64, Watcher>,
    asked: VecDeque<Asked>,
    controls_expected: usize,
    controls: usize,
    /// The server has ended the stream.
    pub(super) ended: Option<Refusal>,
}

impl Follower {
    pub(super) fn open(client: &Client, arrival: &Arc<Notify>) -> Self {
        Self {
            stream: WatchStream::open(client, Arc::clone(arrival)),
            lanes: BTreeMap::new(),
            watchers: HashMap::new(),
            asked: VecDeque::new(),
            controls_expected: 0,
            controls: 0,
            ended: None,
        }
    }

    /// Asks for a watcher.
    pub(super) async fn create(&mut self, request: PbWatchRequest, asked: Asked) {
        self.asked.push_back(asked);
        self.controls_expected += 1;
        self.stream.send(request).await;
    }

    /// Sends a request that is answered at most by what is compared anyway.
    pub(super) async fn send(&mut self, request: PbWatchRequest, has_answer: bool) {
        self.controls_expected += usize::from(has_answer);
        self.stream.send(request).await;
    }

    /// Takes note of what watchers are to be sent.
    pub(super) fn owe(&mut self, changes: &[Change]) {
        for watcher in self.watchers.values_mut() {
            watcher.expected += watcher.owed(changes);
        }
    }

    /// Takes in what has arrived.
    pub(super) fn pump(&mut self, log: &[Change]) -> u64 {
        let mut arrived = 0;
        while let Some(response) = self.stream.next() {
            match response {
                Ok(response) => self.take(response, log),
                Err(refusal) => self.ended = Some(refusal),
            }
            arrived += 1;
        }
        arrived
    }

    fn take(&mut self, response: PbWatchResponse, log: &[Change]) {
        let id = response.watch_id;
        if response.created {
            self.controls += 1;
            let asked = self.asked.pop_front();
            if let Some(asked) = asked.filter(|_| !response.canceled) {
                let watcher = Watcher::created(asked, &response, log);
                self.watchers.insert(id, watcher);
            }
        } else if response.canceled && response.compact_revision != 0 {
            if let Some(watcher) = self.watchers.get_mut(&id) {
                watcher.cancelled = true;
            }
        } else if response.canceled {
            self.controls += 1;
            self.watchers.remove(&id);
        } else if let Some(watcher) = self.watchers.get_mut(&id) {
            watcher.delivered += response.events.len();
        }
        self.lanes.entry(lane(&response)).or_default().push_back(response);
    }

    /// Whether all requests have their answers.
    pub(super) fn is_answered(&self) -> bool {
        self.ended.is_some() || self.controls >= self.controls_expected
    }

    pub(super) fn is_caught_up(&self) -> bool {
        self.ended.is_some()
            || (self.is_answered() && self.watchers.values().all(Watcher::is_caught_up))
    }

    /// In how many rounds all watchers in the past have caught up that have nothing to show for it:
    /// none if there is no such watcher.
    pub(super) fn silent_rounds(&self, revision: i64) -> u32 {
        let fresh = self.watchers.values().filter(|w| w.asked.fresh && !w.cancelled);
        let most = fresh.map(|watcher| watcher.silent_rounds(revision)).max();
        most.and_then(|rounds| rounds.try_into().ok()).unwrap_or(0)
    }

    /// All watchers are known to have caught up.
    pub(super) fn settled(&mut self) {
        for watcher in self.watchers.values_mut() {
            watcher.asked.fresh = false;
        }
    }

    /// The farthest revision that a watcher waits for.
    pub(super) fn farthest_start(&self) -> i64 {
        self.watchers.values().map(|watcher| watcher.from).max().unwrap_or(0)
    }
}

impl Watcher {
    /// What a filter leaves out takes rounds, too, and the last of them may be without a response.
    fn silent_rounds(&self, revision: i64) -> i64 {
        let rounds = match self.asked.doomed {
            true => 1,
            false => 1 + revision.saturating_sub(self.from).max(0) / BATCH,
        };
        let is_shown = self.expected > 0 && (rounds == 1 || self.asked.filters.is_empty());
        if is_shown { 0 } else { rounds }
    }

    fn created(asked: Asked, response: &PbWatchResponse, log: &[Change]) -> Self {
        let current = response.header.as_ref().map_or(0, |header| header.revision);
        let from = if asked.start == 0 { current + 1 } else { asked.start };
        let mut watcher = Self { asked, from, expected: 0, delivered: 0, cancelled: false };
        watcher.expected = watcher.owed(log);
        watcher
    }

    fn owed(&self, changes: &[Change]) -> usize {
        changes.iter().filter(|change| self.concerns(change)).count()
    }

    fn concerns(&self, change: &Change) -> bool {
        let Asked { key, end, filters, .. } = &self.asked;
        let in_range = match end.as_slice() {
            [] => change.key == *key,
            [0] => change.key >= *key,
            end => change.key >= *key && change.key.as_slice() < end,
        };
        in_range && change.revision >= self.from && !filters.contains(&i32::from(change.is_delete))
    }

    fn is_caught_up(&self) -> bool {
        self.cancelled || (!self.asked.doomed && self.delivered >= self.expected)
    }
}

fn lane(response: &PbWatchResponse) -> Lane {
    let class = match response.watch_id {
        -1 if response.created => 1,
        // A cancellation by compaction comes in its own time.
        -1 if response.canceled => 2,
        -1 if response.events.is_empty() => 3,
        _ => 0,
    };
    (response.watch_id, class)
}

/// A watcher of all keys on a stream of its own, from the server's first revision on.
#[derive(Debug)]
pub(super) struct Spy {
    stream: WatchStream,
    pub(super) arrived: VecDeque<PbWatchResponse>,
    pub(super) ended: Option<Refusal>,
    log: Vec<Change>,
    seen: i64,
}

impl Spy {
    pub(super) async fn open(client: &Client, arrival: &Arc<Notify>) -> Self {
        let mut stream = WatchStream::open(client, Arc::clone(arrival));
        stream.send(create(&[0], &[0], 0)).await;
        let (mut arrived, mut ended) = (VecDeque::new(), None);
        // Before it is created, it would miss events.
        match stream.wait().await {
            Some(Ok(response)) => arrived.push_back(response),
            Some(Err(refusal)) => ended = Some(refusal),
            None => {}
        }
        Self { stream, arrived, ended, log: Vec::new(), seen: 1 }
    }

    /// Takes in what has arrived, and returns the changes in it.
    fn pump_responses(&mut self) -> Vec<PbEvent> {
        let mut events = Vec::new();
        while let Some(response) = self.stream.next() {
            match response {
                Ok(response) => {
                    events.extend(response.events.iter().cloned());
                    self.arrived.push_back(response);
                }
                Err(refusal) => self.ended = Some(refusal),
            }
        }
        events
    }

    pub(super) fn pump(&mut self) -> Vec<Change> {
        let changes: Vec<_> = self.pump_responses().iter().filter_map(change).collect();
        if let Some(last) = changes.last() {
            self.seen = self.seen.max(last.revision);
        }
        if self.log.len() > 2 * LOG {
            self.log.drain(..LOG);
        }
        self.log.extend(changes.iter().cloned());
        changes
    }

    pub(super) fn log(&self) -> &[Change] {
        &self.log
    }

    /// Whether this revision is known to have changed no key more than once.
    pub(super) fn changes_each_key_once(&self, revision: i64) -> bool {
        let is_known = self.ended.is_none()
            && (self.log.len() <= LOG
                || self.log.first().is_some_and(|change| change.revision < revision));
        let changes: Vec<_> =
            self.log.iter().filter(|change| change.revision == revision).collect();
        let keys: BTreeSet<_> = changes.iter().map(|change| &change.key).collect();
        is_known && keys.len() == changes.len()
    }

    pub(super) fn has_seen(&self, revision: i64) -> bool {
        self.ended.is_some() || self.seen >= revision
    }
}

fn change(event: &PbEvent) -> Option<Change> {
    let kv = event.kv.as_ref()?;
    let is_delete = event.r#type != 0;
    Some(Change { revision: kv.mod_revision, key: kv.key.clone(), is_delete })
}
