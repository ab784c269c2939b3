//! One watch stream: requests into the store, responses out of it.

use etcd_client::proto::{PbWatchRequest, PbWatchResponse};
use tokio::sync::mpsc;
use tonic::{Status, Streaming};

use crate::grpc::face::Face;
use crate::grpc::status::stopped;
use crate::grpc::{convert, message_limit};
use crate::store::StreamRequest;
use crate::stream::MemStream;

/// Ends, and with it all watchers of the stream, when the client is gone or the server shuts down.
/// A client that has no more requests keeps its watchers.
pub(super) struct Session {
    face: Face,
    requests: Streaming<PbWatchRequest>,
    responses: mpsc::Sender<Result<PbWatchResponse, Status>>,
    stream: MemStream,
}

impl Session {
    pub(super) fn new(
        face: Face,
        requests: Streaming<PbWatchRequest>,
        responses: mpsc::Sender<Result<PbWatchResponse, Status>>,
    ) -> Self {
        let stream = MemStream::open(&face.shared);
        Self { face, requests, responses, stream }
    }

    pub(super) async fn run(mut self) {
        if let Err(status) = self.serve().await {
            // The client may be gone, or may not listen until its connection is cut.
            let _ = self.responses.send(Err(status)).await;
        }
    }

    async fn serve(&mut self) -> Result<(), Status> {
        let Self { face, requests, responses, stream } = self;
        let mut stopping = std::pin::pin!(face.stopped());
        let mut has_requests = true;
        let mut response = None;
        loop {
            let read = async {
                stream.room().await;
                requests.message().await
            };
            tokio::select! {
                () = responses.closed() => return Ok(()),
                () = &mut stopping => return Err(stopped()),
                permit = responses.reserve(), if response.is_some() => {
                    let (Ok(permit), Some(response)) = (permit, response.take()) else {
                        return Ok(());
                    };
                    permit.send(Ok(convert::watch_response(response)));
                }
                next = stream.next(), if response.is_none() => response = Some(next),
                request = read, if has_requests => {
                    match request.map_err(message_limit::reword)? {
                        Some(request) => take(face, stream, request).await?,
                        None => has_requests = false,
                    }
                }
            }
        }
    }
}

async fn take(face: &Face, stream: &MemStream, request: PbWatchRequest) -> Result<(), Status> {
    // As in etcd, what is none of the three is passed over.
    let Some(request) = request.request_union.map(convert::watch_request) else {
        return Ok(());
    };
    face.options.log.line(|| format!("Watch {request:?}"));
    let limit = face.options.max_watchers_per_stream;
    if matches!(request, StreamRequest::Create(_)) && stream.watchers() >= limit {
        let text = format!("memkv: more than {limit} watchers on one stream");
        return Err(Status::resource_exhausted(text));
    }
    stream.request(request).await;
    Ok(())
}
