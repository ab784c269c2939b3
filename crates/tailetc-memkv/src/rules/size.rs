//! Which writes are too large (etcd: `server/etcdserver/v3_server.go`,
//! `processInternalRaftRequestOnce`).
//!
//! etcd measures the marshalled raft entry: the request in a field of `InternalRaftRequest`, and a
//! header with the request's identifier. A transaction of one put counts as a `TxnRequest`, a few
//! bytes more than the bare `PutRequest` that etcd also takes.

use tailetc_core::backend::{BackendError, TxnOp, TxnRequest};

use crate::{MemKvOptions, errors};

/// Refuses what is too large to be written. What only reads has no limit: it is no raft entry.
pub(crate) fn check(request: &TxnRequest, options: &MemKvOptions) -> Result<(), BackendError> {
    if is_read_only(request) {
        return Ok(());
    }
    if entry_len(request.encoded_len(), options.member_id) > options.max_request_bytes {
        return Err(errors::request_too_large());
    }
    Ok(())
}

/// Only ranges at the top of both branches. A nested transaction counts as a write, whatever it
/// holds.
fn is_read_only(request: &TxnRequest) -> bool {
    request.success.iter().chain(&request.failure).all(|op| matches!(op, TxnOp::Range(_)))
}

/// The length of the raft entry around a request.
fn entry_len(request_len: usize, member_id: u64) -> usize {
    // etcd's request identifiers: 16 bits of the member, 40 of milliseconds, 8 of a counter
    // (`pkg/idutil/id.go`). The highest bit of the time is set from 2022 to 2039.
    let request_id = (member_id << 48) | (1 << 47);
    let header = 1 + varint_len(request_id);
    let header_field = 2 + 1 + header;
    let request_field = 1 + varint_len(request_len as u64) + request_len;
    header_field + request_field
}

fn varint_len(value: u64) -> usize {
    let bits = 64 - (value | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tailetc_core::backend::{
        Compare, CompareResult, CompareTarget, KeyRange, PutRequest, RangeRequest,
    };

    #[test]
    fn envelope_of_a_large_request_is_17_or_18_bytes() {
        assert_eq!(entry_len(1_572_000, 0x4000) - 1_572_000, 17);
        assert_eq!(entry_len(1_572_000, 0x8000) - 1_572_000, 18);
    }

    #[test]
    fn limit_is_inclusive_and_counts_the_envelope() {
        let request = TxnRequest::new([PutRequest::new("k", vec![0; 1000]).into()]);
        let entry = entry_len(request.encoded_len(), 1);
        let options = MemKvOptions::default().with_member_id(1);
        assert!(check(&request, &options.clone().with_max_request_bytes(entry)).is_ok());
        assert!(check(&request, &options.with_max_request_bytes(entry - 1)).is_err());
    }

    #[test]
    fn only_writes_are_limited() {
        let big = Compare::new(
            KeyRange::key("k"),
            CompareTarget::Value(vec![0; 1000].into()),
            CompareResult::Equal,
        );
        let options = MemKvOptions::default().with_max_request_bytes(500);
        let range = || TxnOp::from(RangeRequest::new(KeyRange::key("k")));
        let reads = TxnRequest::new([range()]).otherwise([range()]).when([big]);
        assert!(check(&reads, &options).is_ok());
        let nested = reads.otherwise([TxnRequest::default().into()]);
        assert!(check(&nested, &options).is_err());
    }
}
