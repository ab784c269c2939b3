//! What becomes of the responses of a watch.

use std::collections::VecDeque;
use std::future::pending;
use std::sync::{Arc, PoisonError};

use async_trait::async_trait;
use tailetc_core::Revision;
use tailetc_core::backend::{BackendError, Event, Header, WatchResponse, Watcher};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::Fault;
use super::client::{Client, error_of};
use super::control::Control;

/// The last event responses of a client in one era, from which stale ones are taken.
#[derive(Debug, Default)]
pub(super) struct Recent {
    era: usize,
    responses: VecDeque<WatchResponse>,
}

impl Recent {
    /// Those that can only have been delivered before `first` was due.
    fn before(&mut self, era: usize, first: Revision) -> Vec<&WatchResponse> {
        if self.era != era {
            (self.era, self.responses) = (era, VecDeque::new());
        }
        self.responses.iter().filter(|response| last_revision(response) < first).collect()
    }

    fn add<'r>(&mut self, responses: impl Iterator<Item = &'r WatchResponse>) {
        self.responses.extend(responses.cloned());
        let surplus = self.responses.len().saturating_sub(RECENT);
        self.responses.drain(..surplus);
    }
}

/// How many of them are kept.
const RECENT: usize = 8;

pub(super) struct FaultyWatcher {
    client: Arc<Client>,
    inner: Box<dyn Watcher>,
    era: usize,
    cuts: u64,
    silences: u64,
    control: watch::Receiver<Control>,
    eras: watch::Receiver<usize>,
    seen: watch::Receiver<Header>,
    /// Received and treated, not yet delivered. An error is the last.
    queue: VecDeque<Result<WatchResponse, BackendError>>,
    /// Progress to be delivered after the next events.
    deferred: Option<WatchResponse>,
    /// Nothing is delivered before.
    not_before: Instant,
    /// How late everything comes, in milliseconds: on a member that lags.
    late_ms: u64,
    silent: bool,
}

impl FaultyWatcher {
    pub(super) fn new(client: Arc<Client>, inner: Box<dyn Watcher>, era: usize) -> Self {
        let control = client.control.subscribe();
        let (eras, seen) = (client.cluster.eras(), client.cluster.seen());
        let (cuts, silences) = {
            let control = control.borrow();
            (control.cuts, control.silences)
        };
        let late_ms = client.dice(|dice| match dice.roll(Fault::LagMember) {
            true => dice.below(3_000) as u64,
            false => 0,
        });
        Self {
            client,
            inner,
            era,
            cuts,
            silences,
            control,
            eras,
            seen,
            queue: VecDeque::new(),
            deferred: None,
            not_before: Instant::now(),
            late_ms,
            silent: false,
        }
    }

    /// Whether a response may be delivered now; else what to wait for.
    fn gate(&mut self) -> Gate {
        let control = self.control.borrow_and_update().clone();
        let era = *self.eras.borrow_and_update();
        let seen = self.seen.borrow_and_update().revision;
        self.silent |= control.silences != self.silences;
        if self.silent {
            return Gate::Silent;
        }
        if control.cuts != self.cuts || era != self.era {
            return Gate::Cut;
        }
        if control.held {
            return Gate::Closed;
        }
        if Instant::now() < self.not_before {
            return Gate::Until(self.not_before);
        }
        let lags = |response: &WatchResponse| {
            control.lag > 0 && last_revision(response).get() > seen.get() - control.lag
        };
        match self.queue.front() {
            Some(Ok(response)) if lags(response) => Gate::Closed,
            _ => Gate::Open,
        }
    }

    /// Takes a response from the store, with all that happens to it.
    fn receive(&mut self, response: WatchResponse) {
        let client = Arc::clone(&self.client);
        if let WatchResponse::Events { events, header } = &response {
            let revision = events.last().map_or(Revision::ZERO, Event::revision);
            client.cluster.saw(self.era, Header { revision, ..*header });
        }
        client.dice(|dice| {
            self.not_before = self.not_before.max(Instant::now() + dice.latency());
            if self.late_ms > 0 && !dice.is_healed() {
                self.not_before = Instant::now() + dice.millis(0..=self.late_ms);
            }
            if dice.roll(Fault::HoldWatch) {
                self.not_before = Instant::now() + dice.millis(1..=2_000);
            }
            if dice.roll(Fault::HalfOpen) {
                self.silent = true;
                return;
            }
            match response {
                WatchResponse::Events { header, events } => {
                    if dice.roll(Fault::LoseEvents) {
                        return;
                    }
                    let mut recent = client.recent.lock().unwrap_or_else(PoisonError::into_inner);
                    let first = events.first().map_or(Revision::ZERO, Event::revision);
                    let stale = recent.before(self.era, first);
                    if !stale.is_empty() && dice.roll(Fault::StaleEvents) {
                        self.queue.push_back(Ok(stale[dice.below(stale.len())].clone()));
                    }
                    let mut pieces = if dice.roll(Fault::SplitBatch) {
                        let ahead = client.cluster.seen_revision().max(header.revision);
                        by_revision(Header { revision: ahead, ..header }, events)
                    } else {
                        vec![WatchResponse::Events { header, events }]
                    };
                    recent.add(pieces.iter());
                    if dice.roll(Fault::DuplicateEvents) {
                        pieces = pieces.into_iter().flat_map(|p| [p.clone(), p]).collect();
                    }
                    if dice.roll(Fault::CutWatch) {
                        let mut revisions: Vec<_> =
                            pieces.into_iter().flat_map(revisions).collect();
                        revisions.truncate(dice.below(revisions.len() + 1));
                        self.queue.extend(revisions.into_iter().map(Ok));
                        self.queue.push_back(Err(error_of(Fault::CutWatch)));
                    } else if dice.roll(Fault::Oversize) {
                        self.queue.push_back(Err(error_of(Fault::Oversize)));
                    } else {
                        self.queue.extend(pieces.into_iter().map(Ok));
                        self.queue.extend(self.deferred.take().map(Ok));
                    }
                }
                WatchResponse::Progress { header } => {
                    if dice.roll(Fault::ZeroProgress) {
                        let header = Header { revision: Revision::ZERO, ..header };
                        self.queue.push_back(Ok(WatchResponse::Progress { header }));
                    }
                    if dice.roll(Fault::DropProgress) {
                        return;
                    }
                    let progress = WatchResponse::Progress { header };
                    if dice.roll(Fault::DeferProgress) {
                        self.deferred = Some(progress);
                    } else {
                        self.queue.push_back(Ok(progress));
                    }
                }
                other => self.queue.push_back(Ok(other)),
            }
        });
    }

