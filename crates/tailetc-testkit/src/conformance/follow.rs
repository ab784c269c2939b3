//! Following a watch in a case: every wait has a deadline, every response is checked.

use std::time::Duration;

use tailetc_core::Revision;
use tailetc_core::backend::{
    BackendError, BackendErrorKind, Event, Header, KeyRange, WatchRequest, WatchResponse, Watcher,
};

use super::support::{Store, accepted, rev, within};

/// How long to listen for an answer before asking for progress again.
const ASK_AGAIN: Duration = Duration::from_millis(100);

/// An open watch. Checks of every response that it is not empty, that revisions never go back,
/// that no revision is split over two responses, and that the header is not behind the events.
#[derive(Debug)]
pub(super) struct Follow {
    watcher: Box<dyn Watcher>,
    last: Revision,
}

impl Store {
    pub(super) async fn follow(&self, range: KeyRange, start_revision: i64) -> Follow {
        self.follow_request(WatchRequest::new(range, rev(start_revision))).await
    }

    pub(super) async fn follow_request(&self, request: WatchRequest) -> Follow {
        let opened = within("a watch to open", self.backend().watch(request)).await;
        Follow { watcher: accepted("opening a watch", opened), last: Revision::ZERO }
    }

    /// How a watch fails that must not work, when it is opened or at its first response.
    pub(super) async fn watch_failure(&self, request: WatchRequest) -> BackendError {
        match within("a watch to open", self.backend().watch(request)).await {
            Err(error) => error,
            Ok(watcher) => {
                let mut follow = Follow { watcher, last: Revision::ZERO };
                match follow.next().await {
                    Err(error) => error,
                    Ok(response) => panic!("the watch must fail, delivered {response:?}"),
                }
            }
        }
    }
}

impl Follow {
    pub(super) async fn next(&mut self) -> Result<WatchResponse, BackendError> {
        let response = within("a watch response", self.watcher.next()).await;
        self.checked(response)
    }

    fn checked(
        &mut self,
        response: Result<WatchResponse, BackendError>,
    ) -> Result<WatchResponse, BackendError> {
        let response = response?;
        if let WatchResponse::Events { header, events } = &response {
            let (Some(first), Some(last)) = (events.first(), events.last()) else {
                panic!("a response without events");
            };
            assert!(
                first.revision() > self.last,
                "revision {} after {}: repeated, split or out of order",
                first.revision(),
                self.last
            );
            assert!(events.is_sorted_by_key(Event::revision), "out of order");
            assert!(header.revision >= last.revision(), "header at {}", header.revision);
            self.last = last.revision();
        }
        Ok(response)
    }

    /// Every event up to `revision`, which must be that of an event.
    pub(super) async fn until(&mut self, revision: Revision) -> Vec<Event> {
        let mut seen = Vec::new();
        while self.last < revision {
            match accepted("the watch", self.next().await) {
                WatchResponse::Events { events, .. } => seen.extend(events),
                _ => continue,
            }
        }
        assert_eq!(self.last, revision, "events beyond the awaited one: {seen:?}");
        seen
    }

    /// The next `count` events, which must end a response.
    pub(super) async fn events(&mut self, count: usize) -> Vec<Event> {
        let mut seen = Vec::new();
        while seen.len() < count {
            match accepted("the watch", self.next().await) {
                WatchResponse::Events { events, .. } => seen.extend(events),
                _ => continue,
            }
        }
        assert_eq!(seen.len(), count, "more events than awaited: {seen:?}");
        seen
    }

    /// Polls for an answer once and drops the future, as `select!` does.
    pub(super) async fn poll_and_drop(&mut self) -> Option<WatchResponse> {
        let response = tokio::select! {
            biased;
            response = self.watcher.next() => response,
            () = tokio::task::yield_now() => return None,
        };
        Some(accepted("the watch", self.checked(response)))
    }

    pub(super) async fn request_progress(&mut self) {
        let asked = within("asking for progress", self.watcher.request_progress()).await;
        accepted("asking for progress", asked);
    }

    /// Asks for progress, and again every 100 ms, until an answer comes or `give_up` passes; with
    /// the events that came before it.
    pub(super) async fn progress(&mut self, give_up: Duration) -> (Vec<Event>, Option<Header>) {
        let mut seen = Vec::new();
        let asking = async {
            loop {
                self.request_progress().await;
                let until = tokio::time::Instant::now() + ASK_AGAIN;
                while let Ok(response) = tokio::time::timeout_at(until, self.watcher.next()).await {
                    match accepted("the watch", self.checked(response)) {
                        WatchResponse::Events { events, .. } => seen.extend(events),
                        WatchResponse::Progress { header } => return header,
                        _ => continue,
                    }
                }
            }
        };
        let header = tokio::time::timeout(give_up, asking).await.ok();
        (seen, header)
    }
}

/// Fails the case unless `error` says that history below `bound` is gone.
pub(super) fn compacted_at(error: &BackendError, bound: i64) {
    let expected = BackendErrorKind::Compacted { compact_revision: rev(bound) };
    assert_eq!(error.kind(), expected, "{error}");
}
