//! etcd's lease service (etcd: `server/etcdserver/api/v3rpc/lease.go`).

use etcd_client::proto::{
    PbLeaseGrantRequest, PbLeaseGrantResponse, PbLeaseKeepAliveRequest, PbLeaseKeepAliveResponse,
    PbLeaseLeasesRequest, PbLeaseLeasesResponse, PbLeaseRevokeRequest, PbLeaseRevokeResponse,
    PbLeaseService, PbLeaseStatus, PbLeaseTimeToLiveRequest, PbLeaseTimeToLiveResponse,
};
use tailetc_core::LeaseId;
use tailetc_core::backend::Header;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::convert;
use super::face::Face;
use super::message_limit;
use super::status::stopped;

pub(super) struct Leases {
    pub(super) face: Face,
}

#[tonic::async_trait]
impl PbLeaseService for Leases {
    type LeaseKeepAliveStream = ReceiverStream<Result<PbLeaseKeepAliveResponse, Status>>;

    async fn lease_grant(
        &self,
        request: Request<PbLeaseGrantRequest>,
    ) -> Result<Response<PbLeaseGrantResponse>, Status> {
        let PbLeaseGrantRequest { ttl, id } = request.into_inner();
        let log = || format!("LeaseGrant {id} ttl={ttl}");
        self.face
            .answer(log, |store, now| {
                let lease = store.lease_grant(LeaseId::new(id), ttl, now)?;
                Ok(PbLeaseGrantResponse {
                    header: Some(convert::header(lease.header)),
                    id: lease.id.get(),
                    ttl: lease.ttl_seconds,
                    error: String::new(),
                })
            })
            .await
    }

    async fn lease_revoke(
        &self,
        request: Request<PbLeaseRevokeRequest>,
    ) -> Result<Response<PbLeaseRevokeResponse>, Status> {
        let id = request.get_ref().id;
        let log = || format!("LeaseRevoke {id}");
        let answer =
            self.face.answer_when_written(log, |store, _| store.lease_revoke(LeaseId::new(id)));
        let response = |header| PbLeaseRevokeResponse { header: Some(convert::header(header)) };
        Ok(answer.await?.map(response))
    }

    async fn lease_keep_alive(
        &self,
        request: Request<Streaming<PbLeaseKeepAliveRequest>>,
    ) -> Result<Response<Self::LeaseKeepAliveStream>, Status> {
        // The client's next request waits until it takes the answer to the one before.
        let (answers, stream) = mpsc::channel(1);
        tokio::spawn(keep_alive(self.face.clone(), request.into_inner(), answers));
        Ok(Response::new(ReceiverStream::new(stream)))
    }

    async fn lease_time_to_live(
        &self,
        request: Request<PbLeaseTimeToLiveRequest>,
    ) -> Result<Response<PbLeaseTimeToLiveResponse>, Status> {
        let PbLeaseTimeToLiveRequest { id, keys } = request.into_inner();
        let log = || format!("LeaseTimeToLive {id} keys={keys}");
        self.face
            .answer_when_done(log, |store, now| {
                let header = store.header();
                Some(Ok(match store.lease_time_to_live(LeaseId::new(id), keys, now)? {
                    Some(left) => PbLeaseTimeToLiveResponse {
                        header: Some(convert::header(left.header)),
                        id,
                        ttl: left.ttl_seconds,
                        granted_ttl: left.granted_ttl_seconds,
                        keys: left.keys.into_iter().map(Vec::from).collect(),
                    },
                    None => PbLeaseTimeToLiveResponse {
                        header: Some(convert::header(header)),
                        id,
                        ttl: -1,
                        ..PbLeaseTimeToLiveResponse::default()
                    },
                }))
            })
            .await
    }

    async fn lease_leases(
        &self,
        _request: Request<PbLeaseLeasesRequest>,
    ) -> Result<Response<PbLeaseLeasesResponse>, Status> {
        let log = || "LeaseLeases".to_owned();
        self.face
            .answer(log, |store, _| {
                let (header, ids) = store.lease_leases();
                let leases = ids.into_iter().map(|id| PbLeaseStatus { id: id.get() }).collect();
                Ok(PbLeaseLeasesResponse { header: Some(convert::header(header)), leases })
            })
            .await
    }
}

/// Answers until the client has no more requests, or is gone.
async fn keep_alive(
    face: Face,
    mut requests: Streaming<PbLeaseKeepAliveRequest>,
    answers: mpsc::Sender<Result<PbLeaseKeepAliveResponse, Status>>,
) {
    loop {
        let answer = tokio::select! {
            () = answers.closed() => return,
            () = face.stopped() => Err(stopped()),
            request = requests.message() => match request {
                Ok(Some(request)) => renew(&face, request.id).await,
                Ok(None) => return,
                Err(status) => Err(message_limit::reword(status)),
            },
        };
        let is_last = answer.is_err();
        if answers.send(answer).await.is_err() || is_last {
            return;
        }
    }
}

/// A lease that does not live has the time 0.
async fn renew(face: &Face, id: i64) -> Result<PbLeaseKeepAliveResponse, Status> {
    let log = || format!("LeaseKeepAlive {id}");
    let answer = face.answer(log, |store, now| {
        let header: Header = store.header();
        let renewed = store.lease_keep_alive(LeaseId::new(id), now);
        let (header, ttl) = renewed.map_or((header, 0), |lease| (lease.header, lease.ttl_seconds));
        Ok(PbLeaseKeepAliveResponse { header: Some(convert::header(header)), id, ttl })
    });
    answer.await.map(Response::into_inner)
}
