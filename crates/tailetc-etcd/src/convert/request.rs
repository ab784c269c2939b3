//! Requests. The backend keeps its request for the case that it must be sent to another endpoint,
//! so keys and values are copied once, into the message.

use bytes::Bytes;
use etcd_client as etcd;
use tailetc_core::backend::{
    Compare, CompareResult, CompareTarget, DeleteRequest, KeyRange, PutRequest, RangeRequest,
    TxnOp, TxnRequest, WatchRequest,
};

/// The key that `etcd-client` wants beside its options.
pub(crate) fn range(request: &RangeRequest) -> (Vec<u8>, etcd::GetOptions) {
    let (key, end) = keys(&request.range);
    let mut options = etcd::GetOptions::new()
        .with_range(end)
        .with_limit(request.limit)
        .with_revision(request.revision.get())
        .with_min_mod_revision(request.min_mod_revision.get());
    if request.keys_only {
        options = options.with_keys_only();
    }
    if request.count_only {
        options = options.with_count_only();
    }
    if request.serializable {
        options = options.with_serializable();
    }
    (key, options)
}

pub(crate) fn txn(request: &TxnRequest) -> etcd::Txn {
    let compares: Vec<_> = request.compares.iter().map(compare).collect();
    let success: Vec<_> = request.success.iter().map(op).collect();
    let failure: Vec<_> = request.failure.iter().map(op).collect();
    etcd::Txn::new().when(compares).and_then(success).or_else(failure)
}

/// The key that `etcd-client` wants beside its options.
pub(crate) fn watch(request: &WatchRequest) -> (Vec<u8>, etcd::WatchOptions) {
    let (key, end) = keys(&request.range);
    let mut options = etcd::WatchOptions::new()
        .with_range(end)
        .with_start_revision(request.start_revision.get())
        .with_fragment();
    if request.prev_kv {
        options = options.with_prev_key();
    }
    if request.progress_notify {
        options = options.with_progress_notify();
    }
    (key, options)
}

fn op(op: &TxnOp) -> etcd::TxnOp {
    match op {
        TxnOp::Range(request) => {
            let (key, options) = range(request);
            etcd::TxnOp::get(key, Some(options))
        }
        TxnOp::Put(request) => {
            etcd::TxnOp::put(request.key.clone(), request.value.clone(), Some(put(request)))
        }
        TxnOp::Delete(request) => {
            let (key, options) = delete(request);
            etcd::TxnOp::delete(key, Some(options))
        }
        TxnOp::Txn(request) => etcd::TxnOp::txn(txn(request)),
    }
}

fn put(request: &PutRequest) -> etcd::PutOptions {
    let mut options = etcd::PutOptions::new().with_lease(request.lease.get());
    if request.prev_kv {
        options = options.with_prev_key();
    }
    if request.ignore_value {
        options = options.with_ignore_value();
    }
    if request.ignore_lease {
        options = options.with_ignore_lease();
    }
    options
}

fn delete(request: &DeleteRequest) -> (Vec<u8>, etcd::DeleteOptions) {
    let (key, end) = keys(&request.range);
    let mut options = etcd::DeleteOptions::new().with_range(end);
    if request.prev_kv {
        options = options.with_prev_key();
    }
    (key, options)
}

fn compare(compare: &Compare) -> etcd::Compare {
    let (key, end) = keys(&compare.range);
    let result = match compare.result {
        CompareResult::Equal => etcd::CompareOp::Equal,
        CompareResult::Greater => etcd::CompareOp::Greater,
        CompareResult::Less => etcd::CompareOp::Less,
        CompareResult::NotEqual => etcd::CompareOp::NotEqual,
    };
    match &compare.target {
        CompareTarget::Version(version) => etcd::Compare::version(key, result, *version),
        CompareTarget::CreateRevision(revision) => {
            etcd::Compare::create_revision(key, result, revision.get())
        }
        CompareTarget::ModRevision(revision) => {
            etcd::Compare::mod_revision(key, result, revision.get())
        }
        CompareTarget::Value(value) => etcd::Compare::value(key, result, value.clone()),
        CompareTarget::Lease(lease) => etcd::Compare::lease(key, result, lease.get()),
    }
    .with_range(end)
}

