//! Watches: what is asked of them, and when all has come that is to come.

use std::collections::VecDeque;

use etcd_client::proto::{PbWatchRequest, PbWatchRequestUnion, PbWatchResponse};
use tokio::time::{Duration, Instant, sleep_until, timeout};

use super::follower::Asked;
use super::{Divergence, Duel, STREAMS};
use crate::program::{Watch, bytes};
use crate::wire::create;

/// How often is looked although nothing seems to have come.
const LOOK: Duration = Duration::from_millis(20);

impl Duel {
    pub(super) async fn watch(&mut self, client: u8, watch: &Watch) -> Result<(), Divergence> {
        // What a compaction removes, a watcher in the past misses.
        self.let_compaction_finish().await;
        let start = self.world.rev(watch.start);
        if start < 0 {
            // Up to 3.5 it makes all watchers that catch up in the same round miss what they are
            // owed, and which these are is a matter of milliseconds.
            self.settle().await?;
        }
        let mut request = create(&bytes(&watch.key), &bytes(&watch.end), start);
        if let Some(PbWatchRequestUnion::CreateRequest(request)) = &mut request.request_union {
            request.watch_id = watch.id;
            request.prev_kv = watch.prev_kv;
            request.progress_notify = watch.progress_notify;
            request.fragment = watch.fragment;
            request.filters.clone_from(&watch.filters);
        }
        let asked = Asked {
            // To the server an empty key is the least there is.
            key: if watch.key.is_empty() { vec![0] } else { bytes(&watch.key) },
            end: bytes(&watch.end),
            start,
            filters: watch.filters.clone(),
            doomed: start != 0 && start < self.world.compacted,
            fresh: start != 0 && start <= self.world.revision,
        };
        self.now = format!("{}: {request:?}", self.now);
        let is_in_the_past = asked.fresh;
        self.create(client, usize::from(watch.stream), request, asked).await?;
        if is_in_the_past {
            self.world.watch_in_the_past = Some(Instant::now());
        }
        if start < 0 {
            self.settle().await?;
        }
        Ok(())
    }

    /// Cancels a watcher. That of an unknown one has no answer.
    pub(super) async fn cancel(
        &mut self,
        client: u8,
        stream: u8,
        id: i64,
    ) -> Result<(), Divergence> {
        // Else what is still to come may come or not.
        self.quiesce().await?;
        let mut union = PbWatchRequestUnion::CancelRequest(Default::default());
        if let PbWatchRequestUnion::CancelRequest(request) = &mut union {
            request.watch_id = id;
        }
        let request = PbWatchRequest { request_union: Some(union) };
        self.now = format!("{}: cancel {id} on stream {stream}", self.now);
        let number = usize::from(stream) % STREAMS;
        let is_known = self.a.stream(client, number).watchers.contains_key(&id);
        self.send(client, number, request, is_known).await?;
        if is_known { self.answered(number).await } else { self.fence(client, number).await }
    }

    pub(super) async fn request_progress(
        &mut self,
        client: u8,
        stream: u8,
    ) -> Result<(), Divergence> {
        self.settle().await?;
        self.quiesce().await?;
        let union = PbWatchRequestUnion::ProgressRequest(Default::default());
        let request = PbWatchRequest { request_union: Some(union) };
        self.now = format!("{}: progress of stream {stream}", self.now);
        self.unanswered(client, stream, request).await
    }

    pub(super) async fn empty_watch_request(
        &mut self,
        client: u8,
        stream: u8,
    ) -> Result<(), Divergence> {
        self.now = format!("{}: an empty request on stream {stream}", self.now);
        self.unanswered(client, stream, PbWatchRequest { request_union: None }).await
    }

    async fn unanswered(
        &mut self,
        client: u8,
        stream: u8,
        request: PbWatchRequest,
    ) -> Result<(), Divergence> {
        let number = usize::from(stream) % STREAMS;
        self.send(client, number, request, false).await?;
        self.fence(client, number).await
    }

    pub(super) async fn end_stream(&mut self, stream: u8) -> Result<(), Divergence> {
        let number = usize::from(stream) % STREAMS;
        if self.a.streams[number].is_some() {
            self.quiesce().await?;
            self.fence(0, number).await?;
            self.quiesce().await?;
            self.a.streams[number] = None;
            self.b.streams[number] = None;
        }
        Ok(())
    }

    /// A creation that fails at once: its answer shows that the requests before it were read.
    async fn fence(&mut self, client: u8, number: usize) -> Result<(), Divergence> {
        let asked = Asked {
            key: b"b".to_vec(),
            end: b"a".to_vec(),
            start: 0,
            filters: Vec::new(),
            doomed: false,
            fresh: false,
        };
        self.create(client, number, create(b"b", b"a", 0), asked).await
    }

    async fn create(
        &mut self,
        client: u8,
        number: usize,
        request: PbWatchRequest,
        asked: Asked,
    ) -> Result<(), Divergence> {
        let number = number % STREAMS;
        if self.a.stream(client, number).watchers.contains_key(&-1) {
            // To some servers the answer to a creation that fails ends the watcher -1: what it
            // is owed must have come before.
            self.settle().await?;
            self.quiesce().await?;
        }
        self.a.stream(client, number).create(request.clone(), asked.clone()).await;
        self.b.stream(client, number).create(request, asked).await;
        self.compared.requests += 1;
        self.answered(number).await
    }

    async fn send(
        &mut self,
        client: u8,
        number: usize,
        request: PbWatchRequest,
        has_answer: bool,
    ) -> Result<(), Divergence> {
        self.a.stream(client, number).send(request.clone(), has_answer).await;
        self.b.stream(client, number).send(request, has_answer).await;
        self.compared.requests += 1;
        Ok(())
    }

