//! What the list says that a case needs is what its requests ask for, no more and no less.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use tailetc_core::backend::{
    BackendError, Capabilities, Header, KvBackend, Lease, LeaseTimeToLive, RangeRequest,
    RangeResponse, SortOrder, SortTarget, Status, TxnOp, TxnRequest, TxnResponse, WatchRequest,
    Watcher,
};
use tailetc_core::{LeaseId, Revision};
use tailetc_memkv::MemKv;
use tailetc_testkit::conformance::{CASES, Capability};

/// A store that notes which of its capabilities are used.
#[derive(Clone, Debug)]
struct Noting {
    store: MemKv,
    used: Arc<Mutex<BTreeSet<Capability>>>,
}

impl Noting {
    fn note(&self, capability: Capability, used: bool) {
        if used {
            self.used.lock().unwrap_or_else(PoisonError::into_inner).insert(capability);
        }
    }

    fn note_range(&self, request: &RangeRequest) {
        let plain = (SortTarget::Key, SortOrder::None);
        let filters =
            [request.max_mod_revision, request.min_create_revision, request.max_create_revision];
        let sorted = (request.sort_target, request.sort_order) != plain;
        let used = sorted || filters.iter().any(|bound| !bound.is_zero());
        self.note(Capability::SortedRanges, used);
    }

    fn note_txn(&self, request: &TxnRequest) {
        for op in request.success.iter().chain(&request.failure) {
            match op {
                TxnOp::Range(range) => self.note_range(range),
                TxnOp::Put(put) => self.note(Capability::Leases, put.lease != LeaseId::NONE),
                TxnOp::Delete(_) => {}
                TxnOp::Txn(inner) => {
                    self.note(Capability::NestedTxns, true);
                    self.note_txn(inner);
                }
            }
        }
    }
}

#[async_trait]
impl KvBackend for Noting {
    fn capabilities(&self) -> Capabilities {
        self.store.capabilities()
    }

    async fn range(&self, request: RangeRequest) -> Result<RangeResponse, BackendError> {
        self.note_range(&request);
        self.store.range(request).await
    }

    async fn txn(&self, request: TxnRequest) -> Result<TxnResponse, BackendError> {
        self.note_txn(&request);
        self.store.txn(request).await
    }

    async fn watch(&self, request: WatchRequest) -> Result<Box<dyn Watcher>, BackendError> {
        self.note(Capability::WatchFilters, request.no_put || request.no_delete);
        self.store.watch(request).await
    }

    async fn compact(&self, revision: Revision) -> Result<Header, BackendError> {
        self.store.compact(revision).await
    }

    async fn lease_grant(&self, id: LeaseId, ttl_seconds: i64) -> Result<Lease, BackendError> {
        self.note(Capability::Leases, true);
        self.store.lease_grant(id, ttl_seconds).await
    }

    async fn lease_revoke(&self, id: LeaseId) -> Result<Header, BackendError> {
        self.note(Capability::Leases, true);
        self.store.lease_revoke(id).await
    }

    async fn lease_keep_alive(&self, id: LeaseId) -> Result<Option<Lease>, BackendError> {
        self.note(Capability::Leases, true);
        self.store.lease_keep_alive(id).await
    }

    async fn lease_time_to_live(
        &self,
        id: LeaseId,
        keys: bool,
    ) -> Result<Option<LeaseTimeToLive>, BackendError> {
        self.note(Capability::Leases, true);
        self.store.lease_time_to_live(id, keys).await
    }

    async fn status(&self) -> Result<Status, BackendError> {
        self.store.status().await
    }
}

// Paused, so that leases of seconds cost none.
#[tokio::test(start_paused = true)]
async fn needs_of_a_case_are_what_it_uses() {
    let mut wrong = Vec::new();
    for case in CASES {
        let noting = Noting { store: MemKv::new(), used: Arc::default() };
        case.run(Arc::new(noting.clone())).await;
        let used = noting.used.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if used != case.needs.iter().copied().collect() {
            let names: Vec<_> = used.iter().map(Capability::to_string).collect();
            wrong.push(format!("{} needs {}", case.name, names.join(" ")));
        }
    }
    assert!(wrong.is_empty(), "the list must say:\n{}", wrong.join("\n"));
}