fn keys(range: &KeyRange) -> (Vec<u8>, Vec<u8>) {
    let bytes = |bytes: &Bytes| Vec::from(bytes.clone());
    (bytes(range.start()), bytes(range.range_end()))
}

#[cfg(test)]
mod tests {
    use etcd_client::proto::{PbTargetUnion, PbTxnOpRequest, PbTxnRequest};
    use tailetc_core::{LeaseId, Revision};

    use super::*;

    fn nested() -> TxnRequest {
        TxnRequest::new([
            PutRequest::new("p", "v").with_lease(LeaseId::new(7)).with_prev_kv().into(),
            PutRequest::new("q", "").with_ignore_value().with_ignore_lease().into(),
            DeleteRequest::new(KeyRange::prefix("d/")).with_prev_kv().into(),
        ])
        .when([
            Compare::mod_revision("k", Revision::new(3)),
            Compare::new(
                KeyRange::from_key("v"),
                CompareTarget::Value("x".into()),
                CompareResult::NotEqual,
            ),
            Compare::new(
                KeyRange::key("l"),
                CompareTarget::Lease(LeaseId::new(9)),
                CompareResult::Greater,
            ),
        ])
        .otherwise([TxnRequest::new([RangeRequest::new(KeyRange::key("r"))
            .with_revision(Revision::new(5))
            .with_limit(2)
            .with_keys_only()
            .into()])
        .into()])
    }

    #[test]
    fn txn_keeps_every_field_in_its_branch() {
        let pb = PbTxnRequest::from(txn(&nested()));
        let [a, b, c] = &pb.compare[..] else {
            panic!("three compares");
        };
        assert_eq!((&a.key[..], &a.range_end[..]), (&b"k"[..], &b""[..]));
        assert_eq!(a.target_union, Some(PbTargetUnion::ModRevision(3)));
        assert_eq!((&b.range_end[..], b.result), (&b"\0"[..], 3));
        assert_eq!(b.target_union, Some(PbTargetUnion::Value(b"x".to_vec())));
        assert_eq!(c.target_union, Some(PbTargetUnion::Lease(9)));

        let requests: Vec<_> = pb.success.into_iter().map(|op| op.request).collect();
        let [
            Some(PbTxnOpRequest::RequestPut(p)),
            Some(PbTxnOpRequest::RequestPut(q)),
            Some(PbTxnOpRequest::RequestDeleteRange(d)),
        ] = &requests[..]
        else {
            panic!("two puts and a deletion: {requests:?}");
        };
        assert_eq!((&p.key[..], &p.value[..], p.lease), (&b"p"[..], &b"v"[..], 7));
        assert!(p.prev_kv && !p.ignore_value && !p.ignore_lease);
        assert!(q.ignore_value && q.ignore_lease && !q.prev_kv);
        assert_eq!((&d.key[..], &d.range_end[..]), (&b"d/"[..], &b"d0"[..]));
        assert!(d.prev_kv);

        let [failure] = &pb.failure[..] else {
            panic!("one operation");
        };
        let Some(PbTxnOpRequest::RequestTxn(inner)) = &failure.request else {
            panic!("a nested transaction");
        };
        let Some(PbTxnOpRequest::RequestRange(r)) = &inner.success[0].request else {
            panic!("a range");
        };
        assert_eq!((r.revision, r.limit, r.keys_only), (5, 2, true));
        assert!(!r.count_only && !r.serializable);
    }

    #[test]
    fn single_key_stays_single_even_when_empty() {
        // etcd refuses an empty key; the client must not make all keys of it.
        let pb = PbTxnRequest::from(txn(&TxnRequest::new([
            DeleteRequest::new(KeyRange::key("")).into()
        ])));
        let Some(PbTxnOpRequest::RequestDeleteRange(d)) = &pb.success[0].request else {
            panic!("a deletion");
        };
        assert!(d.key.is_empty() && d.range_end.is_empty());
    }
}
