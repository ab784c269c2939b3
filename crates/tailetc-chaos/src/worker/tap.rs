//! A way to the store that takes note of every revision that comes back.

use std::sync::Arc;

use async_trait::async_trait;
use tailetc::backend::{
    BackendError, Capabilities, Header, KvBackend, Lease, LeaseTimeToLive, RangeRequest,
    RangeResponse, Status, TxnRequest, TxnResponse, WatchRequest, WatchResponse, Watcher,
};
use tailetc::{LeaseId, Revision};
use tailetc_etcd::EtcdBackend;

use super::clock::Clock;

#[derive(Clone, Debug)]
pub(crate) struct Tap {
    store: EtcdBackend,
    clock: Arc<Clock>,
}

impl Tap {
    pub(crate) fn new(store: EtcdBackend, clock: Arc<Clock>) -> Self {
        Self { store, clock }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl KvBackend for Tap {
    fn capabilities(&self) -> Capabilities {
        self.store.capabilities()
    }

    async fn range(&self, request: RangeRequest) -> Result<RangeResponse, BackendError> {
        let era = self.clock.era();
        let response = self.store.range(request).await?;
        self.clock.saw(era, response.header.revision);
        Ok(response)
    }

    async fn txn(&self, request: TxnRequest) -> Result<TxnResponse, BackendError> {
        let era = self.clock.era();
        let response = self.store.txn(request).await?;
        self.clock.saw(era, response.header.revision);
        Ok(response)
    }

    async fn watch(&self, request: WatchRequest) -> Result<Box<dyn Watcher>, BackendError> {
        let era = self.clock.era();
        let watcher = self.store.watch(request).await?;
        Ok(Box::new(TappedWatcher { watcher, clock: Arc::clone(&self.clock), era }))
    }

    async fn compact(&self, revision: Revision) -> Result<Header, BackendError> {
        self.store.compact(revision).await
    }

    async fn lease_grant(&self, id: LeaseId, ttl_seconds: i64) -> Result<Lease, BackendError> {
        self.store.lease_grant(id, ttl_seconds).await
    }

    async fn lease_revoke(&self, id: LeaseId) -> Result<Header, BackendError> {
        self.store.lease_revoke(id).await
    }

    async fn lease_keep_alive(&self, id: LeaseId) -> Result<Option<Lease>, BackendError> {
        self.store.lease_keep_alive(id).await
    }

    async fn lease_time_to_live(
        &self,
        id: LeaseId,
        keys: bool,
    ) -> Result<Option<LeaseTimeToLive>, BackendError> {
        self.store.lease_time_to_live(id, keys).await
    }

    async fn status(&self) -> Result<Status, BackendError> {
        self.store.status().await
    }
}

#[derive(Debug)]
struct TappedWatcher {
    watcher: Box<dyn Watcher>,
    clock: Arc<Clock>,
    era: usize,
}

#[async_trait]
impl Watcher for TappedWatcher {
    async fn next(&mut self) -> Result<WatchResponse, BackendError> {
        let response = self.watcher.next().await?;
        if let WatchResponse::Events { header, .. } | WatchResponse::Progress { header } = &response
        {
            self.clock.saw(self.era, header.revision);
        }
        Ok(response)
    }

    async fn request_progress(&mut self) -> Result<(), BackendError> {
        self.watcher.request_progress().await
    }
}
