//! The part of etcd's maintenance service that one node in memory can answer
//! (etcd: `server/etcdserver/api/v3rpc/maintenance.go`).

use etcd_client::proto::{
    PbAlarmMember, PbAlarmRequest, PbAlarmResponse, PbDefragmentRequest, PbDefragmentResponse,
    PbDowngradeInfo, PbDowngradeRequest, PbDowngradeResponse, PbHashKvRequest, PbHashKvResponse,
    PbHashRequest, PbHashResponse, PbMaintenanceService, PbMoveLeaderRequest, PbMoveLeaderResponse,
    PbSnapshotRequest, PbSnapshotResponse, PbStatusRequest, PbStatusResponse,
};
use tailetc_core::Revision;
use tonic::{Request, Response, Status};

use super::convert;
use super::face::Face;
use super::status::not_offered;
use crate::HashKv;

/// etcd's quota unless another is chosen (etcd: `server/storage/quota.go`).
const DEFAULT_QUOTA_BYTES: i64 = 2 * 1024 * 1024 * 1024;

/// etcd's `AlarmRequest.AlarmAction`.
const GET: i32 = 0;
const ACTIVATE: i32 = 1;
const DEACTIVATE: i32 = 2;

/// etcd's `AlarmType`.
const NONE: i32 = 0;
const NO_SPACE: i32 = 1;

pub(super) struct Maintenance {
    pub(super) face: Face,
}

#[tonic::async_trait]
impl PbMaintenanceService for Maintenance {
    type SnapshotStream = tokio_stream::Empty<Result<PbSnapshotResponse, Status>>;

    async fn hash(
        &self,
        _request: Request<PbHashRequest>,
    ) -> Result<Response<PbHashResponse>, Status> {
        Err(not_offered("Hash"))
    }

    async fn snapshot(
        &self,
        _request: Request<PbSnapshotRequest>,
    ) -> Result<Response<Self::SnapshotStream>, Status> {
        Err(not_offered("Snapshot"))
    }

    async fn move_leader(
        &self,
        _request: Request<PbMoveLeaderRequest>,
    ) -> Result<Response<PbMoveLeaderResponse>, Status> {
        Err(not_offered("MoveLeader"))
    }

    async fn downgrade(
        &self,
        _request: Request<PbDowngradeRequest>,
    ) -> Result<Response<PbDowngradeResponse>, Status> {
        Err(not_offered("Downgrade"))
    }

    /// The answer has no header.
    async fn defragment(
        &self,
        _request: Request<PbDefragmentRequest>,
    ) -> Result<Response<PbDefragmentResponse>, Status> {
        self.face
            .answer_when_done(
                || "Defragment".to_owned(),
                |store, _| store.defragment().map(|()| Ok(PbDefragmentResponse::default())),
            )
            .await
    }

    async fn hash_kv(
        &self,
        request: Request<PbHashKvRequest>,
    ) -> Result<Response<PbHashKvResponse>, Status> {
        let revision = Revision::new(request.get_ref().revision);
        let log = || format!("HashKV {revision}");
        self.face
            .answer_when_done(log, |store, _| {
                let response = |hash: HashKv| PbHashKvResponse {
                    header: Some(convert::header(hash.header)),
                    hash: hash.hash,
                    compact_revision: hash.compact_revision.get(),
                    hash_revision: hash.hash_revision.get(),
                };
                Some(store.hash_kv(revision)?.map(response))
            })
            .await
    }

    async fn status(
        &self,
        _request: Request<PbStatusRequest>,
    ) -> Result<Response<PbStatusResponse>, Status> {
        let version = self.face.version();
        let quota = self.face.shared.options.quota_backend_bytes;
        self.face
            .answer_when_done(
                || "Status".to_owned(),
                |store, _| {
                    let status = store.status()?;
                    let mut pb = PbStatusResponse {
                        header: Some(convert::header(status.header)),
                        version: status.version.to_string(),
                        db_size: status.db_size,
                        db_size_in_use: status.db_size_in_use,
                        leader: status.leader,
                        raft_index: status.raft_index,
                        raft_applied_index: status.raft_applied_index,
                        raft_term: status.raft_term,
                        errors: status.errors,
                        ..PbStatusResponse::default()
                    };
                    if version.tells_of_storage() {
                        pb.storage_version = version.cluster().to_string();
                        pb.db_size_quota = if quota == 0 { DEFAULT_QUOTA_BYTES } else { quota };
                        pb.downgrade_info = Some(PbDowngradeInfo::default());
                    }
                    Some(Ok(pb))
                },
            )
            .await
    }

    /// Of the alarms, this store has the one for want of space. The others are never on.
    async fn alarm(
        &self,
        request: Request<PbAlarmRequest>,
    ) -> Result<Response<PbAlarmResponse>, Status> {
        let PbAlarmRequest { action, member_id, alarm } = request.into_inner();
        let log = || format!("Alarm action={action} member={member_id} alarm={alarm}");
        // Servers before 3.5 keep an alarm of no kind.
        let is_passed_over = alarm == NONE && self.face.version().passes_over_alarms_of_no_kind();
        if action == ACTIVATE && alarm != NO_SPACE && !is_passed_over {
            return Err(not_offered("other alarms than NOSPACE"));
        }
        self.face
            .answer(log, |store, _| {
                let (header, members) = match (action, alarm) {
                    (ACTIVATE, NO_SPACE) => (store.raise_alarm(member_id), vec![member_id]),
                    (DEACTIVATE, NO_SPACE) => {
                        let (header, disarmed) = store.disarm(member_id);
                        (header, disarmed.then_some(member_id).into_iter().collect())
                    }
                    (GET, NONE | NO_SPACE) => store.alarms(),
                    _ => (store.alarms().0, Vec::new()),
                };
                let alarm = |member_id| PbAlarmMember { member_id, alarm: NO_SPACE };
                Ok(PbAlarmResponse {
                    header: header.map(convert::header),
                    alarms: members.into_iter().map(alarm).collect(),
                })
            })
            .await
    }
}
