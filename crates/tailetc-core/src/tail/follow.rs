//! Following one watch until it breaks.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout_at};

use crate::backend::{
    BackendError, BackendErrorKind, Event, EventKind, Header, WatchResponse, Watcher,
};
use crate::db::{AppliedEvent, Refusal, Shared};
use crate::schema::Schema;
use crate::state::{Entry, EntryPtr, Value};
use crate::tail::Broken;
use crate::tail::pulse::Pulse;

/// How often progress is asked for while somebody waits for it. Servers drop requests, so one is
/// not enough (etcd: `server/storage/mvcc/watchable_store.go`, `progressIfSync`).
const ASK_AGAIN: Duration = Duration::from_millis(100);

/// The most events that are taken off the watch before they are applied.
const GATHERED: usize = 4096;

/// How many events are applied and published at once (the rest of their last revision with them).
/// Between two such batches the watches' consumers get a turn; tokio lets a task take 128 messages
/// in one, so that one that keeps up is never behind by more than that.
const BATCH: usize = 64;

/// How a watch ended.
pub(super) struct Ended {
    pub(super) broken: Broken,
    /// Whether it delivered anything new before.
    pub(super) productive: bool,
}

/// Applies what the watch delivers, for as long as it delivers.
pub(super) async fn follow(
    shared: &Shared,
    watcher: &mut dyn Watcher,
    mut pulse: Pulse<'_>,
) -> Ended {
    let mut productive = false;
    let mut ask_at = next_ask(shared, &pulse);
    loop {
        let outcome = tokio::select! {
            biased;
            // First, or a watch that never pauses would never be found to lag, nor to be wrong.
            beat = pulse.next() => match beat {
                Ok(()) => {
                    ask_at = Instant::now();
                    continue;
                }
                Err(error) => Err(error.into()),
            },
            () = shared.suspicion.raised() => Err(Broken::Store(BackendError::new(
                BackendErrorKind::Unavailable,
                "the watch does not deliver what the store has",
            ))),
            response = watcher.next() => {
                if let Ok(response) = &response {
                    pulse.heard(response);
                }
                match response {
                    Ok(first) => {
                        productive |= is_news(shared, &first);
                        gather(watcher, first).apply(shared).await
                    }
                    Err(error) => Err(error.into()),
                }
            }
            () = shared.progress_wanted.notified() => {
                ask_at = Instant::now();
                continue;
            }
            () = sleep_until(ask_at) => {
                pulse.asks();
                let asked = ask(shared, watcher).await;
                ask_at = next_ask(shared, &pulse);
                asked.map_err(Broken::Store)
            }
        };
        if let Err(broken) = outcome {
            return Ended { broken, productive };
        }
    }
}

/// Whether a response tells anything that is not known yet. (Some watches begin at what is.)
fn is_news(shared: &Shared, response: &WatchResponse) -> bool {
    match response {
        WatchResponse::Events { events, .. } => {
            let known = shared.with_state(|state| state.revision);
            events.iter().any(|event| event.revision() > known)
        }
        WatchResponse::Progress { .. } => true,
    }
}

fn next_ask(shared: &Shared, pulse: &Pulse<'_>) -> Instant {
    let waited_for = shared.progress_waiters.load(Ordering::Acquire) > 0 || pulse.awaits_answer();
    Instant::now() + if waited_for { ASK_AGAIN } else { shared.options.progress_interval }
}

async fn ask(shared: &Shared, watcher: &mut dyn Watcher) -> Result<(), BackendError> {
    // Where the answer proves nothing it must not be asked for: it would move the position.
    if !shared.backend.capabilities().reliable_progress {
        return Ok(());
    }
    shared.counters.progress_requests(1);
    let deadline = Instant::now() + shared.options.catch_up_timeout;
    timeout_at(deadline, watcher.request_progress()).await.unwrap_or_else(|_| {
        Err(BackendError::new(BackendErrorKind::Timeout, "the watch takes no progress request"))
    })
}

/// What the watch had ready at once: applied and published in one go.
struct Gathered {
    events: Vec<Event>,
    progress: Option<Header>,
    /// Of the last response.
    header: Header,
    error: Option<BackendError>,
}

