//! The consumer's end of a watch: a stream with one watcher.

use std::sync::Arc;

use async_trait::async_trait;
use tailetc_core::Revision;
use tailetc_core::backend::{BackendError, WatchRequest, WatchResponse, Watcher};

use crate::errors;
use crate::memkv::Shared;
use crate::store::{CreateRequest, StreamRequest};
use crate::stream::MemStream;

pub(crate) async fn open(
    shared: &Arc<Shared>,
    watch: WatchRequest,
) -> Result<Box<dyn Watcher>, BackendError> {
    let stream = MemStream::open(shared);
    let create = CreateRequest { watch, watch_id: 0, fragment: false };
    stream.request(StreamRequest::Create(create)).await;
    let refused = stream.try_next().filter(|created| created.canceled);
    match refused.map(|refused| refused.cancel_reason) {
        None => Ok(Box::new(MemWatcher { stream, compacted: None })),
        Some(errors::COMPACTED) => Err(errors::compacted()),
        // The store chose the id, so that it is not taken.
        Some(_) => Err(errors::empty_watch_range()),
    }
}

#[derive(Debug)]
struct MemWatcher {
    stream: MemStream,
    /// Where the compaction was that ended the watch.
    compacted: Option<Revision>,
}

#[async_trait]
impl Watcher for MemWatcher {
    async fn next(&mut self) -> Result<WatchResponse, BackendError> {
        tokio::task::coop::consume_budget().await;
        if let Some(revision) = self.compacted {
            return Err(errors::compacted_at(revision));
        }
        let response = self.stream.next().await;
        let header = response.header;
        if response.canceled {
            self.compacted = Some(response.compact_revision);
            return Err(errors::compacted_at(response.compact_revision));
        }
        if response.events.is_empty() {
            return Ok(WatchResponse::Progress { header });
        }
        Ok(WatchResponse::Events { header, events: response.events })
    }

    async fn request_progress(&mut self) -> Result<(), BackendError> {
        tokio::task::coop::consume_budget().await;
        self.stream.request(StreamRequest::Progress).await;
        Ok(())
    }
}
