//! Which transactions write a key twice (etcd: `server/etcdserver/api/v3rpc/key.go`,
//! `checkIntervals`).
//!
//! The rule is asymmetric on purpose: it is the server's. A put conflicts with the deletes of its
//! own level wherever they stand, and a nested transaction's put with the deletes of earlier
//! siblings, but a delete nested in a later sibling passes. Deletes without an end are not seen.

use std::collections::HashSet;

use bytes::Bytes;
use tailetc_core::backend::BackendError;

use super::intervals::Intervals;
use crate::errors;
use crate::request::Op;

/// Refuses a branch that writes a key twice.
pub(crate) fn check(ops: &[Op]) -> Result<(), BackendError> {
    writes(ops).map(drop)
}

/// What the branches that may run at one level, and those below, write.
#[derive(Default)]
struct Writes<'a> {
    puts: HashSet<&'a Bytes>,
    deletes: Intervals,
}

impl<'a> Writes<'a> {
    fn put(&mut self, key: &'a Bytes) -> Result<(), BackendError> {
        if self.deletes.contains(key) || !self.puts.insert(key) {
            return Err(errors::duplicate_key());
        }
        Ok(())
    }

    /// Adds a nested transaction, whose two branches may share keys: only one of them runs.
    fn nested(&mut self, success: Self, failure: Self) -> Result<(), BackendError> {
        for key in &success.puts {
            self.put(key)?;
        }
        for key in failure.puts {
            if success.puts.contains(key) {
                continue;
            }
            self.put(key)?;
        }
        self.deletes.union(success.deletes);
        self.deletes.union(failure.deletes);
        Ok(())
    }
}

fn writes(ops: &[Op]) -> Result<Writes<'_>, BackendError> {
    let mut writes = Writes::default();
    for op in ops {
        if let Op::Delete(delete) = op
            && !delete.range.is_from_key()
        {
            writes.deletes.insert(&delete.range);
        }
    }
    for op in ops {
        if let Op::Txn(txn) = op {
            let success = self::writes(&txn.success)?;
            let failure = self::writes(&txn.failure)?;
            writes.nested(success, failure)?;
        }
    }
    for op in ops {
        if let Op::Put(put) = op {
            writes.put(&put.key)?;
        }
    }
    Ok(writes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tailetc_core::backend::{
        BackendErrorKind, DeleteRequest, KeyRange, PutRequest, TxnOp, TxnRequest,
    };

    fn put(key: &'static str) -> TxnOp {
        PutRequest::new(key, "").into()
    }

    fn del(key: &'static str) -> TxnOp {
        DeleteRequest::new(KeyRange::key(key)).into()
    }

    fn del_range(key: &'static str, end: &'static str) -> TxnOp {
        DeleteRequest::new(KeyRange::from_wire(key, end)).into()
    }

    fn txn<const N: usize>(ops: [TxnOp; N]) -> TxnOp {
        TxnRequest::new(ops).into()
    }

    fn either<const N: usize, const M: usize>(then: [TxnOp; N], or: [TxnOp; M]) -> TxnOp {
        TxnRequest::new(then).otherwise(or).into()
    }

    #[track_caller]
    fn passes<const N: usize>(ops: [TxnOp; N]) {
        let ops = ops.map(Op::from);
        assert!(check(&ops).is_ok(), "{ops:?}");
    }

    #[track_caller]
    fn refused<const N: usize>(ops: [TxnOp; N]) {
        let kind = check(&ops.map(Op::from)).expect_err("a duplicate").kind();
        assert_eq!(kind, BackendErrorKind::DuplicateKey);
    }

    // T10, X-X
    #[test]
    fn put_conflicts_with_puts_and_deletes_of_its_level_in_any_order() {
        refused([put("a"), put("a")]);
        refused([put("a"), del("a")]);
        refused([del("a"), put("a")]);
        refused([put("b"), del_range("a", "c")]);
        refused([del_range("b", "c"), put("b")]);
        passes([put("a"), put("b"), del("c"), del("c"), del_range("c", "d")]);
    }

    // T10, X-X
    #[test]
    fn end_of_a_delete_is_exclusive_and_empty_ranges_conflict_with_nothing() {
        passes([put("c"), del_range("a", "c")]);
        passes([put("a"), del_range("a", "a")]);
        passes([put("b"), del_range("c", "a")]);
    }

    // T10, X-X
    #[test]
    fn delete_without_an_end_is_not_seen() {
        passes([put("b"), del_range("a", "\0")]);
        passes([del_range("a", "\0"), put("b")]);
        passes([txn([del_range("a", "\0")]), txn([put("b")])]);
    }

    // T10, X-X
    #[test]
    fn nested_put_conflicts_with_the_level_above_and_with_earlier_siblings() {
        refused([put("a"), txn([put("a")])]);
        refused([txn([put("a")]), del("a")]);
        refused([txn([put("a")]), txn([put("a")])]);
        refused([txn([del("a")]), txn([put("a")])]);
        refused([put("a"), txn([txn([del("a")])])]);
        refused([put("a"), either([], [put("a")])]);
        refused([txn([txn([put("a"), put("a")])])]);
        refused([either([], [put("a"), del("a")])]);
    }

    // T10, X-X
    #[test]
    fn delete_nested_in_a_later_sibling_passes() {
        passes([txn([put("a")]), txn([del("a")])]);
    }

    // T10, X-X
    #[test]
    fn branches_of_one_nested_transaction_share_keys() {
        passes([either([put("a")], [put("a")])]);
        passes([either([put("a")], [del("a")])]);
        passes([either([del("a")], [put("a")])]);
        refused([either([put("a")], [put("a")]), either([], [put("a")])]);
        refused([either([put("a")], [del("a")]), put("a")]);
    }
}
