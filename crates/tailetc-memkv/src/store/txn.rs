//! Running a transaction (etcd: `server/etcdserver/txn/txn.go`).

use tailetc_core::backend::{
    BackendError, DeleteRequest, DeleteResponse, Header, KeyRange, PutRequest, PutResponse,
    RangeRequest, RangeResponse, TxnOpResponse, TxnRequest, TxnResponse,
};
use tailetc_core::{LeaseId, Revision};

use super::Store;
use super::write::Write;
use crate::errors;
use crate::rules::{self, Plan, Step};

impl Store {
    /// Runs a transaction that [`rules::check_txn`] has let through.
    pub(crate) fn txn(&mut self, request: &TxnRequest) -> Result<TxnResponse, BackendError> {
        let plan = Plan::decide(request, &|compare| {
            rules::holds(compare, self.keys.range(&compare.range))
        });
        self.check_plan(&plan)?;
        check_survivable(&plan, &mut Vec::new())?;
        let mut write = Write::begin(self);
        let responses = write.run(&plan);
        write.commit();
        Ok(TxnResponse::new(self.header(), plan.succeeded, responses))
    }

    /// Refuses what cannot be applied, as things stand before the transaction.
    fn check_plan(&self, plan: &Plan<'_>) -> Result<(), BackendError> {
        plan.steps.iter().try_for_each(|step| match step {
            Step::Range(range) => self.check_revision(range),
            Step::Put(put) => self.check_put(put),
            Step::Delete(_) => Ok(()),
            Step::Txn(nested) => self.check_plan(nested),
        })
    }

    /// Unlike in a plain range, a negative revision is an old one and not the current one.
    fn check_revision(&self, range: &RangeRequest) -> Result<(), BackendError> {
        let revision = range.revision;
        if revision > self.revision {
            return Err(errors::future_revision());
        }
        if revision != Revision::ZERO && revision < self.compacted {
            return Err(errors::compacted());
        }
        Ok(())
    }

    fn check_put(&self, put: &PutRequest) -> Result<(), BackendError> {
        if keeps(put) && self.keys.get(&put.key).is_none() {
            return Err(errors::key_not_found());
        }
        if put.lease != LeaseId::NONE && !self.leases.contains(put.lease) {
            return Err(errors::lease_not_found());
        }
        Ok(())
    }
}

/// Refuses to keep something of a key that an earlier step deletes. Only deletes without an end get
/// this far; `deleted` are the ranges so far.
fn check_survivable<'a>(
    plan: &Plan<'a>,
    deleted: &mut Vec<&'a KeyRange>,
) -> Result<(), BackendError> {
    for step in &plan.steps {
        match step {
            Step::Put(put) if keeps(put) => {
                if deleted.iter().any(|range| range.contains(&put.key)) {
                    return Err(errors::crashes_servers());
                }
            }
            Step::Delete(delete) => deleted.push(&delete.range),
            Step::Txn(nested) => check_survivable(nested, deleted)?,
            Step::Put(_) | Step::Range(_) => {}
        }
    }
    Ok(())
}

fn keeps(put: &PutRequest) -> bool {
    put.ignore_value || put.ignore_lease
}

impl Write<'_> {
    fn run(&mut self, plan: &Plan<'_>) -> Vec<TxnOpResponse> {
        let run = |step: &Step<'_>| match step {
            Step::Range(request) => TxnOpResponse::Range(self.run_range(request)),
            Step::Put(request) => TxnOpResponse::Put(self.run_put(request)),
            Step::Delete(request) => TxnOpResponse::Delete(self.run_delete(request)),
            // The server leaves the header of a nested answer empty.
            Step::Txn(nested) => TxnOpResponse::Txn(TxnResponse::new(
                Header::default(),
                nested.succeeded,
                self.run(nested),
            )),
        };
        plan.steps.iter().map(run).collect()
    }

    fn run_range(&self, request: &RangeRequest) -> RangeResponse {
        let header = Header { revision: self.revision(), ..Header::default() };
        self.view().select(header, request)
    }

    fn run_put(&mut self, put: &PutRequest) -> PutResponse {
        let before = self.get(&put.key).cloned();
        let kept = before.clone().unwrap_or_default();
        let value = if put.ignore_value { kept.value } else { put.value.clone() };
        let lease = if put.ignore_lease { kept.lease } else { put.lease };
        self.put(put.key.clone(), value, lease);
        PutResponse::new(before.filter(|_| put.prev_kv))
    }

    fn run_delete(&mut self, request: &DeleteRequest) -> DeleteResponse {
        let mut deleted = self.delete(&request.range);
        let count = deleted.len() as i64;
        if !request.prev_kv {
            deleted.clear();
        }
        DeleteResponse::new(count, deleted)
    }
}
