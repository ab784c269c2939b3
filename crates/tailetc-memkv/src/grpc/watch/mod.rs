//! etcd's watch service (etcd: `server/etcdserver/api/v3rpc/watch.go`).

mod session;

use std::sync::Arc;

use etcd_client::proto::{PbWatchRequest, PbWatchResponse, PbWatchService};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use self::session::Session;
use super::face::Face;

/// How many responses wait for the transport. More than these wait in the store, which knows how
/// to fall behind as a server does.
const WAITING_RESPONSES: usize = 4;

pub(super) struct Watches {
    pub(super) face: Face,
}

#[tonic::async_trait]
impl PbWatchService for Watches {
    type WatchStream = ReceiverStream<Result<PbWatchResponse, Status>>;

    async fn watch(
        &self,
        request: Request<Streaming<PbWatchRequest>>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let Ok(permit) = Arc::clone(&self.face.watch_streams).try_acquire_owned() else {
            let limit = self.face.options.max_watch_streams;
            let text = format!("memkv: more than {limit} watch streams at once");
            return Err(Status::resource_exhausted(text));
        };
        let (responses, stream) = mpsc::channel(WAITING_RESPONSES);
        let session = Session::new(self.face.clone(), request.into_inner(), responses);
        tokio::spawn(async move {
            session.run().await;
            drop(permit);
        });
        Ok(Response::new(ReceiverStream::new(stream)))
    }
}
