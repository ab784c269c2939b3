//! Following changes.

use std::fmt;

use async_trait::async_trait;

use crate::Revision;
use crate::backend::{BackendError, Event, Header, KeyRange};

/// Which changes to follow.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WatchRequest {
    /// The keys.
    pub range: KeyRange,
    /// The first revision to deliver, inclusive. [`Revision::ZERO`] begins after the revision at
    /// which the store registers the watch, which the caller does not learn: name a revision.
    pub start_revision: Revision,
    /// Send the pair before each change along.
    pub prev_kv: bool,
    /// Ask for unsolicited [`WatchResponse::Progress`] on an idle watch (etcd: every 10 minutes).
    pub progress_notify: bool,
    /// Leave out puts (etcd: the filter `NOPUT`). Progress passes over what is left out.
    pub no_put: bool,
    /// Leave out deletions (etcd: the filter `NODELETE`).
    pub no_delete: bool,
}

impl WatchRequest {
    /// Changes of `range` at `start_revision` and later.
    pub fn new(range: KeyRange, start_revision: Revision) -> Self {
        Self {
            range,
            start_revision,
            prev_kv: false,
            progress_notify: false,
            no_put: false,
            no_delete: false,
        }
    }

    /// Asks for the pair before each change.
    #[must_use]
    pub fn with_prev_kv(mut self) -> Self {
        self.prev_kv = true;
        self
    }

    /// Asks for unsolicited progress.
    #[must_use]
    pub fn with_progress_notify(mut self) -> Self {
        self.progress_notify = true;
        self
    }

    /// Leaves out puts.
    #[must_use]
    pub fn with_no_put(mut self) -> Self {
        self.no_put = true;
        self
    }

    /// Leaves out deletions.
    #[must_use]
    pub fn with_no_delete(mut self) -> Self {
        self.no_delete = true;
        self
    }
}

/// What a [`Watcher`] delivers.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WatchResponse {
    /// Changes: one or many revisions, never a part of one, in order.
    Events {
        /// The header. Its revision may be ahead of the events and is no position.
        header: Header,
        /// The changes, at least one.
        events: Vec<Event>,
    },
    /// Every event at or below the header's revision has been delivered on this watcher
    /// (for solicited progress: if the store's
    /// [`reliable_progress`](crate::backend::Capabilities::reliable_progress) says so).
    Progress {
        /// The header with that revision.
        header: Header,
    },
}

/// One open watch. Dropping it ends the watch.
///
/// # Contract
///
/// - Fragments are put together before they are delivered.
/// - The first error is final: what `next` does after it is unspecified but never a panic, and the
///   watch must be opened anew from the last revision that was delivered, plus 1.
/// - The backend buffers a bounded amount; when the consumer is slow, back-pressure reaches the
///   store.
#[async_trait]
pub trait Watcher: fmt::Debug + Send + 'static {
    /// The next response. Waits for as long as nothing happens.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a dropped future loses no response.
    ///
    /// # Errors
    ///
    /// [`Compacted`](crate::backend::BackendErrorKind::Compacted), with the compaction revision,
    /// when the watch begins or has fallen below it; or an error of transport.
    async fn next(&mut self) -> Result<WatchResponse, BackendError>;

    /// Asks for one [`WatchResponse::Progress`]. There may be no answer: the store drops the
    /// request while the watch has events to catch up with. Ask again.
    ///
    /// # Errors
    ///
    /// Those of transport.
    async fn request_progress(&mut self) -> Result<(), BackendError>;
}
