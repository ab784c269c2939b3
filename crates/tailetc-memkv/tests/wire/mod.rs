//! A client that can send what etcd clients do not let one say: messages as they are.

mod page;

use std::marker::PhantomData;

use etcd_client::proto::{
    PbLeaseKeepAliveRequest, PbLeaseKeepAliveResponse, PbWatchRequest, PbWatchRequestUnion,
    PbWatchResponse,
};
use prost::Message;
use prost::bytes::{Buf, BufMut};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;
use tonic::client::Grpc;
use tonic::codec::CompressionEncoding::Gzip;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Response, Status, Streaming};

pub(crate) use self::page::Page;

/// A connection to one server.
pub(crate) struct Wire {
    grpc: Grpc<Channel>,
}

impl Wire {
    pub(crate) async fn connect(url: String) -> Self {
        let channel = Endpoint::from_shared(url).expect("a URL").connect().await;
        let grpc = Grpc::new(channel.expect("the server listens"));
        Self { grpc: grpc.max_decoding_message_size(usize::MAX) }
    }

    /// Compresses what is sent, and accepts answers that are compressed.
    pub(crate) fn compressed(mut self) -> Self {
        self.grpc = self.grpc.send_compressed(Gzip).accept_compressed(Gzip);
        self
    }

    /// Accepts answers that are compressed.
    pub(crate) fn accepting_compressed(mut self) -> Self {
        self.grpc = self.grpc.accept_compressed(Gzip);
        self
    }

    /// One request, one answer; `method` is such as `KV/Range`.
    pub(crate) async fn call<Q, A>(&mut self, method: &str, request: Q) -> Result<A, Status>
    where
        Q: Message + Default + 'static,
        A: Message + Default + 'static,
    {
        self.call_encoded(method, request).await.map(|(answer, _)| answer)
    }

    /// The same, and how the answer was compressed.
    pub(crate) async fn call_encoded<Q, A>(
        &mut self,
        method: &str,
        request: Q,
    ) -> Result<(A, Option<String>), Status>
    where
        Q: Message + Default + 'static,
        A: Message + Default + 'static,
    {
        self.grpc.ready().await.expect("the connection stays");
        let answer = self.grpc.unary(Request::new(request), path(method), Prost::new()).await?;
        let encoding = answer.metadata().get("grpc-encoding");
        let encoding = encoding.map(|text| text.to_str().expect("a name").to_owned());
        Ok((answer.into_inner(), encoding))
    }

    /// One request, many answers.
    pub(crate) async fn read<Q, A>(&mut self, method: &str, request: Q) -> Result<Vec<A>, Status>
    where
        Q: Message + Default + 'static,
        A: Message + Default + 'static,
    {
        self.grpc.ready().await.expect("the connection stays");
        let request = Request::new(request);
        let answers = self.grpc.server_streaming(request, path(method), Prost::new()).await;
        let mut answers = answers?.into_inner();
        let mut all = Vec::new();
        while let Some(answer) = answers.message().await? {
            all.push(answer);
        }
        Ok(all)
    }

    /// Many requests, many answers.
    fn talk<Q, A>(&self, method: &str) -> (mpsc::Sender<Q>, Answers<A>)
    where
        Q: Message + Default + 'static,
        A: Message + Default + 'static,
    {
        let (requests, stream) = mpsc::channel(16);
        let request = Request::new(ReceiverStream::new(stream));
        let (mut grpc, path) = (self.grpc.clone(), path(method));
        let call = tokio::spawn(async move {
            grpc.ready().await.expect("the connection stays");
            grpc.streaming(request, path, Prost::new()).await
        });
        (requests, Answers::Opening(call))
    }

    pub(crate) fn watch(&self) -> Watch {
        self.talk("Watch/Watch")
    }

    pub(crate) fn keep_alive(&self) -> KeepAlives {
        self.talk("Lease/LeaseKeepAlive")
    }
}

pub(crate) type Watch = (mpsc::Sender<PbWatchRequest>, Answers<PbWatchResponse>);
pub(crate) type KeepAlives =
    (mpsc::Sender<PbLeaseKeepAliveRequest>, Answers<PbLeaseKeepAliveResponse>);

/// The other direction of a stream. etcd does not open it before the first answer, so that nobody
/// may wait for that who has not asked yet.
pub(crate) enum Answers<A> {
    Opening(JoinHandle<Result<Response<Streaming<A>>, Status>>),
    Open(Box<Streaming<A>>),
}

impl<A> Answers<A> {
    pub(crate) async fn message(&mut self) -> Result<Option<A>, Status> {
        if let Self::Opening(call) = self {
            let answers = call.await.expect("the call ends")?.into_inner();
            *self = Self::Open(Box::new(answers));
        }
        match self {
            Self::Open(answers) => answers.message().await,
            Self::Opening(_) => unreachable!("it was opened"),
        }
    }
}

impl<A> Drop for Answers<A> {
    fn drop(&mut self) {
        if let Self::Opening(call) = self {
            call.abort();
        }
    }
}

/// A request to watch the keys from `key` to `end` (none: that key; a zero: all from it on).
pub(crate) fn create(
    (key, end): (&str, &str),
    start_revision: i64,
    watch_id: i64,
) -> PbWatchRequest {
    // The types within cannot be named.
    let mut union = PbWatchRequestUnion::CreateRequest(Default::default());
    if let PbWatchRequestUnion::CreateRequest(create) = &mut union {
        create.key = key.into();
        create.range_end = end.into();
        create.start_revision = start_revision;
        create.watch_id = watch_id;
        create.prev_kv = true;
    }
    PbWatchRequest { request_union: Some(union) }
}

fn path(method: &str) -> tonic::codegen::http::uri::PathAndQuery {
    format!("/etcdserverpb.{method}").parse().expect("a path")
}

/// Protobuf messages of any two types.
struct Prost<Q, A>(PhantomData<(Q, A)>);

impl<Q, A> Prost<Q, A> {
    fn new() -> Self {
        Self(PhantomData)
    }
}

impl<Q, A> Codec for Prost<Q, A>
where
    Q: Message + Default + 'static,
    A: Message + Default + 'static,
{
    type Encode = Q;
    type Decode = A;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self::Encoder {
        Self::new()
    }

    fn decoder(&mut self) -> Self::Decoder {
        Self::new()
    }
}

impl<Q: Message, A: Send + 'static> Encoder for Prost<Q, A>
where
    Q: 'static,
{
    type Item = Q;
    type Error = Status;

    fn encode(&mut self, item: Q, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put_slice(&item.encode_to_vec());
        Ok(())
    }
}

impl<Q: Send + 'static, A: Message + Default + 'static> Decoder for Prost<Q, A> {
    type Item = A;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<A>, Status> {
        let message = buffer.copy_to_bytes(buffer.remaining());
        let message = A::decode(message).map_err(|e| Status::internal(e.to_string()))?;
        Ok(Some(message))
    }
}
