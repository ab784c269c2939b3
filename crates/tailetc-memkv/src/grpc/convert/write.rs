//! Writes.

use etcd_client::proto::{
    PbDeleteRequest, PbPutRequest, PbTxnOpRequest, PbTxnRequest, PbTxnRequestOp,
};
use tailetc_core::LeaseId;
use tailetc_core::backend::{DeleteRequest, KeyRange, PutRequest};

use super::compare::compare;
use super::range::range;
use crate::request::{Malformed, Op, Txn};
use crate::version::EtcdVersion;

pub(in crate::grpc) fn put(pb: PbPutRequest) -> PutRequest {
    let mut request = PutRequest::new(pb.key, pb.value).with_lease(LeaseId::new(pb.lease));
    request.prev_kv = pb.prev_kv;
    request.ignore_value = pb.ignore_value;
    request.ignore_lease = pb.ignore_lease;
    request
}

pub(in crate::grpc) fn delete(pb: PbDeleteRequest) -> DeleteRequest {
    let mut request = DeleteRequest::new(KeyRange::from_wire(pb.key, pb.range_end));
    request.prev_kv = pb.prev_kv;
    request
}

pub(in crate::grpc) fn txn(pb: PbTxnRequest, version: EtcdVersion) -> Txn {
    let ops = |ops: Vec<PbTxnRequestOp>| ops.into_iter().map(|pb| op(pb, version)).collect();
    Txn {
        compares: pb.compare.into_iter().map(compare).collect(),
        success: ops(pb.success),
        failure: ops(pb.failure),
    }
}

/// What is malformed is refused when its turn comes among the other checks.
fn op(pb: PbTxnRequestOp, version: EtcdVersion) -> Op {
    match pb.request {
        Some(PbTxnOpRequest::RequestRange(pb)) => {
            range(pb, version).map_or_else(Op::Malformed, Op::Range)
        }
        Some(PbTxnOpRequest::RequestPut(pb)) => Op::Put(put(pb)),
        Some(PbTxnOpRequest::RequestDeleteRange(pb)) => Op::Delete(delete(pb)),
        Some(PbTxnOpRequest::RequestTxn(pb)) => Op::Txn(txn(pb, version)),
        None => Op::Malformed(Malformed::Unset),
    }
}
