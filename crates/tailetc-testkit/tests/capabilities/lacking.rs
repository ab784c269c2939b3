//! On a store that lacks what a case needs, the case asserts the refusal, and can fail.

use std::sync::Arc;

use async_trait::async_trait;
use tailetc_core::backend::{
    BackendError, BackendErrorKind, Capabilities, Header, KvBackend, Lease, LeaseTimeToLive,
    RangeRequest, RangeResponse, SortOrder, SortTarget, Status, TxnOp, TxnRequest, TxnResponse,
    WatchRequest, Watcher,
};
use tailetc_core::{LeaseId, Revision};
use tailetc_memkv::MemKv;
use tailetc_testkit::conformance::{CASES, Capability};

/// How the store treats requests for what it says it lacks.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Manner {
    /// As it must.
    Refuses,
    /// It serves them all the same.
    Serves,
    /// It says no, as an ordinary bad request.
    RefusesAsInvalid,
    /// It applies them and then says that it did not.
    RefusesTooLate,
}

/// A store that says it lacks one thing.
#[derive(Clone, Debug)]
struct Lacking {
    store: MemKv,
    lacks: Capability,
    manner: Manner,
}

impl Lacking {
    /// `wanted`: whether the request asks for what is lacking.
    fn before(&self, wanted: bool) -> Result<(), BackendError> {
        match self.manner {
            Manner::Refuses if wanted => Err(refusal(BackendErrorKind::Unsupported)),
            Manner::RefusesAsInvalid if wanted => Err(refusal(BackendErrorKind::InvalidRequest)),
            _ => Ok(()),
        }
    }

    fn after(&self, wanted: bool) -> Result<(), BackendError> {
        if wanted && self.manner == Manner::RefusesTooLate {
            return Err(refusal(BackendErrorKind::Unsupported));
        }
        Ok(())
    }

    fn lacks(&self, capability: Capability) -> bool {
        self.lacks == capability
    }

    fn wants_sorting(&self, range: &RangeRequest) -> bool {
        self.lacks(Capability::SortedRanges)
            && ((range.sort_target, range.sort_order) != (SortTarget::Key, SortOrder::None)
                || !range.max_mod_revision.is_zero()
                || !range.min_create_revision.is_zero()
                || !range.max_create_revision.is_zero())
    }

    fn wants(&self, op: &TxnOp) -> bool {
        match op {
            TxnOp::Range(range) => self.wants_sorting(range),
            TxnOp::Put(put) => self.lacks(Capability::Leases) && put.lease != LeaseId::NONE,
            TxnOp::Delete(_) => false,
            TxnOp::Txn(txn) => {
                self.lacks(Capability::NestedTxns)
                    || txn.success.iter().chain(&txn.failure).any(|op| self.wants(op))
            }
        }
    }
}

fn refusal(kind: BackendErrorKind) -> BackendError {
    BackendError::new(kind, "this store cannot")
}

#[async_trait]
impl KvBackend for Lacking {
    fn capabilities(&self) -> Capabilities {
        let mut capabilities = self.store.capabilities();
        match self.lacks {
            Capability::Leases => capabilities.leases = false,
            Capability::NestedTxns => capabilities.nested_txns = false,
            Capability::SortedRanges => capabilities.sorted_ranges = false,
            Capability::WatchFilters => capabilities.watch_filters = false,
            other => unreachable!("a capability that this test does not know: {other}"),
        }
        capabilities
    }

    async fn range(&self, request: RangeRequest) -> Result<RangeResponse, BackendError> {
        let wanted = self.wants_sorting(&request);
        self.before(wanted)?;
        let response = self.store.range(request).await;
        self.after(wanted)?;
        response
    }

    async fn txn(&self, request: TxnRequest) -> Result<TxnResponse, BackendError> {
        let wanted = request.success.iter().chain(&request.failure).any(|op| self.wants(op));
        self.before(wanted)?;
        let response = self.store.txn(request).await;
        self.after(wanted)?;
        response
    }

    async fn watch(&self, request: WatchRequest) -> Result<Box<dyn Watcher>, BackendError> {
        let filtered = request.no_put || request.no_delete;
        self.before(self.lacks(Capability::WatchFilters) && filtered)?;
        self.store.watch(request).await
    }

    async fn compact(&self, revision: Revision) -> Result<Header, BackendError> {
        self.store.compact(revision).await
    }

    async fn lease_grant(&self, id: LeaseId, ttl_seconds: i64) -> Result<Lease, BackendError> {
        self.before(self.lacks(Capability::Leases))?;
        self.store.lease_grant(id, ttl_seconds).await
    }

    async fn lease_revoke(&self, id: LeaseId) -> Result<Header, BackendError> {
        self.before(self.lacks(Capability::Leases))?;
        self.store.lease_revoke(id).await
    }

    async fn lease_keep_alive(&self, id: LeaseId) -> Result<Option<Lease>, BackendError> {
        self.before(self.lacks(Capability::Leases))?;
        self.store.lease_keep_alive(id).await
    }

    async fn lease_time_to_live(
        &self,
        id: LeaseId,
        keys: bool,
    ) -> Result<Option<LeaseTimeToLive>, BackendError> {
        self.before(self.lacks(Capability::Leases))?;
        self.store.lease_time_to_live(id, keys).await
    }

    async fn status(&self) -> Result<Status, BackendError> {
        self.store.status().await
    }
}

/// The names of the cases that fail on such a store.
async fn failures(lacks: Capability, manner: Manner) -> Vec<&'static str> {
    let mut failed = Vec::new();
    for case in CASES {
        let store = Lacking { store: MemKv::new(), lacks, manner };
        if tokio::spawn(case.run(Arc::new(store))).await.is_err() {
            failed.push(case.name);
        }
    }
    failed
}

fn cases_in_need_of(capability: Capability) -> Vec<&'static str> {
    let needing = CASES.iter().filter(|case| case.needs.contains(&capability));
    needing.map(|case| case.name).collect()
}

// Paused, so that leases of seconds cost none.
#[tokio::test(start_paused = true)]
async fn every_case_passes_on_a_store_that_refuses_what_it_lacks() {
    for lacks in Capability::ALL {
        let none: [&str; 0] = [];
        assert_eq!(failures(*lacks, Manner::Refuses).await, none, "without {lacks}");
    }
}

#[tokio::test(start_paused = true)]
async fn cases_in_need_fail_on_a_store_that_serves_what_it_says_it_lacks() {
    for lacks in Capability::ALL {
        let expected = cases_in_need_of(*lacks);
        assert!(!expected.is_empty(), "no case needs {lacks}");
        assert_eq!(failures(*lacks, Manner::Serves).await, expected, "without {lacks}");
    }
}

#[tokio::test(start_paused = true)]
async fn cases_in_need_fail_on_a_store_that_refuses_in_other_words() {
    for lacks in Capability::ALL {
        let expected = cases_in_need_of(*lacks);
        assert_eq!(failures(*lacks, Manner::RefusesAsInvalid).await, expected, "without {lacks}");
    }
}

#[tokio::test(start_paused = true)]
async fn cases_in_need_fail_on_a_store_that_applies_what_it_refuses() {
    let lacks = Capability::NestedTxns;
    let expected = cases_in_need_of(lacks);
    assert_eq!(failures(lacks, Manner::RefusesTooLate).await, expected);
}
