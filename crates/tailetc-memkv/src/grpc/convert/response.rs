//! Answers.

use etcd_client::proto::{
    PbDeleteResponse, PbKeyValue, PbPutResponse, PbRangeResponse, PbResponseHeader, PbResponseOp,
    PbTxnOpResponse, PbTxnResponse,
};
use tailetc_core::Revision;
use tailetc_core::backend::{
    DeleteResponse, Header, KeyValue, PutResponse, RangeResponse, TxnOpResponse, TxnResponse,
};

pub(in crate::grpc) fn header(header: Header) -> PbResponseHeader {
    PbResponseHeader {
        cluster_id: header.cluster_id,
        member_id: header.member_id,
        revision: header.revision.get(),
        raft_term: header.raft_term,
    }
}

pub(in crate::grpc) fn key_value(kv: KeyValue) -> PbKeyValue {
    PbKeyValue {
        key: kv.key.into(),
        create_revision: kv.create_revision.get(),
        mod_revision: kv.mod_revision.get(),
        version: kv.version,
        value: kv.value.into(),
        lease: kv.lease.get(),
    }
}

pub(in crate::grpc) fn range_response(response: RangeResponse) -> PbRangeResponse {
    PbRangeResponse {
        header: Some(header(response.header)),
        kvs: response.kvs.into_iter().map(key_value).collect(),
        more: response.more,
        count: response.count,
    }
}

pub(in crate::grpc) fn put_response(
    put_header: PbResponseHeader,
    response: PutResponse,
) -> PbPutResponse {
    PbPutResponse { header: Some(put_header), prev_kv: response.prev_kv.map(key_value) }
}

pub(in crate::grpc) fn delete_response(
    delete_header: PbResponseHeader,
    response: DeleteResponse,
) -> PbDeleteResponse {
    PbDeleteResponse {
        header: Some(delete_header),
        deleted: response.deleted,
        prev_kvs: response.prev_kvs.into_iter().map(key_value).collect(),
    }
}

pub(in crate::grpc) fn txn_response(response: TxnResponse) -> PbTxnResponse {
    let after = response.header.revision.get();
    let before = if has_changes(&response) { after - 1 } else { after };
    let mut revision = Revision::new(before);
    PbTxnResponse {
        header: Some(header(response.header)),
        succeeded: response.succeeded,
        responses: ops(response.responses, &mut revision, Revision::new(after)),
    }
}

fn has_changes(response: &TxnResponse) -> bool {
    response.responses.iter().any(|op| match op {
        TxnOpResponse::Put(_) => true,
        TxnOpResponse::Delete(deleted) => deleted.deleted > 0,
        TxnOpResponse::Txn(nested) => has_changes(nested),
        TxnOpResponse::Range(_) => false,
    })
}

/// The header of an operation says no more than the revision: that `after` the transaction once
/// something was changed (etcd: `storeTxnWrite.Rev`, `storeTxnCommon`).
fn ops(ops: Vec<TxnOpResponse>, revision: &mut Revision, after: Revision) -> Vec<PbResponseOp> {
    let bare = |revision: Revision| PbResponseHeader {
        revision: revision.get(),
        ..PbResponseHeader::default()
    };
    let op = |op: TxnOpResponse| match op {
        TxnOpResponse::Range(range) => PbTxnOpResponse::ResponseRange(range_response(range)),
        TxnOpResponse::Put(put) => {
            *revision = after;
            PbTxnOpResponse::ResponsePut(put_response(bare(after), put))
        }
        TxnOpResponse::Delete(delete) => {
            if delete.deleted > 0 {
                *revision = after;
            }
            PbTxnOpResponse::ResponseDeleteRange(delete_response(bare(*revision), delete))
        }
        TxnOpResponse::Txn(nested) => PbTxnOpResponse::ResponseTxn(PbTxnResponse {
            header: Some(PbResponseHeader::default()),
            succeeded: nested.succeeded,
            responses: self::ops(nested.responses, revision, after),
        }),
    };
    ops.into_iter().map(op).map(|response| PbResponseOp { response: Some(response) }).collect()
}