    /// Waits until the watchers in the past have caught up: what is written before comes in one
    /// response with what they are owed, or not.
    pub(super) async fn settle(&mut self) -> Result<(), Divergence> {
        let Some(since) = self.world.watch_in_the_past.take() else {
            return Ok(());
        };
        self.quiesce().await?;
        let streams = self.a.streams.iter().chain(&self.b.streams).flatten();
        let revision = self.world.revision;
        let rounds = streams.map(|stream| stream.silent_rounds(revision)).max().unwrap_or(0);
        sleep_until(since + self.pauses.settle * rounds).await;
        let (a, b) = (&mut self.a.streams, &mut self.b.streams);
        a.iter_mut().chain(b).flatten().for_each(|stream| stream.settled());
        Ok(())
    }

    /// Waits until the requests on a stream have their answers.
    async fn answered(&mut self, number: usize) -> Result<(), Divergence> {
        self.until(|duel| {
            let streams = [&duel.a.streams[number], &duel.b.streams[number]];
            streams.into_iter().flatten().all(|stream| stream.is_answered())
        })
        .await
    }

    /// Waits until all has come that is to come, and nothing is left on one side alone.
    pub(super) async fn quiesce(&mut self) -> Result<(), Divergence> {
        self.until(|duel| {
            let revision = duel.world.revision;
            duel.a.is_caught_up(revision) && duel.b.is_caught_up(revision) && duel.is_even()
        })
        .await
    }

    async fn until(&mut self, done: impl Fn(&Self) -> bool + Send) -> Result<(), Divergence> {
        let started = Instant::now();
        let mut last_arrival = started;
        loop {
            if self.a.pump() + self.b.pump() > 0 {
                last_arrival = Instant::now();
                self.compare_watches()?;
            }
            if done(self) {
                return Ok(());
            }
            let quiet = last_arrival.elapsed();
            // What a watcher is owed is a guess where versions differ.
            if self.is_even() && quiet > self.pauses.quiet {
                return Ok(());
            }
            if !self.is_even() && quiet > self.pauses.patience {
                return Err(self.uneven());
            }
            let _ = timeout(LOOK, self.arrival.notified()).await;
        }
    }

    /// Compares, lane by lane, what has come on both sides.
    fn compare_watches(&mut self) -> Result<(), Divergence> {
        if self.world.is_order_open {
            return Ok(());
        }
        while let (Some(a), Some(b)) = (self.a.spy.arrived.front(), self.b.spy.arrived.front()) {
            self.compare_responses("all events", a.clone(), b.clone())?;
            self.a.spy.arrived.pop_front();
            self.b.spy.arrived.pop_front();
            self.compared.watch_responses += 1;
        }
        for number in 0..STREAMS {
            while let Some((lane, a, b)) = self.next_pair(number) {
                let place = format!("stream {number}, watch id {}", lane.0);
                self.compare_responses(&place, a, b)?;
                self.compared.watch_responses += 1;
            }
        }
        Ok(())
    }

    /// Takes one response of the same lane from both sides.
    fn next_pair(
        &mut self,
        number: usize,
    ) -> Option<((i64, u8), PbWatchResponse, PbWatchResponse)> {
        let (a, b) = (self.a.streams[number].as_mut()?, self.b.streams[number].as_mut()?);
        a.lanes.iter_mut().find_map(|(lane, of_a)| {
            let of_b = b.lanes.get_mut(lane)?;
            if of_a.is_empty() || of_b.is_empty() {
                return None;
            }
            Some((*lane, of_a.pop_front()?, of_b.pop_front()?))
        })
    }

    fn compare_responses(
        &self,
        place: &str,
        a: PbWatchResponse,
        b: PbWatchResponse,
    ) -> Result<(), Divergence> {
        let (a, b) = (self.a.canonical_watch(a), self.b.canonical_watch(b));
        if a == b {
            return Ok(());
        }
        let at = format!("{}: {place}", self.now);
        Err(Divergence { at, a: format!("{a:?}"), b: format!("{b:?}") })
    }

    /// Whether both sides have sent as many responses, on each lane.
    pub(super) fn is_even(&self) -> bool {
        let spies = self.a.spy.arrived.len() == self.b.spy.arrived.len()
            && self.a.spy.ended == self.b.spy.ended;
        spies && (0..STREAMS).all(|number| self.uneven_lane(number).is_none())
    }

    fn uneven_lane(&self, number: usize) -> Option<(String, String)> {
        let none = VecDeque::new();
        let (Some(a), Some(b)) = (&self.a.streams[number], &self.b.streams[number]) else {
            return None;
        };
        if a.ended != b.ended {
            return Some((format!("{:?}", a.ended), format!("{:?}", b.ended)));
        }
        a.lanes.keys().chain(b.lanes.keys()).find_map(|lane| {
            let (of_a, of_b) =
                (a.lanes.get(lane).unwrap_or(&none), b.lanes.get(lane).unwrap_or(&none));
            (of_a.len() != of_b.len()).then(|| (format!("{of_a:?}"), format!("{of_b:?}")))
        })
    }

    fn uneven(&self) -> Divergence {
        let difference = (0..STREAMS).find_map(|n| Some((n, self.uneven_lane(n)?)));
        let (place, a, b) = match difference {
            Some((number, (a, b))) => (format!("stream {number}"), a, b),
            None => {
                let shown =
                    |side: &super::Side| format!("{:?} {:?}", side.spy.arrived, side.spy.ended);
                ("all events".to_owned(), shown(&self.a), shown(&self.b))
            }
        };
        Divergence { at: format!("{}: more responses on {place}", self.now), a, b }
    }
}
