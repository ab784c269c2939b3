//! The protobuf size of a transaction, which is what etcd's request limit counts.
//!
//! Field numbers and types are those of etcd's `api/etcdserverpb/rpc.proto`: every number used is
//! below 16, so every tag is one byte, but for `Compare.range_end` (64: two bytes).

use crate::backend::{
    Compare, CompareResult, CompareTarget, DeleteRequest, KeyRange, PutRequest, RangeRequest,
    SortOrder, SortTarget, TxnOp, TxnRequest,
};

pub(super) fn txn(txn: &TxnRequest) -> usize {
    let compares: usize = txn.compares.iter().map(|c| message(compare(c))).sum();
    let ops: usize = txn.success.iter().chain(&txn.failure).map(|op| message(request_op(op))).sum();
    compares + ops
}

fn request_op(op: &TxnOp) -> usize {
    message(match op {
        TxnOp::Range(request) => range(request),
        TxnOp::Put(request) => put(request),
        TxnOp::Delete(request) => delete(request),
        TxnOp::Txn(request) => txn(request),
    })
}

fn range(request: &RangeRequest) -> usize {
    keys(&request.range)
        + int(request.limit)
        + int(request.revision.get())
        + flag(request.sort_order != SortOrder::None)
        + flag(request.sort_target != SortTarget::Key)
        + flag(request.serializable)
        + flag(request.keys_only)
        + flag(request.count_only)
        + int(request.min_mod_revision.get())
        + int(request.max_mod_revision.get())
        + int(request.min_create_revision.get())
        + int(request.max_create_revision.get())
}

fn put(request: &PutRequest) -> usize {
    bytes(request.key.len())
        + bytes(request.value.len())
        + int(request.lease.get())
        + flag(request.prev_kv)
        + flag(request.ignore_value)
        + flag(request.ignore_lease)
}

fn delete(request: &DeleteRequest) -> usize {
    keys(&request.range) + flag(request.prev_kv)
}

fn compare(compare: &Compare) -> usize {
    let result = if compare.result == CompareResult::Equal { 0 } else { 2 };
    let end = compare.range.range_end().len();
    let end = if end == 0 { 0 } else { 1 + bytes(end) };
    // The operand is in a `oneof`, so that even a zero is written.
    let (target, operand) = match &compare.target {
        CompareTarget::Version(version) => (0, 1 + varint_i64(*version)),
        CompareTarget::CreateRevision(revision) => (2, 1 + varint_i64(revision.get())),
        CompareTarget::ModRevision(revision) => (2, 1 + varint_i64(revision.get())),
        CompareTarget::Value(value) => (2, message(value.len())),
        CompareTarget::Lease(lease) => (2, 1 + varint_i64(lease.get())),
    };
    result + target + bytes(compare.range.start().len()) + operand + end
}

fn keys(range: &KeyRange) -> usize {
    bytes(range.start().len()) + bytes(range.range_end().len())
}

/// A `bytes` field, left out when empty.
fn bytes(len: usize) -> usize {
    if len == 0 { 0 } else { message(len) }
}

/// A length-delimited field of `len` bytes, tag and length included.
fn message(len: usize) -> usize {
    1 + varint(len as u64) + len
}

/// An `int64` field, left out when zero.
fn int(value: i64) -> usize {
    if value == 0 { 0 } else { 1 + varint_i64(value) }
}

fn flag(value: bool) -> usize {
    if value { 2 } else { 0 }
}

/// Negative numbers are written as their two's complement, in ten bytes.
fn varint_i64(value: i64) -> usize {
    varint(value as u64)
}

fn varint(value: u64) -> usize {
    let bits = 64 - (value | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Revision;

    #[test]
    fn varint_grows_every_seven_bits() {
        for (value, len) in [(0, 1), (127, 1), (128, 2), (16_383, 2), (16_384, 3), (u64::MAX, 10)] {
            assert_eq!(varint(value), len, "{value}");
        }
    }

    #[test]
    fn guarded_put_has_the_size_of_its_protobuf_encoding() {
        // compare: tag+len, target(2), key "k"(3), mod_revision 0 (2)            =  9
        // success: tag+len, RequestOp: tag+len, put: key "k"(3), value "vv"(4)   = 11
        let request = TxnRequest::new([PutRequest::new("k", "vv").into()])
            .when([Compare::mod_revision("k", Revision::ZERO)]);
        assert_eq!(request.encoded_len(), 9 + 11);
    }
}
