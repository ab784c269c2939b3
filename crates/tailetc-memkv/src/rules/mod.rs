//! etcd's rules as pure functions of a request: what is refused, which branch runs.

mod compare;
mod duplicates;
mod intervals;
mod plan;
mod size;
mod validate;

use tailetc_core::backend::{BackendError, TxnRequest};

pub(crate) use self::compare::holds;
pub(crate) use self::plan::{Plan, Step};
pub(crate) use self::validate::check_range;
use crate::MemKvOptions;

/// Everything that etcd checks of a transaction before it looks at any state, in its order.
pub(crate) fn check_txn(request: &TxnRequest, options: &MemKvOptions) -> Result<(), BackendError> {
    validate::check_txn(request, options.max_txn_ops)?;
    duplicates::check(&request.success)?;
    duplicates::check(&request.failure)?;
    size::check(request, options)
}
