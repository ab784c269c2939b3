//! One connection.

use prost::Message;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};
use tonic_prost::ProstCodec;

use super::{Answer, Call, Refusal};

/// A client on a connection of its own.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    grpc: Grpc<Channel>,
}

impl Client {
    pub(crate) async fn connect(url: &str) -> Result<Self, tonic::transport::Error> {
        let channel = Endpoint::from_shared(url.to_owned())?
            .initial_stream_window_size(16 << 20)
            .initial_connection_window_size(64 << 20)
            .connect()
            .await?;
        Ok(Self { grpc: Grpc::new(channel).max_decoding_message_size(usize::MAX) })
    }

    /// What sends a request with this connection, once it takes one.
    pub(super) async fn ready(&self) -> Result<Grpc<Channel>, Status> {
        let mut grpc = self.grpc.clone();
        grpc.ready().await.map_err(|e| Status::unavailable(e.to_string()))?;
        Ok(grpc)
    }

    pub(crate) async fn call(&self, call: Call) -> Result<Answer, Refusal> {
        Ok(match call {
            Call::Put(r) => Answer::Put(self.unary("/etcdserverpb.KV/Put", r).await?),
            Call::Range(r) => Answer::Range(self.unary("/etcdserverpb.KV/Range", r).await?),
            Call::Delete(r) => Answer::Delete(self.unary("/etcdserverpb.KV/DeleteRange", r).await?),
            Call::Txn(r) => Answer::Txn(self.unary("/etcdserverpb.KV/Txn", r).await?),
            Call::Compact(r) => Answer::Compact(self.unary("/etcdserverpb.KV/Compact", r).await?),
            Call::Grant(r) => Answer::Grant(self.unary("/etcdserverpb.Lease/LeaseGrant", r).await?),
            Call::Revoke(r) => {
                Answer::Revoke(self.unary("/etcdserverpb.Lease/LeaseRevoke", r).await?)
            }
            Call::KeepAlive(r) => Answer::KeepAlive(
                self.one_of_stream("/etcdserverpb.Lease/LeaseKeepAlive", r).await?,
            ),
            Call::TimeToLive(r) => {
                Answer::TimeToLive(self.unary("/etcdserverpb.Lease/LeaseTimeToLive", r).await?)
            }
            Call::Leases(r) => {
                Answer::Leases(self.unary("/etcdserverpb.Lease/LeaseLeases", r).await?)
            }
            Call::HashKv(r) => {
                Answer::HashKv(self.unary("/etcdserverpb.Maintenance/HashKV", r).await?)
            }
            Call::Status(r) => {
                Answer::Status(self.unary("/etcdserverpb.Maintenance/Status", r).await?)
            }
        })
    }

    async fn unary<Q, A>(&self, path: &'static str, request: Q) -> Result<A, Status>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let (path, codec) = (PathAndQuery::from_static(path), ProstCodec::<Q, A>::default());
        let response = self.ready().await?.unary(Request::new(request), path, codec).await?;
        Ok(response.into_inner())
    }

    /// The first response of a stream that carries one request.
    async fn one_of_stream<Q, A>(&self, path: &'static str, request: Q) -> Result<Option<A>, Status>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let (path, codec) = (PathAndQuery::from_static(path), ProstCodec::<Q, A>::default());
        let requests = Request::new(tokio_stream::once(request));
        let answers = self.ready().await?.streaming(requests, path, codec).await?;
        answers.into_inner().message().await
    }
}
