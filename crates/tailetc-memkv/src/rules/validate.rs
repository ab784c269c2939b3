//! What is refused by its form alone (etcd: `server/etcdserver/api/v3rpc/key.go`).

use tailetc_core::backend::{BackendError, KeyRange, PutRequest};

use crate::errors;
use crate::request::{Op, Txn};

/// Checks one level: number of operations, keys of compares, operations of both branches. A nested
/// transaction has what this level leaves of the number.
pub(crate) fn check_txn(request: &Txn, max_ops: usize) -> Result<(), BackendError> {
    let Some(left) = max_ops.checked_sub(request.op_count()) else {
        return Err(errors::too_many_ops());
    };
    for compare in &request.compares {
        check_key(&compare.range)?;
    }
    request.ops().try_for_each(|op| check_op(op, left))
}

fn check_op(op: &Op, max_ops: usize) -> Result<(), BackendError> {
    match op {
        Op::Range(range) => check_key(&range.range),
        Op::Put(put) => check_put(put),
        Op::Delete(delete) => check_key(&delete.range),
        Op::Txn(txn) => check_txn(txn, max_ops),
        Op::Malformed(malformed) => Err(malformed.refusal()),
    }
}

pub(crate) fn check_put(put: &PutRequest) -> Result<(), BackendError> {
    if put.key.is_empty() {
        return Err(errors::empty_key());
    }
    if put.ignore_value && !put.value.is_empty() {
        return Err(errors::value_provided());
    }
    if put.ignore_lease && !put.lease.is_none() {
        return Err(errors::lease_provided());
    }
    Ok(())
}

/// A range or a deletion.
pub(crate) fn check_key(range: &KeyRange) -> Result<(), BackendError> {
    if range.start().is_empty() {
        return Err(errors::empty_key());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::Malformed;
    use tailetc_core::backend::{Compare, DeleteRequest, RangeRequest, TxnOp, TxnRequest};
    use tailetc_core::{LeaseId, Revision};

    fn put(key: &'static str) -> TxnOp {
        PutRequest::new(key, "").into()
    }

    #[track_caller]
    fn refused(request: &TxnRequest, expected: BackendError) {
        refused_txn(&request.clone().into(), expected);
    }

    #[track_caller]
    fn refused_txn(request: &Txn, expected: BackendError) {
        let error = check_txn(request, 128).expect_err("refused");
        assert_eq!((error.kind(), error.message()), (expected.kind(), expected.message()));
    }

    // X-A
    #[test]
    fn number_of_operations_is_checked_before_keys() {
        let absent = || Compare::mod_revision("", Revision::ZERO);
        let many = TxnRequest::default().when((0..129).map(|_| absent()));
        refused(&many, errors::too_many_ops());
        refused(&TxnRequest::default().when([absent()]), errors::empty_key());
        let many = TxnRequest::default().otherwise((0..129).map(|_| put("a")));
        refused(&many, errors::too_many_ops());
    }

    // T9
    #[test]
    fn limit_is_on_the_longest_list_and_is_inclusive() {
        let ops = || (0..128).map(|_| put("a"));
        let full = TxnRequest::new(ops())
            .otherwise(ops())
            .when((0..128).map(|_| Compare::mod_revision("a", Revision::ZERO)));
        assert!(check_txn(&full.into(), 128).is_ok());
    }

    // T9
    #[test]
    fn nested_transaction_has_what_its_parent_leaves() {
        let nested = |puts: usize| {
            let nested = TxnRequest::new((0..puts).map(|_| put("a")));
            TxnRequest::new([nested.into(), put("b")])
        };
        assert!(check_txn(&nested(126).into(), 128).is_ok());
        refused(&nested(127), errors::too_many_ops());
        assert!(check_txn(&nested(0).into(), 2).is_ok());
        assert!(check_txn(&nested(1).into(), 2).is_err());
    }

    // P1, X-A
    #[test]
    fn put_is_checked_for_key_then_value_then_lease() {
        let wrong = |key: &'static str, value: &'static str| {
            let put = PutRequest::new(key, value)
                .with_lease(LeaseId::new(1))
                .with_ignore_lease()
                .with_ignore_value();
            TxnRequest::new([put.into()])
        };
        refused(&wrong("", "v"), errors::empty_key());
        refused(&wrong("k", "v"), errors::value_provided());
        refused(&wrong("k", ""), errors::lease_provided());
    }

    #[test]
    fn every_operation_needs_a_key() {
        let nowhere = || KeyRange::from_wire("", "z");
        refused(&TxnRequest::new([RangeRequest::new(nowhere()).into()]), errors::empty_key());
        refused(
            &TxnRequest::default().otherwise([DeleteRequest::new(nowhere()).into()]),
            errors::empty_key(),
        );
        let nested = TxnRequest::new([put("")]);
        refused(&TxnRequest::new([nested.into()]), errors::empty_key());
    }

    // T12, X-A
    #[test]
    fn malformed_operation_is_refused_in_its_turn() {
        let malformed = |malformed| Op::Malformed(malformed);
        let txn = |success: Vec<Op>| Txn { success, ..Txn::default() };
        let unset = || malformed(Malformed::Unset);
        refused_txn(&txn(vec![put("a").into(), unset()]), errors::unset_op());
        refused_txn(&txn(vec![put("").into(), unset()]), errors::empty_key());
        refused_txn(&txn(vec![unset(), put("").into()]), errors::unset_op());
        let nested = txn(vec![Op::Txn(txn(vec![malformed(Malformed::SortOption)])), unset()]);
        refused_txn(&nested, errors::invalid_sort_option());
    }
}
