//! A backend as somebody else might write it: it passes on what its store can do, and refuses the
//! rest before anything of it is applied.

use async_trait::async_trait;
use tailetc_core::backend::{
    BackendError, BackendErrorKind, Capabilities, Header, KvBackend, Lease, LeaseTimeToLive,
    RangeRequest, RangeResponse, Status, TxnOp, TxnRequest, TxnResponse, WatchRequest, Watcher,
};
use tailetc_core::{LeaseId, Revision};
use tailetc_memkv::MemKv;

/// A store without leases and without nested transactions.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plain {
    store: MemKv,
}

impl Plain {
    pub(crate) fn new() -> Self {
        Self::default()
    }
}

fn unsupported(what: &str) -> BackendError {
    BackendError::new(BackendErrorKind::Unsupported, format!("this store has no {what}"))
}

fn check(op: &TxnOp) -> Result<(), BackendError> {
    match op {
        TxnOp::Put(put) if put.lease != LeaseId::NONE => Err(unsupported("leases")),
        TxnOp::Txn(_) => Err(unsupported("nested transactions")),
        TxnOp::Range(_) | TxnOp::Put(_) | TxnOp::Delete(_) => Ok(()),
    }
}

#[async_trait]
impl KvBackend for Plain {
    fn capabilities(&self) -> Capabilities {
        let mut capabilities = self.store.capabilities();
        capabilities.leases = false;
        capabilities.nested_txns = false;
        capabilities
    }

    async fn range(&self, request: RangeRequest) -> Result<RangeResponse, BackendError> {
        self.store.range(request).await
    }

    async fn txn(&self, request: TxnRequest) -> Result<TxnResponse, BackendError> {
        // Both branches: what the store lacks it refuses whether or not it would run.
        request.success.iter().chain(&request.failure).try_for_each(check)?;
        self.store.txn(request).await
    }

    async fn watch(&self, request: WatchRequest) -> Result<Box<dyn Watcher>, BackendError> {
        self.store.watch(request).await
    }

    async fn compact(&self, revision: Revision) -> Result<Header, BackendError> {
        self.store.compact(revision).await
    }

    async fn lease_grant(&self, _: LeaseId, _: i64) -> Result<Lease, BackendError> {
        Err(unsupported("leases"))
    }

    async fn lease_revoke(&self, _: LeaseId) -> Result<Header, BackendError> {
        Err(unsupported("leases"))
    }

    async fn lease_keep_alive(&self, _: LeaseId) -> Result<Option<Lease>, BackendError> {
        Err(unsupported("leases"))
    }

    async fn lease_time_to_live(
        &self,
        _: LeaseId,
        _: bool,
    ) -> Result<Option<LeaseTimeToLive>, BackendError> {
        Err(unsupported("leases"))
    }

    async fn status(&self) -> Result<Status, BackendError> {
        self.store.status().await
    }
}
