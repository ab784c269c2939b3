//! What goes over a watch stream (etcd: `WatchRequest` and `WatchResponse` in
//! `api/etcdserverpb/rpc.proto`).

use tailetc_core::Revision;
use tailetc_core::backend::{Event, Header, WatchRequest};
use tokio::time::Instant;

/// The id of an answer that is about no watcher: a watch that was not created, or progress of the
/// whole stream. A client may give a watcher this id, too.
pub(crate) const NO_WATCHER: i64 = -1;

/// What a client asks of its stream.
#[derive(Clone, Debug)]
#[cfg_attr(not(any(test, feature = "grpc")), expect(dead_code, reason = "needs many watchers"))]
pub(crate) enum StreamRequest {
    /// Open a watcher. Always answered.
    Create(CreateRequest),
    /// End the watcher with this id. Answered if there is one.
    Cancel(i64),
    /// Say how far the watchers have come. Answered when the imitated version does.
    Progress,
}

/// A watcher to open.
#[derive(Clone, Debug)]
pub(crate) struct CreateRequest {
    pub(crate) watch: WatchRequest,
    /// Its name on its stream; 0 lets the store choose.
    pub(crate) watch_id: i64,
    /// Whether responses may come in parts.
    pub(crate) fragment: bool,
}

/// One message to the client, every field as the server sets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StreamResponse {
    pub(crate) header: Header,
    pub(crate) watch_id: i64,
    pub(crate) created: bool,
    pub(crate) canceled: bool,
    /// Zero unless the watcher was cancelled because it is behind this compaction.
    pub(crate) compact_revision: Revision,
    /// Why a watcher was not created; else empty.
    pub(crate) cancel_reason: &'static str,
    /// Whether more of the same response follows.
    pub(crate) fragment: bool,
    pub(crate) events: Vec<Event>,
}

impl StreamResponse {
    /// A response with nothing but a header and an id, which means progress.
    pub(super) fn progress(header: Header, watch_id: i64) -> Self {
        Self {
            header,
            watch_id,
            created: false,
            canceled: false,
            compact_revision: Revision::ZERO,
            cancel_reason: "",
            fragment: false,
            events: Vec::new(),
        }
    }
}

/// What a stream has for its client.
#[derive(Debug)]
pub(crate) enum Poll {
    Ready(StreamResponse),
    /// Something, when more is written down or made of it: each call does some of that.
    Busy,
    /// Nothing until the stream is woken or this instant comes.
    Idle(Option<Instant>),
}