/// Takes responses for as long as there are any, without waiting.
fn gather(watcher: &mut dyn Watcher, first: WatchResponse) -> Gathered {
    let mut gathered =
        Gathered { events: Vec::new(), progress: None, header: Header::default(), error: None };
    let mut response = first;
    loop {
        match response {
            WatchResponse::Events { header, events } => {
                gathered.header = header;
                gathered.events.extend(events);
            }
            WatchResponse::Progress { header } => {
                gathered.header = header;
                gathered.progress = Some(header);
            }
        }
        if gathered.events.len() >= GATHERED {
            return gathered;
        }
        let next = pin!(watcher.next());
        match next.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(next)) => response = next,
            Poll::Ready(Err(error)) => {
                gathered.error = Some(error);
                return gathered;
            }
            Poll::Pending => return gathered,
        }
    }
}

impl Gathered {
    /// Applies everything, then reports the error that ended the watch, if one did.
    async fn apply(self, shared: &Shared) -> Result<(), Broken> {
        shared.heard(&self.header);
        let expected = shared.with_state(|state| state.cluster_id);
        if self.header.cluster_id != expected {
            return Err(Broken::Store(BackendError::new(
                BackendErrorKind::Unavailable,
                "the watch is answered by another cluster",
            )));
        }
        let mut events = self.events.as_slice();
        while !events.is_empty() {
            let (batch, rest) = events.split_at(batch_end(events));
            let (decoded, refusal) = decode(shared, batch);
            shared.apply_events(self.header.raft_term, decoded);
            if let Some(refusal) = refusal {
                return Err(refusal.into());
            }
            events = rest;
            if !events.is_empty() {
                tokio::task::yield_now().await;
            }
        }
        if let Some(header) = self.progress {
            shared.apply_progress(header);
        }
        match self.error {
            Some(error) => Err(error.into()),
            None => Ok(()),
        }
    }
}

/// The end of a batch: never in the middle of a revision.
fn batch_end(events: &[Event]) -> usize {
    let Some(last) = events.get(BATCH - 1) else { return events.len() };
    let rest = &events[BATCH..];
    BATCH + rest.iter().take_while(|event| event.revision() == last.revision()).count()
}

/// Decodes events, outside of any lock. Those known already are left out, and so is everything from
/// the revision on that must not be applied.
fn decode(shared: &Shared, events: &[Event]) -> (Vec<AppliedEvent>, Option<Refusal>) {
    let (known, schema) = shared.with_state(|state| (state.revision, Arc::clone(&state.schema)));
    let events: Vec<_> = events.iter().filter(|event| event.revision() > known).collect();
    let mut decoded = Vec::with_capacity(events.len());
    for (at, event) in events.iter().enumerate() {
        let event = decode_one(shared, &schema, event);
        let entry = event.after.as_ref();
        let refusal = entry.and_then(|entry| Refusal::of(&schema, &event.key, entry));
        if refusal.is_some() && !is_overwritten(&event, &events[at + 1..]) {
            decoded.retain(|earlier: &AppliedEvent| earlier.revision < event.revision);
            return (decoded, refusal);
        }
        decoded.push(event);
    }
    (decoded, None)
}

/// Whether the same transaction writes or deletes the key once more: nobody sees what was between.
fn is_overwritten(event: &AppliedEvent, later: &[&Event]) -> bool {
    let mut same = later.iter().take_while(|later| later.revision() == event.revision);
    same.any(|later| later.kv.key == event.key.as_bytes())
}

fn decode_one(shared: &Shared, schema: &Schema, event: &Event) -> AppliedEvent {
    let kv = &event.kv;
    let after = match event.kind {
        EventKind::Delete => None,
        EventKind::Put => Some(match shared.own_writes.find(&kv.key, &kv.value) {
            Some(value) => {
                shared.counters.applied_without_decoding(1);
                Entry::new(kv, schema.slot_of(&kv.key), Value::Decoded(value))
            }
            None => Entry::decode(schema, kv),
        }),
    };
    let after = after.map(EntryPtr::new);
    AppliedEvent { revision: event.revision(), key: kv.key.as_ref().into(), after }
}
