//! Transactions as they come over the wire, which is a little more than the trait can say.

use tailetc_core::backend::{
    BackendError, Compare, DeleteRequest, PutRequest, RangeRequest, TxnOp, TxnRequest,
};

use crate::errors;

/// A [`TxnRequest`] that may hold what no [`TxnOp`] can.
#[derive(Clone, Debug, Default)]
pub(crate) struct Txn {
    pub(crate) compares: Vec<Compare>,
    pub(crate) success: Vec<Op>,
    pub(crate) failure: Vec<Op>,
}

#[derive(Clone, Debug)]
pub(crate) enum Op {
    Range(RangeRequest),
    Put(PutRequest),
    Delete(DeleteRequest),
    Txn(Txn),
    /// Refused when validation comes to it.
    #[cfg_attr(
        not(any(test, feature = "grpc")),
        expect(dead_code, reason = "nothing but the wire can say it")
    )]
    Malformed(Malformed),
}

/// What the wire can say and no server takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    not(any(test, feature = "grpc")),
    expect(dead_code, reason = "nothing but the wire can say it")
)]
pub(crate) enum Malformed {
    /// An operation that is none of the four.
    Unset,
    /// A range with a key and an unknown sort target, or an unknown sort order of a version that
    /// refuses it
    /// ([`EtcdVersion::refuses_unknown_order`](crate::EtcdVersion::refuses_unknown_order)).
    SortOption,
}

impl Malformed {
    pub(crate) fn refusal(self) -> BackendError {
        match self {
            Self::Unset => errors::unset_op(),
            Self::SortOption => errors::invalid_sort_option(),
        }
    }
}

impl Txn {
    /// The number that is held against the limit: the largest of the three lists
    /// (etcd: `server/etcdserver/api/v3rpc/key.go`, `checkTxnRequest`).
    pub(crate) fn op_count(&self) -> usize {
        self.compares.len().max(self.success.len()).max(self.failure.len())
    }

    /// The operations of both branches.
    pub(crate) fn ops(&self) -> impl Iterator<Item = &Op> {
        self.success.iter().chain(&self.failure)
    }

    /// Only ranges at the top of both branches: nothing for the raft log. A nested transaction
    /// counts as a write, whatever it holds.
    pub(crate) fn is_read_only(&self) -> bool {
        self.ops().all(|op| matches!(op, Op::Range(_)))
    }
}

impl From<TxnRequest> for Txn {
    fn from(request: TxnRequest) -> Self {
        let ops = |ops: Vec<TxnOp>| ops.into_iter().map(Op::from).collect();
        Self {
            compares: request.compares,
            success: ops(request.success),
            failure: ops(request.failure),
        }
    }
}

impl From<TxnOp> for Op {
    fn from(op: TxnOp) -> Self {
        match op {
            TxnOp::Range(range) => Self::Range(range),
            TxnOp::Put(put) => Self::Put(put),
            TxnOp::Delete(delete) => Self::Delete(delete),
            TxnOp::Txn(txn) => Self::Txn(txn.into()),
        }
    }
}
