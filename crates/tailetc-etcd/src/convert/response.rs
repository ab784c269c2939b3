//! Responses. Keys and values are moved, not copied.

use bytes::Bytes;
use etcd_client as etcd;
use etcd_client::proto::{
    PbEvent, PbKeyValue, PbRangeResponse, PbResponseHeader, PbResponseOp, PbTxnOpResponse,
    PbTxnResponse,
};
use tailetc_core::backend::{
    BackendError, DeleteResponse, Event, EventKind, Header, KeyValue, Lease, LeaseTimeToLive,
    PutResponse, RangeResponse, Status, TxnOpResponse, TxnResponse,
};
use tailetc_core::{LeaseId, Revision};

use crate::error::malformed;

/// etcd leaves the header out in places (of nested transactions it is empty): then it is all zero.
pub(crate) fn header(header: Option<&PbResponseHeader>) -> Header {
    header.map_or_else(Header::default, |header| Header {
        cluster_id: header.cluster_id,
        member_id: header.member_id,
        revision: Revision::new(header.revision),
        raft_term: header.raft_term,
    })
}

pub(crate) fn range_response(response: etcd::GetResponse) -> RangeResponse {
    pb_range(response.0)
}

pub(crate) fn txn_response(response: etcd::TxnResponse) -> Result<TxnResponse, BackendError> {
    pb_txn(response.0)
}

pub(crate) fn compaction(response: &etcd::CompactionResponse) -> Header {
    header(response.0.header.as_ref())
}

pub(crate) fn status(response: etcd::proto::PbStatusResponse) -> Status {
    Status::new(header(response.header.as_ref()), response.version)
}

pub(crate) fn lease_grant(response: &etcd::LeaseGrantResponse) -> Lease {
    let pb = &response.0;
    Lease::new(header(pb.header.as_ref()), LeaseId::new(pb.id), pb.ttl)
}

/// `None`: there is no such lease (etcd: a time of 0).
pub(crate) fn lease_keep_alive(response: &etcd::LeaseKeepAliveResponse) -> Option<Lease> {
    let pb = &response.0;
    let lease = Lease::new(header(pb.header.as_ref()), LeaseId::new(pb.id), pb.ttl);
    (pb.ttl > 0).then_some(lease)
}

/// `None`: there is no such lease (etcd: a time of -1).
pub(crate) fn lease_time_to_live(
    response: etcd::LeaseTimeToLiveResponse,
) -> Option<LeaseTimeToLive> {
    let pb = response.0;
    (pb.ttl >= 0).then(|| {
        LeaseTimeToLive::new(
            header(pb.header.as_ref()),
            LeaseId::new(pb.id),
            pb.ttl,
            pb.granted_ttl,
            pb.keys.into_iter().map(Bytes::from).collect(),
        )
    })
}

pub(crate) fn events(events: Vec<PbEvent>) -> Result<Vec<Event>, BackendError> {
    events.into_iter().map(event).collect()
}

fn event(event: PbEvent) -> Result<Event, BackendError> {
    Ok(Event {
        kind: match event.r#type {
            0 => EventKind::Put,
            1 => EventKind::Delete,
            other => return Err(malformed(&format!("an event of type {other}"))),
        },
        kv: key_value(event.kv.ok_or_else(|| malformed("an event without a pair"))?),
        prev_kv: event.prev_kv.map(key_value),
    })
}

fn key_value(kv: PbKeyValue) -> KeyValue {
    KeyValue {
        key: kv.key.into(),
        value: kv.value.into(),
        create_revision: Revision::new(kv.create_revision),
        mod_revision: Revision::new(kv.mod_revision),
        version: kv.version,
        lease: LeaseId::new(kv.lease),
    }
}

fn key_values(kvs: Vec<PbKeyValue>) -> Vec<KeyValue> {
    kvs.into_iter().map(key_value).collect()
}

fn pb_range(pb: PbRangeResponse) -> RangeResponse {
    let header = header(pb.header.as_ref());
    RangeResponse::new(header, key_values(pb.kvs), pb.more, pb.count)
}

fn pb_txn(pb: PbTxnResponse) -> Result<TxnResponse, BackendError> {
    let header = header(pb.header.as_ref());
    let responses: Result<_, _> = pb.responses.into_iter().map(op).collect();
    Ok(TxnResponse::new(header, pb.succeeded, responses?))
}

fn op(op: PbResponseOp) -> Result<TxnOpResponse, BackendError> {
    let response = op.response.ok_or_else(|| malformed("an operation without an answer"))?;
    Ok(match response {
        PbTxnOpResponse::ResponseRange(pb) => TxnOpResponse::Range(pb_range(pb)),
        PbTxnOpResponse::ResponsePut(pb) => {
            TxnOpResponse::Put(PutResponse::new(pb.prev_kv.map(key_value)))
        }
        PbTxnOpResponse::ResponseDeleteRange(pb) => {
            TxnOpResponse::Delete(DeleteResponse::new(pb.deleted, key_values(pb.prev_kvs)))
        }
        PbTxnOpResponse::ResponseTxn(pb) => TxnOpResponse::Txn(pb_txn(pb)?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(key: &str) -> PbKeyValue {
        PbKeyValue {
            key: key.into(),
            value: b"v".to_vec(),
            create_revision: 2,
            mod_revision: 3,
            version: 4,
            lease: 5,
        }
    }

    #[test]
    fn key_value_keeps_every_field_and_does_not_copy() {
        let pb = pair("k");
        let value = pb.value.as_ptr();
        let kv = key_value(pb);
        assert_eq!(kv.value.as_ptr(), value);
        assert_eq!((&kv.key[..], &kv.value[..]), (&b"k"[..], &b"v"[..]));
        assert_eq!((kv.create_revision.get(), kv.mod_revision.get()), (2, 3));
        assert_eq!((kv.version, kv.lease.get()), (4, 5));
    }

    #[test]
    fn nested_txn_without_a_header_has_revision_zero() {
        let inner = PbTxnResponse { succeeded: true, ..PbTxnResponse::default() };
        let outer = PbTxnResponse {
            header: Some(PbResponseHeader {
                cluster_id: 1,
                member_id: 2,
                revision: 9,
                raft_term: 4,
            }),
            succeeded: false,
            responses: vec![PbResponseOp { response: Some(PbTxnOpResponse::ResponseTxn(inner)) }],
        };
        let response = pb_txn(outer).expect("well formed");
        assert!(!response.succeeded);
        assert_eq!(response.header.revision, Revision::new(9));
        let [TxnOpResponse::Txn(inner)] = &response.responses[..] else {
            panic!("one nested answer");
        };
        assert!(inner.succeeded && inner.header.revision.is_zero());
    }

    #[test]
    fn malformed_answers_are_errors_and_not_panics() {
        let no_pair = PbEvent::default();
        let odd = PbEvent { r#type: 9, kv: Some(pair("k")), ..PbEvent::default() };
        assert!(events(vec![no_pair]).is_err());
        assert!(events(vec![odd]).is_err());
        assert!(op(PbResponseOp { response: None }).is_err());
    }
}
