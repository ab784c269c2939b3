//! From symbols to messages.

use etcd_client::proto::{
    PbCompactionRequest, PbCompare, PbDeleteRequest, PbHashKvRequest, PbLeaseGrantRequest,
    PbLeaseKeepAliveRequest, PbLeaseLeasesRequest, PbLeaseRevokeRequest, PbLeaseTimeToLiveRequest,
    PbPutRequest, PbRangeRequest, PbStatusRequest, PbTargetUnion, PbTxnOpRequest, PbTxnRequest,
    PbTxnRequestOp,
};

use super::world::World;
use crate::program::{Action, Compare, Delete, Op, Put, Range, Txn, Union, bytes};
use crate::wire::Call;

impl World {
    /// The request of a step; `None` for those of watches and for waiting.
    pub(super) fn call(&self, action: &Action) -> Option<Call> {
        Some(match action {
            Action::Put(put) => Call::Put(self.put_request(put, true)),
            Action::Range(range) => Call::Range(self.range_request(range)),
            Action::Delete(delete) => Call::Delete(delete_request(delete)),
            Action::Txn(txn) => Call::Txn(self.txn_request(txn, may_keep(txn))),
            Action::Compact { revision, physical } => Call::Compact(PbCompactionRequest {
                revision: self.rev(*revision),
                physical: *physical,
            }),
            Action::Grant { lease, ttl } => {
                Call::Grant(PbLeaseGrantRequest { id: self.lease(*lease), ttl: *ttl })
            }
            Action::Revoke { lease } => {
                Call::Revoke(PbLeaseRevokeRequest { id: self.lease(*lease) })
            }
            Action::KeepAlive { lease } => {
                Call::KeepAlive(PbLeaseKeepAliveRequest { id: self.lease(*lease) })
            }
            Action::TimeToLive { lease, keys } => {
                Call::TimeToLive(PbLeaseTimeToLiveRequest { id: self.lease(*lease), keys: *keys })
            }
            Action::Leases => Call::Leases(PbLeaseLeasesRequest {}),
            Action::HashKv { revision } => {
                Call::HashKv(PbHashKvRequest { revision: self.rev(*revision) })
            }
            Action::Status => Call::Status(PbStatusRequest {}),
            _ => return None,
        })
    }

    pub(super) fn put(&self, key: &str, value: &str) -> Call {
        let (key, value) = (bytes(key), value.as_bytes().to_vec());
        Call::Put(PbPutRequest { key, value, ..Default::default() })
    }

    fn put_request(&self, put: &Put, may_ignore: bool) -> PbPutRequest {
        PbPutRequest {
            key: bytes(&put.key),
            value: put.value.bytes(),
            lease: self.lease(put.lease),
            prev_kv: put.prev_kv,
            ignore_value: put.ignore_value && may_ignore,
            ignore_lease: put.ignore_lease && may_ignore,
        }
    }

    fn range_request(&self, range: &Range) -> PbRangeRequest {
        PbRangeRequest {
            key: bytes(&range.key),
            range_end: bytes(&range.end),
            limit: range.limit,
            revision: self.rev(range.revision),
            sort_order: range.sort_order,
            // Programs name no other target.
            sort_target: range.sort_target.clamp(0, 4),
            serializable: range.serializable,
            keys_only: range.keys_only,
            count_only: range.count_only,
            min_mod_revision: self.rev(range.min_mod),
            max_mod_revision: self.rev(range.max_mod),
            min_create_revision: self.rev(range.min_create),
            max_create_revision: self.rev(range.max_create),
        }
    }

    fn txn_request(&self, txn: &Txn, may_ignore: bool) -> PbTxnRequest {
        let ops = |ops: &[Op]| ops.iter().map(|op| self.op(op, may_ignore)).collect::<Vec<_>>();
        let mut success = ops(&txn.success);
        let read = Op::Range(Range { key: "a".to_owned(), ..Range::default() });
        success.extend((0..txn.more_success).map(|_| self.op(&read, may_ignore)));
        PbTxnRequest {
            compare: txn.compare.iter().map(|compare| self.compare(compare)).collect(),
            success,
            failure: ops(&txn.failure),
        }
    }

    fn op(&self, op: &Op, may_ignore: bool) -> PbTxnRequestOp {
        let request = match op {
            Op::Unset => None,
            Op::Put(put) => Some(PbTxnOpRequest::RequestPut(self.put_request(put, may_ignore))),
            Op::Range(range) => Some(PbTxnOpRequest::RequestRange(self.range_request(range))),
            Op::Delete(delete) => Some(PbTxnOpRequest::RequestDeleteRange(delete_request(delete))),
            Op::Txn(txn) => Some(PbTxnOpRequest::RequestTxn(self.txn_request(txn, may_ignore))),
        };
        PbTxnRequestOp { request }
    }

    fn compare(&self, compare: &Compare) -> PbCompare {
        let target_union = match &compare.union {
            Union::Unset => None,
            Union::Version(version) => Some(PbTargetUnion::Version(*version)),
            Union::Create(rev) => Some(PbTargetUnion::CreateRevision(self.rev(*rev))),
            Union::Mod(rev) => Some(PbTargetUnion::ModRevision(self.rev(*rev))),
            Union::Value(value) => Some(PbTargetUnion::Value(value.clone().into_bytes())),
            Union::Lease(lease) => Some(PbTargetUnion::Lease(self.lease(*lease))),
        };
        PbCompare {
            result: compare.result,
            target: compare.target,
            key: bytes(&compare.key),
            range_end: bytes(&compare.end),
            target_union,
        }
    }
}

fn delete_request(delete: &Delete) -> PbDeleteRequest {
    PbDeleteRequest {
        key: bytes(&delete.key),
        range_end: bytes(&delete.end),
        prev_kv: delete.prev_kv,
    }
}

/// Whether a put of this transaction may ignore the value or the lease: programs keep nothing of
/// what they delete.
fn may_keep(txn: &Txn) -> bool {
    txn.success.iter().chain(&txn.failure).all(|op| match op {
        Op::Delete(delete) => delete.end != "\0",
        Op::Txn(txn) => may_keep(txn),
        Op::Unset | Op::Put(_) | Op::Range(_) => true,
    })
}