    fn deliver(
        &self,
        response: Result<WatchResponse, BackendError>,
    ) -> Result<WatchResponse, BackendError> {
        let number = self.client.number;
        let tap = |line: std::fmt::Arguments<'_>| self.client.cluster.tap(line);
        match &response {
            Ok(WatchResponse::Events { events, header }) => {
                let first = events.first().map_or(Revision::ZERO, Event::revision);
                let last = events.last().map_or(Revision::ZERO, Event::revision);
                let (len, ahead) = (events.len(), header.revision);
                tap(format_args!("client {number} watch -> {first}..={last} ({len}) at {ahead}"));
            }
            Ok(WatchResponse::Progress { header }) => {
                self.client.cluster.saw(self.era, *header);
                tap(format_args!("client {number} watch -> progress {}", header.revision));
            }
            Ok(_) => {}
            Err(error) => tap(format_args!("client {number} watch -> {:?}", error.kind())),
        }
        response
    }
}

enum Gate {
    Open,
    Until(Instant),
    Closed,
    Cut,
    Silent,
}

#[async_trait]
impl Watcher for FaultyWatcher {
    async fn next(&mut self) -> Result<WatchResponse, BackendError> {
        loop {
            let gate = self.gate();
            let until = match gate {
                Gate::Silent => return pending().await,
                Gate::Cut => return self.deliver(Err(error_of(Fault::CutWatch))),
                Gate::Until(instant) => Some(instant),
                Gate::Closed | Gate::Open => None,
            };
            if matches!(gate, Gate::Open)
                && let Some(response) = self.queue.pop_front()
            {
                return self.deliver(response);
            }
            let open = matches!(gate, Gate::Open);
            // Nothing is lost when this future is dropped: what the store gave is treated at once.
            let received = tokio::select! {
                biased;
                _ = self.control.changed() => None,
                _ = self.eras.changed() => None,
                _ = self.seen.changed(), if !open => None,
                () = sleep_until(until.unwrap_or_else(Instant::now)), if until.is_some() => None,
                response = self.inner.next(), if open => Some(response),
            };
            match received {
                Some(Ok(response)) => self.receive(response),
                Some(Err(error)) => return self.deliver(Err(error)),
                None => {}
            }
        }
    }

    async fn request_progress(&mut self) -> Result<(), BackendError> {
        if self.silent || self.client.dice(|dice| dice.roll(Fault::DropProgress)) {
            return Ok(());
        }
        let distrusted = !self.client.reliable_progress();
        if distrusted && self.client.dice(|dice| dice.roll(Fault::PrematureProgress)) {
            let header = *self.seen.borrow();
            self.queue.push_front(Ok(WatchResponse::Progress { header }));
            return Ok(());
        }
        self.inner.request_progress().await
    }
}

fn last_revision(response: &WatchResponse) -> Revision {
    match response {
        WatchResponse::Events { events, .. } => {
            events.last().map_or(Revision::ZERO, Event::revision)
        }
        WatchResponse::Progress { header } => header.revision,
        _ => Revision::ZERO,
    }
}

/// One response for each revision, all under the same header.
fn by_revision(header: Header, events: Vec<Event>) -> Vec<WatchResponse> {
    let mut pieces: Vec<Vec<Event>> = Vec::new();
    for event in events {
        match pieces.last_mut() {
            Some(piece) if piece[0].revision() == event.revision() => piece.push(event),
            _ => pieces.push(vec![event]),
        }
    }
    pieces.into_iter().map(|events| WatchResponse::Events { header, events }).collect()
}

fn revisions(response: WatchResponse) -> Vec<WatchResponse> {
    match response {
        WatchResponse::Events { header, events } => by_revision(header, events),
        other => vec![other],
    }
}

impl std::fmt::Debug for FaultyWatcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FaultyWatcher").field("inner", &self.inner).finish_non_exhaustive()
    }
}
