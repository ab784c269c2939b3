//! A watch on a stream of its own.

use std::collections::VecDeque;
use std::time::Duration;

use async_trait::async_trait;
use etcd_client::proto::PbWatchResponse;
use etcd_client::{WatchRequestSender, WatchResponseStream};
use tailetc_core::backend::{BackendError, BackendErrorKind, WatchResponse, Watcher};
use tokio::time::timeout;

use crate::convert;
use crate::error::{from_cancel_reason, from_client};
use crate::fragments::Fragments;
use crate::member::Member;

/// One watch, on a gRPC stream that nothing else uses: a watcher that lags behind keeps the
/// others of its stream from getting progress, and one that the server has cancelled for
/// compaction does so until the stream ends (etcd: `server/storage/mvcc/watchable_store.go`).
///
/// Dropping it resets the stream, which makes the server drop the watch.
#[derive(Debug)]
pub(crate) struct EtcdWatcher {
    /// None after the first error. A stream that has failed may go on, from behind a message that
    /// could not be read and with the rest of it.
    stream: Option<Stream>,
    /// What came before the server's confirmation.
    early: VecDeque<WatchResponse>,
    request_timeout: Duration,
}

#[derive(Debug)]
struct Stream {
    requests: WatchRequestSender,
    responses: WatchResponseStream,
    fragments: Fragments,
}

impl EtcdWatcher {
    /// Opens a watch and waits until the server has confirmed it.
    pub(crate) async fn open(
        member: &Member,
        key: Vec<u8>,
        options: etcd_client::WatchOptions,
        max_message_bytes: usize,
        request_timeout: Duration,
    ) -> Result<Self, BackendError> {
        let stream = member.watch().watch(key, Some(options)).await.map_err(from_client)?;
        let (requests, responses) = stream.split();
        let fragments = Fragments::new(max_message_bytes);
        let mut watcher = Self {
            stream: Some(Stream { requests, responses, fragments }),
            early: VecDeque::new(),
            request_timeout,
        };
        loop {
            match watcher.receive().await? {
                Received::Created => return Ok(watcher),
                Received::Response(response) => watcher.early.push_back(response),
                Received::Nothing => {}
            }
        }
    }

    async fn receive(&mut self) -> Result<Received, BackendError> {
        let Some(stream) = &mut self.stream else { return Err(has_ended()) };
        let received = stream.receive().await;
        if received.is_err() {
            self.stream = None;
        }
        received
    }
}

impl Stream {
    async fn receive(&mut self) -> Result<Received, BackendError> {
        // Invariant: nothing is awaited once a message has been taken, so that a dropped future
        // loses none.
        match self.responses.message().await.map_err(from_client)? {
            Some(message) => match self.fragments.push(message.0)? {
                Some(whole) => interpret(whole),
                None => Ok(Received::Nothing),
            },
            None => Err(BackendError::new(
                BackendErrorKind::Unavailable,
                "the server closed the watch stream",
            )),
        }
    }
}

fn has_ended() -> BackendError {
    BackendError::new(BackendErrorKind::Unavailable, "the watch has ended with an earlier error")
}

#[async_trait]
impl Watcher for EtcdWatcher {
    async fn next(&mut self) -> Result<WatchResponse, BackendError> {
        if let Some(response) = self.early.pop_front() {
            return Ok(response);
        }
        loop {
            if let Received::Response(response) = self.receive().await? {
                return Ok(response);
            }
        }
    }

    async fn request_progress(&mut self) -> Result<(), BackendError> {
        let Some(stream) = &mut self.stream else { return Err(has_ended()) };
        match timeout(self.request_timeout, stream.requests.request_progress()).await {
            Ok(result) => result.map_err(from_client),
            Err(_) => Err(BackendError::new(
                BackendErrorKind::Timeout,
                "the connection of the watch takes no more requests",
            )),
        }
    }
}

enum Received {
    Created,
    Response(WatchResponse),
    Nothing,
}

fn interpret(response: PbWatchResponse) -> Result<Received, BackendError> {
    if response.canceled {
        return Err(from_cancel_reason(&response.cancel_reason, response.compact_revision));
    }
    if response.created {
        return Ok(Received::Created);
    }
    let header = convert::header(response.header.as_ref());
    if !response.events.is_empty() {
        let events = convert::events(response.events)?;
        return Ok(Received::Response(WatchResponse::Events { header, events }));
    }
    // Asked for (watch id -1) or periodic. Revision 0 is no position: some servers that only
    // speak etcd's protocol send it.
    if header.revision.is_zero() {
        return Ok(Received::Nothing);
    }
    Ok(Received::Response(WatchResponse::Progress { header }))
}

#[cfg(test)]
mod tests {
    use etcd_client::proto::{PbEvent, PbKeyValue, PbResponseHeader};
    use tailetc_core::Revision;

    use super::*;

    fn response(revision: i64) -> PbWatchResponse {
        PbWatchResponse {
            header: Some(PbResponseHeader { revision, ..PbResponseHeader::default() }),
            ..PbWatchResponse::default()
        }
    }

    fn error(response: PbWatchResponse) -> BackendErrorKind {
        match interpret(response) {
            Err(error) => error.kind(),
            Ok(_) => panic!("not an error"),
        }
    }

    #[test]
    fn response_without_events_is_progress_whatever_its_watch_id() {
        for watch_id in [-1, 0, 5] {
            let pb = PbWatchResponse { watch_id, ..response(9) };
            let Ok(Received::Response(WatchResponse::Progress { header })) = interpret(pb) else {
                panic!("watch id {watch_id} is not progress");
            };
            assert_eq!(header.revision, Revision::new(9));
        }
    }

    #[test]
    fn progress_without_a_revision_says_nothing() {
        assert!(matches!(interpret(response(0)), Ok(Received::Nothing)));
    }

    #[test]
    fn watch_with_id_minus_one_still_has_events() {
        let pb = PbWatchResponse {
            watch_id: -1,
            events: vec![PbEvent { kv: Some(PbKeyValue::default()), ..PbEvent::default() }],
            ..response(9)
        };
        let Ok(Received::Response(WatchResponse::Events { events, .. })) = interpret(pb) else {
            panic!("no events");
        };
        assert_eq!(events.len(), 1);
    }

    // D43
    #[test]
    fn refused_creation_is_an_error_whatever_its_watch_id() {
        // 3.5.1 says the id that was asked for, others -1.
        for watch_id in [-1, 0, 5] {
            let refused = |reason: &str| PbWatchResponse {
                watch_id,
                created: true,
                canceled: true,
                cancel_reason: reason.to_owned(),
                ..response(9)
            };
            assert_eq!(
                error(refused("mvcc: watcher range is empty")),
                BackendErrorKind::EmptyRange
            );
            let denied = "rpc error: code = PermissionDenied desc = etcdserver: permission denied";
            assert_eq!(error(refused(denied)), BackendErrorKind::PermissionDenied);
            assert!(error(refused("")).is_transient());
        }
    }

    // D43
    /// Such a cancel has no reason, and revision 0 in its header.
    #[test]
    fn cancel_with_a_compact_revision_is_compacted() {
        let pb = PbWatchResponse { canceled: true, compact_revision: 7, ..response(0) };
        let compact_revision = Revision::new(7);
        assert_eq!(error(pb), BackendErrorKind::Compacted { compact_revision });
    }
}
