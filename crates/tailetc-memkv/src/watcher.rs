//! The consumer's end of a watch.

use std::sync::Arc;

use async_trait::async_trait;
use tailetc_core::backend::{BackendError, BackendErrorKind, WatchResponse, Watcher};
use tokio::sync::watch;
use tokio::time::timeout_at;

use crate::memkv::Shared;
use crate::store::{Poll, WatcherId};

/// A handle on a position in the store's log; dropping it ends the watch.
#[derive(Debug)]
pub(crate) struct MemWatcher {
    shared: Arc<Shared>,
    id: WatcherId,
    /// What it has seen is never newer than the last look at the store, so that a change after that
    /// look ends the wait.
    changed: watch::Receiver<()>,
}

impl MemWatcher {
    pub(crate) fn new(shared: Arc<Shared>, id: WatcherId) -> Self {
        let changed = shared.subscribe();
        Self { shared, id, changed }
    }
}

#[async_trait]
impl Watcher for MemWatcher {
    async fn next(&mut self) -> Result<WatchResponse, BackendError> {
        tokio::task::coop::consume_budget().await;
        loop {
            let (polled, expiry) =
                self.shared.with(|store, now| (store.poll(self.id, now), store.next_expiry()));
            let progress = match polled? {
                Poll::Ready(response) => return Ok(response),
                Poll::Idle(progress) => progress,
            };
            let waited = match progress.into_iter().chain(expiry).min() {
                None => self.changed.changed().await,
                Some(deadline) => match timeout_at(deadline, self.changed.changed()).await {
                    Ok(changed) => changed,
                    Err(_elapsed) => Ok(()),
                },
            };
            if waited.is_err() {
                return Err(BackendError::new(
                    BackendErrorKind::Closed,
                    "memkv: the store is gone",
                ));
            }
        }
    }

    async fn request_progress(&mut self) -> Result<(), BackendError> {
        tokio::task::coop::consume_budget().await;
        self.shared.with(|store, _| store.request_progress(self.id));
        Ok(())
    }
}

impl Drop for MemWatcher {
    fn drop(&mut self) {
        self.shared.with(|store, _| store.unwatch(self.id));
    }
}
