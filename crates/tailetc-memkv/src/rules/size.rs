//! Which writes are too large (etcd: `server/etcdserver/v3_server.go`,
//! `processInternalRaftRequestOnce`).
//!
//! etcd measures the marshalled raft entry: the request in a field of `InternalRaftRequest`, and a
//! header with the request's identifier. A transaction of one put counts as a `TxnRequest`, a few
//! bytes more than the bare `PutRequest` that etcd also takes.

use tailetc_core::backend::{BackendError, DeleteRequest, PutRequest};

use crate::{MemKvOptions, errors};

/// Refuses a request of `request_len` bytes that is too large for the raft log. What only reads has
/// no limit: it is no raft entry.
pub(crate) fn check(request_len: usize, options: &MemKvOptions) -> Result<(), BackendError> {
    if entry_len(request_len, options.member_id) > options.max_request_bytes {
        return Err(errors::request_too_large());
    }
    Ok(())
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

/// The length of etcd's `PutRequest`.
pub(crate) fn put_len(put: &PutRequest) -> usize {
    let lease = put.lease.get();
    let lease = if lease == 0 { 0 } else { 1 + varint_len(lease as u64) };
    let flags = [put.prev_kv, put.ignore_value, put.ignore_lease];
    bytes_len(put.key.len()) + bytes_len(put.value.len()) + lease + flags_len(&flags)
}

/// The length of etcd's `DeleteRangeRequest`.
pub(crate) fn delete_len(delete: &DeleteRequest) -> usize {
    let (start, end) = (delete.range.start().len(), delete.range.range_end().len());
    bytes_len(start) + bytes_len(end) + flags_len(&[delete.prev_kv])
}

fn bytes_len(len: usize) -> usize {
    if len == 0 { 0 } else { 1 + varint_len(len as u64) + len }
}

fn flags_len(flags: &[bool]) -> usize {
    flags.iter().filter(|flag| **flag).count() * 2
}

fn varint_len(value: u64) -> usize {
    let bits = 64 - (value | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tailetc_core::LeaseId;
    use tailetc_core::backend::{KeyRange, TxnRequest};

    #[test]
    fn envelope_of_a_large_request_is_17_or_18_bytes() {
        assert_eq!(entry_len(1_572_000, 0x4000) - 1_572_000, 17);
        assert_eq!(entry_len(1_572_000, 0x8000) - 1_572_000, 18);
    }

    // T16
    #[test]
    fn limit_is_inclusive_and_counts_the_envelope() {
        let entry = entry_len(1000, 1);
        let options = MemKvOptions::default().with_member_id(1);
        assert!(check(1000, &options.clone().with_max_request_bytes(entry)).is_ok());
        assert!(check(1000, &options.with_max_request_bytes(entry - 1)).is_err());
    }

    #[test]
    fn plain_requests_are_as_long_as_within_a_transaction_but_for_its_tags() {
        let put = PutRequest::new("k", vec![0; 300]).with_lease(LeaseId::new(-1)).with_prev_kv();
        assert_eq!(put_len(&put), 3 + 303 + 11 + 2);
        assert_eq!(TxnRequest::new([put.clone().into()]).encoded_len(), put_len(&put) + 6);
        let delete = DeleteRequest::new(KeyRange::prefix("k")).with_prev_kv();
        assert_eq!(delete_len(&delete), 3 + 3 + 2);
        assert_eq!(TxnRequest::new([delete.clone().into()]).encoded_len(), delete_len(&delete) + 4);
    }
}
