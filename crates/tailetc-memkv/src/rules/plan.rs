//! Which branches of a transaction run.

use tailetc_core::backend::{Compare, DeleteRequest, PutRequest, RangeRequest};

use crate::request::{Op, Txn};

/// A transaction with every condition decided.
///
/// All conditions, those of nested transactions too, see the state before the transaction
/// (etcd: `server/etcdserver/txn/txn.go`, `compareToPath`), so they are decided before anything
/// runs.
#[derive(Debug)]
pub(crate) struct Plan<'a> {
    /// What was decided about.
    pub(crate) request: &'a Txn,
    /// Whether the conditions held.
    pub(crate) succeeded: bool,
    /// The branch that runs.
    pub(crate) steps: Vec<Step<'a>>,
}

#[derive(Debug)]
pub(crate) enum Step<'a> {
    Range(&'a RangeRequest),
    Put(&'a PutRequest),
    Delete(&'a DeleteRequest),
    Txn(Plan<'a>),
}

impl<'a> Plan<'a> {
    /// Decides `request` by `holds`.
    pub(crate) fn decide(request: &'a Txn, holds: &impl Fn(&Compare) -> bool) -> Self {
        let succeeded = request.compares.iter().all(holds);
        let branch = if succeeded { &request.success } else { &request.failure };
        let step = |op: &'a Op| match op {
            Op::Range(range) => Some(Step::Range(range)),
            Op::Put(put) => Some(Step::Put(put)),
            Op::Delete(delete) => Some(Step::Delete(delete)),
            Op::Txn(txn) => Some(Step::Txn(Self::decide(txn, holds))),
            // Validation let none through.
            Op::Malformed(_) => None,
        };
        Self { request, succeeded, steps: branch.iter().filter_map(step).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tailetc_core::Revision;
    use tailetc_core::backend::{TxnOp, TxnRequest};

    // T6
    #[test]
    fn every_level_takes_the_branch_of_its_own_conditions() {
        let when = |key: &'static str| [Compare::mod_revision(key, Revision::ZERO)];
        let put = |key: &'static str| TxnOp::from(PutRequest::new(key, ""));
        let nested = TxnRequest::new([put("then")]).otherwise([put("else")]).when(when("false"));
        let request = TxnRequest::new([nested.into(), put("last")]).when(when("true"));

        let request = Txn::from(request);
        let plan = Plan::decide(&request, &|compare| compare.range.start() == "true");
        assert!(plan.succeeded);
        let [Step::Txn(nested), Step::Put(last)] = &plan.steps[..] else {
            panic!("{plan:?}");
        };
        assert_eq!(last.key, "last");
        assert!(!nested.succeeded);
        assert!(matches!(&nested.steps[..], [Step::Put(put)] if put.key == "else"));
    }
}
