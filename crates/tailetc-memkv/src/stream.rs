//! A watch stream as something to wait on.

use std::sync::Arc;

use tokio::time::Instant;

use crate::Clock;

use crate::memkv::Shared;
use crate::store::{Poll, Signals, StreamId, StreamRequest, StreamResponse};

/// An open stream of the store; dropping it ends its watchers.
#[derive(Debug)]
pub(crate) struct MemStream {
    shared: Arc<Shared>,
    id: StreamId,
    signals: Arc<Signals>,
}

impl MemStream {
    pub(crate) fn open(shared: &Arc<Shared>) -> Self {
        let (id, signals) = shared.with(|store, now| store.open_stream(now));
        Self { shared: Arc::clone(shared), id, signals }
    }

    /// Does what the client asks. The answer, if there is one, is on the stream.
    pub(crate) async fn request(&self, request: StreamRequest) {
        self.shared.until(|store, now| store.stream_request(self.id, &request, now)).await;
    }

    #[cfg(test)]
    pub(crate) fn request_now(&self, request: StreamRequest) {
        self.shared.block_until(|store, now| store.stream_request(self.id, &request, now));
    }

    /// The next response, if there is one now.
    pub(crate) fn try_next(&self) -> Option<StreamResponse> {
        match self.shared.with(|store, now| store.stream_next(self.id, now)) {
            Poll::Ready(response) => Some(response),
            Poll::Busy | Poll::Idle(_) => None,
        }
    }

    /// The next response. Waits for as long as nothing happens, and makes leases expire meanwhile.
    ///
    /// Only one task may wait for responses.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a dropped future loses no response.
    pub(crate) async fn next(&self) -> StreamResponse {
        loop {
            // Before the look at the store, so that no news after it is missed.
            let expires_sooner = self.shared.expires_sooner();
            let (polled, expiry) = self
                .shared
                .with(|store, now| (store.stream_next(self.id, now), store.next_expiry()));
            let progress = match polled {
                Poll::Ready(response) => return response,
                Poll::Busy => {
                    tokio::task::yield_now().await;
                    continue;
                }
                Poll::Idle(progress) => progress,
            };
            let deadline = progress.into_iter().chain(expiry).min();
            tokio::select! {
                () = self.signals.ready.notified() => {}
                () = expires_sooner => {}
                () = until(&self.shared.options.clock, deadline), if deadline.is_some() => {}
            }
        }
    }

    /// Waits until another request may be read from the client: not while 16 answers wait.
    ///
    /// Only one task may wait for room.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    #[cfg_attr(not(any(test, feature = "grpc")), expect(dead_code, reason = "of a transport"))]
    pub(crate) async fn room(&self) {
        while !self.shared.with(|store, _| store.stream_has_room(self.id)) {
            self.signals.room.notified().await;
        }
    }

    /// How many watchers the stream has, those that a compaction ended included.
    #[cfg_attr(not(any(test, feature = "grpc")), expect(dead_code, reason = "of a transport"))]
    pub(crate) fn watchers(&self) -> usize {
        self.shared.with(|store, _| store.stream_watchers(self.id))
    }
}

impl Drop for MemStream {
    fn drop(&mut self) {
        self.shared.with(|store, _| store.close_stream(self.id));
    }
}

/// Without an instant it needs no timer.
async fn until(clock: &Clock, instant: Option<Instant>) {
    match instant {
        Some(instant) => clock.sleep_until(instant).await,
        None => std::future::pending().await,
    }
}
