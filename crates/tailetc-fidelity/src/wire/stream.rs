//! One stream of watches.

use std::sync::Arc;

use etcd_client::proto::{PbWatchRequest, PbWatchRequestUnion, PbWatchResponse};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::{Request, Status};
use tonic_prost::ProstCodec;

use super::{Client, Refusal};

/// Requests that were sent and not yet taken by the connection.
const BUFFER: usize = 16;

/// A stream of watches; dropping it ends it.
#[derive(Debug)]
pub(crate) struct WatchStream {
    requests: mpsc::Sender<PbWatchRequest>,
    responses: mpsc::UnboundedReceiver<Result<PbWatchResponse, Refusal>>,
    reader: JoinHandle<()>,
}

impl WatchStream {
    /// Opens a stream; `arrival` is told of each response.
    pub(crate) fn open(client: &Client, arrival: Arc<Notify>) -> Self {
        let (requests, outgoing) = mpsc::channel(BUFFER);
        // A bound would make this reader a slow client, which servers treat otherwise. What comes
        // is bounded by the program.
        let (incoming, responses) = mpsc::unbounded_channel();
        let client = client.clone();
        let reader = tokio::spawn(async move {
            if let Err(status) = read(&client, outgoing, &incoming, &arrival).await {
                let _ = incoming.send(Err(status.into()));
                arrival.notify_one();
            }
        });
        Self { requests, responses, reader }
    }

    /// Sends a request; on a stream that has ended nothing happens, and its end is read.
    pub(crate) async fn send(&self, request: PbWatchRequest) {
        let _ = self.requests.send(request).await;
    }

    /// The next response, however long it takes.
    pub(crate) async fn wait(&mut self) -> Option<Result<PbWatchResponse, Refusal>> {
        self.responses.recv().await
    }

    /// What has arrived and was not read.
    pub(crate) fn next(&mut self) -> Option<Result<PbWatchResponse, Refusal>> {
        self.responses.try_recv().ok()
    }
}

impl Drop for WatchStream {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

async fn read(
    client: &Client,
    outgoing: mpsc::Receiver<PbWatchRequest>,
    incoming: &mpsc::UnboundedSender<Result<PbWatchResponse, Refusal>>,
    arrival: &Notify,
) -> Result<(), Status> {
    let mut grpc = client.ready().await?;
    let codec = ProstCodec::<PbWatchRequest, PbWatchResponse>::default();
    let path = PathAndQuery::from_static("/etcdserverpb.Watch/Watch");
    let requests = Request::new(ReceiverStream::new(outgoing));
    // The server answers nothing, not even headers, before the first request.
    let mut responses = grpc.streaming(requests, path, codec).await?.into_inner();
    while let Some(response) = responses.message().await? {
        let _ = incoming.send(Ok(response));
        arrival.notify_one();
    }
    Err(Status::ok("the server ended the stream"))
}

/// A request for a watch of the keys from `key` to `end`, from `start` on.
pub(crate) fn create(key: &[u8], end: &[u8], start: i64) -> PbWatchRequest {
    let mut union = PbWatchRequestUnion::CreateRequest(Default::default());
    if let PbWatchRequestUnion::CreateRequest(request) = &mut union {
        request.key = key.to_vec();
        request.range_end = end.to_vec();
        request.start_revision = start;
    }
    PbWatchRequest { request_union: Some(union) }
}
