//! etcd's KV service (etcd: `server/etcdserver/api/v3rpc/key.go`).

use etcd_client::proto::{
    PbCompactionRequest, PbCompactionResponse, PbDeleteRequest, PbDeleteResponse, PbKvService,
    PbPutRequest, PbPutResponse, PbRangeRequest, PbRangeResponse, PbTxnRequest, PbTxnResponse,
};
use prost::Message;
use tailetc_core::Revision;
use tonic::{Request, Response, Status};

use super::convert;
use super::face::Face;
use super::range_stream::RangeChunks;
use super::status::{refused, unknown_method};

pub(super) struct Kv {
    pub(super) face: Face,
}

#[tonic::async_trait]
impl PbKvService for Kv {
    type RangeStreamStream = RangeChunks;

    async fn range(
        &self,
        request: Request<PbRangeRequest>,
    ) -> Result<Response<PbRangeResponse>, Status> {
        let range = convert::range(request.into_inner(), self.face.version());
        let range = range.map_err(|malformed| refused(&malformed.refusal()))?;
        let log = || format!("Range {:?} at {}", range.range, range.revision);
        let answer = self.face.answer(log, |store, _| store.range(&range)).await?;
        Ok(answer.map(convert::range_response))
    }

    async fn range_stream(
        &self,
        request: Request<PbRangeRequest>,
    ) -> Result<Response<Self::RangeStreamStream>, Status> {
        if !self.face.version().has_range_stream() {
            return Err(unknown_method("etcdserverpb.KV", "RangeStream"));
        }
        RangeChunks::new(self.face.clone(), request.into_inner()).map(Response::new)
    }

    async fn put(&self, request: Request<PbPutRequest>) -> Result<Response<PbPutResponse>, Status> {
        let pb = request.into_inner();
        let size = pb.encoded_len();
        let put = convert::put(pb);
        let log = || format!("Put {:?}, {} bytes", put.key, put.value.len());
        let answer = self.face.answer(log, |store, _| store.put(&put, size)).await?;
        Ok(answer.map(|(header, put)| convert::put_response(convert::header(header), put)))
    }

    async fn delete_range(
        &self,
        request: Request<PbDeleteRequest>,
    ) -> Result<Response<PbDeleteResponse>, Status> {
        let pb = request.into_inner();
        let size = pb.encoded_len();
        let delete = convert::delete(pb);
        let log = || format!("DeleteRange {:?}", delete.range);
        let answer = self
            .face
            .answer_when_written(log, |store, _| store.delete_range(&delete, size))
            .await?;
        Ok(answer
            .map(|(header, deleted)| convert::delete_response(convert::header(header), deleted)))
    }

    async fn txn(&self, request: Request<PbTxnRequest>) -> Result<Response<PbTxnResponse>, Status> {
        let pb = request.into_inner();
        let size = pb.encoded_len();
        let txn = convert::txn(pb, self.face.version());
        let log = || {
            let [compares, success, failure] =
                [txn.compares.len(), txn.success.len(), txn.failure.len()];
            format!("Txn if {compares} compares hold {success} operations, else {failure}")
        };
        let answer = self.face.answer_when_written(log, |store, _| store.txn(&txn, size)).await?;
        Ok(answer.map(convert::txn_response))
    }

    /// Answered when the compaction has taken effect. Only who asks for `physical` waits until what
    /// it leaves to free is freed.
    async fn compact(
        &self,
        request: Request<PbCompactionRequest>,
    ) -> Result<Response<PbCompactionResponse>, Status> {
        let PbCompactionRequest { revision, physical } = request.into_inner();
        let revision = Revision::new(revision);
        let log = || format!("Compact {revision}");
        let answer = self.face.answer(log, |store, _| store.compact(revision)).await?;
        if physical {
            self.face.shared.done(revision).await;
        }
        Ok(answer.map(|header| PbCompactionResponse { header: Some(convert::header(header)) }))
    }
}
