//! Following one watch until it breaks.

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout_at};

use crate::Revision;
use crate::backend::{
    BackendError, BackendErrorKind, Event, EventKind, Header, WatchResponse, Watcher,
};
use crate::db::{AppliedEvent, Shared};
use crate::schema::Schema;
use crate::state::{Entry, EntryPtr, Value};

/// How often progress is asked for while somebody waits for it. Servers drop requests, so one is
/// not enough (etcd: `server/storage/mvcc/watchable_store.go`, `progressIfSync`).
const ASK_AGAIN: Duration = Duration::from_millis(100);

/// The most events that are gathered for one publication.
const BATCH: usize = 4096;

/// How a watch ended.
pub(super) struct Ended {
    pub(super) error: BackendError,
    /// Whether it delivered anything before.
    pub(super) productive: bool,
}

/// Applies what the watch delivers, for as long as it delivers.
pub(super) async fn follow(shared: &Shared, watcher: &mut dyn Watcher) -> Ended {
    let mut productive = false;
    let mut ask_at = Instant::now() + shared.options.progress_interval;
    loop {
        let outcome = tokio::select! {
            biased;
            response = watcher.next() => {
                let response = response.map(|first| gather(shared, watcher, first));
                response.and_then(|gathered| gathered.apply(shared))
            }
            () = shared.progress_wanted.notified() => {
                ask_at = Instant::now();
                continue;
            }
            () = sleep_until(ask_at) => {
                let waited_for = shared.progress_waiters.load(Ordering::Acquire) > 0;
                let pause = if waited_for { ASK_AGAIN } else { shared.options.progress_interval };
                ask_at = Instant::now() + pause;
                ask(shared, watcher).await.map(|()| false)
            }
        };
        match outcome {
            Ok(delivered) => productive |= delivered,
            Err(error) => return Ended { error, productive },
        }
    }
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
fn gather(shared: &Shared, watcher: &mut dyn Watcher, first: WatchResponse) -> Gathered {
    shared.touch();
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
        if gathered.events.len() >= BATCH {
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
    fn apply(self, shared: &Shared) -> Result<bool, BackendError> {
        let (known, expected) = shared.with_state(|state| (state.revision, state.cluster_id));
        if self.header.cluster_id != expected {
            return Err(BackendError::new(
                BackendErrorKind::Unavailable,
                "the watch is answered by another cluster",
            ));
        }
        if !self.events.is_empty() {
            shared.apply_events(decode(shared, self.events, known));
        }
        if let Some(header) = self.progress {
            shared.apply_progress(header.revision);
        }
        match self.error {
            Some(error) => Err(error),
            None => Ok(true),
        }
    }
}

/// Decodes events, outside of any lock. Those known already are left out.
fn decode(shared: &Shared, events: Vec<Event>, known: Revision) -> Vec<AppliedEvent> {
    let schema = shared.with_state(|state| std::sync::Arc::clone(&state.schema));
    let new = events.into_iter().filter(|event| event.revision() > known);
    new.map(|event| decode_one(shared, &schema, &event)).collect()
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
