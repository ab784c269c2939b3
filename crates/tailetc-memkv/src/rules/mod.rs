//! etcd's rules as pure functions of a request: what is refused, which branch runs.

mod compare;
mod duplicates;
mod intervals;
mod plan;
mod size;
mod validate;

use tailetc_core::backend::BackendError;

pub(crate) use self::compare::{holds, is_of_value};
pub(crate) use self::plan::{Plan, Step};
pub(crate) use self::size::{check as check_size, delete_len, put_len};
pub(crate) use self::validate::{check_key, check_put};
use crate::MemKvOptions;
use crate::request::Txn;

/// What is refused of a transaction by its form alone, in etcd's order.
pub(crate) fn check_txn(request: &Txn, options: &MemKvOptions) -> Result<(), BackendError> {
    validate::check_txn(request, options.max_txn_ops)?;
    duplicates::check(&request.success)?;
    duplicates::check(&request.failure)
}
