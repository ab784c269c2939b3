//! Everything that ever happened in a store, kept beyond its compactions.

use std::time::Duration;

use bytes::Bytes;
use tailetc_core::Revision;
use tailetc_core::backend::{
    BackendError, BackendErrorKind, Event, KeyRange, KvBackend, RangeRequest, WatchRequest,
    WatchResponse, Watcher,
};
use tokio::time::timeout;

/// How long the store may take to deliver what it has.
const PATIENCE: Duration = Duration::from_secs(30);

/// The changes of one history of a store, revision by revision.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct History {
    /// The last revision that this history shares with the one before it, from a backup of which it
    /// was restored; [`Revision::ZERO`] for the first.
    pub forked_at: Revision,
    /// Every revision that changed something, with all its events, in order.
    pub revisions: Vec<(Revision, Vec<Event>)>,
}

/// Reads a store's history, whenever it is told to.
#[derive(Debug, Default)]
pub(super) struct Recorder {
    watcher: Option<Box<dyn Watcher>>,
    pub(super) revisions: Vec<(Revision, Vec<Event>)>,
}

impl Recorder {
    /// Reads up to the store's present revision, which is returned.
    pub(super) async fn catch_up(
        &mut self,
        store: &dyn KvBackend,
    ) -> Result<Revision, BackendError> {
        let any = RangeRequest::new(KeyRange::key(Bytes::from_static(b"\0"))).with_limit(1);
        let present = store.range(any).await?.header.revision;
        let next = self.last().next();
        let watcher = match &mut self.watcher {
            Some(watcher) => watcher,
            none => none.insert(store.watch(WatchRequest::new(KeyRange::all(), next)).await?),
        };
        // Every revision changes a key, so that the present one has an event.
        while present.get() > 1 && last(&self.revisions) < present {
            let response = timeout(PATIENCE, watcher.next()).await.map_err(|_| {
                let message = "the store does not deliver its own history";
                BackendError::new(BackendErrorKind::Timeout, message)
            })??;
            if let WatchResponse::Events { events, .. } = response {
                add(&mut self.revisions, events);
            }
        }
        Ok(present)
    }

    fn last(&self) -> Revision {
        last(&self.revisions)
    }
}

fn last(revisions: &[(Revision, Vec<Event>)]) -> Revision {
    revisions.last().map_or(Revision::ZERO, |(revision, _)| *revision)
}

fn add(revisions: &mut Vec<(Revision, Vec<Event>)>, events: Vec<Event>) {
    for event in events {
        match revisions.last_mut() {
            Some((revision, same)) if *revision == event.revision() => same.push(event),
            _ => revisions.push((event.revision(), vec![event])),
        }
    }
}
