//! Running a transaction (etcd: `server/etcdserver/txn/txn.go`).

use tailetc_core::Revision;
use tailetc_core::backend::{
    BackendError, Compare, CompareResult, DeleteRequest, DeleteResponse, Header, KeyRange,
    PutRequest, PutResponse, RangeRequest, RangeResponse, TxnOpResponse, TxnResponse,
};

use super::Store;
use super::plain::keeps;
use super::quota::Cost;
use super::write::Write;
use crate::errors;
use crate::fault::Fault;
use crate::request::Txn;
use crate::rules::{self, Plan, Step};

impl Store {
    /// Runs a transaction. `request_len` is the length of the protobuf message.
    pub(crate) fn txn(
        &mut self,
        request: &Txn,
        request_len: usize,
    ) -> Result<TxnResponse, BackendError> {
        let cost = Cost::of_txn(request, self.options.imitate);
        self.check_quota(cost)?;
        rules::check_txn(request, &self.options)?;
        if !request.is_read_only() {
            self.propose(request_len)?;
            self.check_alarm(cost)?;
        }
        let plan = Plan::decide(request, &|compare| self.holds(compare));
        self.check_plan(&plan)?;
        check_kept_of_deleted(&plan, &mut Vec::new())?;
        let mut write = Write::begin(self);
        let responses = write.run(&plan);
        write.commit();
        Ok(TxnResponse::new(self.header(), plan.succeeded, responses))
    }

    fn holds(&self, compare: &Compare) -> bool {
        if self.options.has(Fault::AbsentValueNotEqual)
            && rules::is_of_value(compare)
            && compare.result == CompareResult::NotEqual
            && self.keys.count(&compare.range) == 0
        {
            return true;
        }
        rules::holds(compare, self.keys.range(&compare.range))
    }

    /// Refuses what cannot be applied, as things stand before the transaction.
    fn check_plan(&self, plan: &Plan<'_>) -> Result<(), BackendError> {
        let check_range = |range: &RangeRequest| self.check_revision(range);
        let check_put = |put: &PutRequest| self.check_put(put);
        if self.options.imitate.checks_txn_in_one_pass() {
            return visit(plan, &check_range, &check_put);
        }
        visit(plan, &|_| Ok(()), &check_put)?;
        visit(plan, &check_range, &|_| Ok(()))
    }

    /// Unlike in a plain range, a negative revision is an old one and not the current one.
    fn check_revision(&self, range: &RangeRequest) -> Result<(), BackendError> {
        let revision = range.revision;
        if revision > self.revision {
            return Err(errors::future_revision());
        }
        if revision != Revision::ZERO && self.view().is_compacted(revision) {
            return Err(errors::compacted());
        }
        Ok(())
    }

    fn check_put(&self, put: &PutRequest) -> Result<(), BackendError> {
        if self.options.imitate.checks_lease_before_key_in_txn() {
            self.check_lease(put)?;
            return self.check_kept(put);
        }
        self.check_kept(put)?;
        self.check_lease(put)
    }
}

/// Shows the ranges and puts that will run to the checks, depth first in the order of the request.
fn visit(
    plan: &Plan<'_>,
    range: &impl Fn(&RangeRequest) -> Result<(), BackendError>,
    put: &impl Fn(&PutRequest) -> Result<(), BackendError>,
) -> Result<(), BackendError> {
    plan.steps.iter().try_for_each(|step| match step {
        Step::Range(request) => range(request),
        Step::Put(request) => put(request),
        Step::Delete(_) => Ok(()),
        Step::Txn(nested) => visit(nested, range, put),
    })
}

/// Refuses to keep something of a key that an earlier step deletes; `deleted` are the ranges so far.
fn check_kept_of_deleted<'a>(
    plan: &Plan<'a>,
    deleted: &mut Vec<&'a KeyRange>,
) -> Result<(), BackendError> {
    for step in &plan.steps {
        match step {
            Step::Put(put) if keeps(put) => {
                if deleted.iter().any(|range| range.contains(&put.key)) {
                    return Err(errors::kept_of_deleted());
                }
            }
            Step::Delete(delete) => deleted.push(&delete.range),
            Step::Txn(nested) => check_kept_of_deleted(nested, deleted)?,
            Step::Put(_) | Step::Range(_) => {}
        }
    }
    Ok(())
}

impl Write<'_> {
    fn run(&mut self, plan: &Plan<'_>) -> Vec<TxnOpResponse> {
        let run = |step: &Step<'_>| match step {
            Step::Range(request) => TxnOpResponse::Range(self.run_range(request)),
            Step::Put(request) => TxnOpResponse::Put(self.run_put(request)),
            Step::Delete(request) => TxnOpResponse::Delete(self.run_delete(request)),
            Step::Txn(nested) if self.store.options.has(Fault::NestedCompareSeesWrites) => {
                let store = &*self.store;
                let decided_now = Plan::decide(nested.request, &|compare| store.holds(compare));
                TxnOpResponse::Txn(self.run_txn(&decided_now))
            }
            Step::Txn(nested) => TxnOpResponse::Txn(self.run_txn(nested)),
        };
        plan.steps.iter().map(run).collect()
    }

    /// The server leaves the header of a nested answer empty.
    fn run_txn(&mut self, plan: &Plan<'_>) -> TxnResponse {
        TxnResponse::new(Header::default(), plan.succeeded, self.run(plan))
    }

    fn run_range(&self, request: &RangeRequest) -> RangeResponse {
        let header = Header { revision: self.revision(), ..Header::default() };
        self.view().select(header, request)
    }

    pub(super) fn run_put(&mut self, put: &PutRequest) -> PutResponse {
        let before = self.get(&put.key).cloned();
        let kept = before.clone().unwrap_or_default();
        let value = if put.ignore_value { kept.value } else { put.value.clone() };
        let lease = if put.ignore_lease { kept.lease } else { put.lease };
        self.put(put.key.clone(), value, lease);
        PutResponse::new(before.filter(|_| put.prev_kv))
    }

    pub(super) fn run_delete(&mut self, request: &DeleteRequest) -> DeleteResponse {
        let (count, pairs) = self.delete(&request.range, request.prev_kv);
        DeleteResponse::new(count as i64, pairs)
    }
}

#[cfg(test)]
mod tests {
    use tailetc_core::backend::{TxnOp, TxnRequest};

    use super::*;

    // X-W
    #[test]
    fn keeping_of_what_the_transaction_deletes_is_refused() {
        let check = |ops: Vec<TxnOp>| {
            let txn = Txn::from(TxnRequest::new(ops));
            check_kept_of_deleted(&Plan::decide(&txn, &|_| true), &mut Vec::new())
        };
        let delete = || TxnOp::from(DeleteRequest::new(KeyRange::key("b")));
        let keep_value = PutRequest::new("b", "").with_ignore_value();
        let keep_lease = PutRequest::new("b", "").with_ignore_lease();
        for put in [keep_value, keep_lease] {
            let put = || TxnOp::from(put.clone());
            let nested = |op: TxnOp| TxnOp::from(TxnRequest::new([op]));
            let refusal = Err(errors::kept_of_deleted().to_string());
            for ops in [vec![delete(), put()], vec![nested(delete()), nested(put())]] {
                assert_eq!(check(ops).map_err(|error| error.to_string()), refusal);
            }
            check(vec![put(), delete()]).unwrap();
        }
        check(vec![delete(), PutRequest::new("b", "").into()]).unwrap();
        check(vec![delete(), PutRequest::new("c", "").with_ignore_value().into()]).unwrap();
    }
}
