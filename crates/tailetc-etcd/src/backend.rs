//! The backend itself.

use std::sync::Arc;

use async_trait::async_trait;
use etcd_client::{LeaseGrantOptions, LeaseTimeToLiveOptions};
use tailetc_core::backend::{
    BackendError, Capabilities, Header, KvBackend, Lease, LeaseTimeToLive, RangeRequest,
    RangeResponse, Status, TxnRequest, TxnResponse, WatchRequest, Watcher,
};
use tailetc_core::{LeaseId, Revision};

use crate::EtcdOptions;
use crate::connect::connect;
use crate::convert;
use crate::error::from_client;
use crate::member::{Member, Purpose};
use crate::members::Members;
use crate::watch::EtcdWatcher;

/// An etcd cluster. A clone talks over the same connections.
///
/// See the [crate's page](crate) for which endpoint answers, what is sent again, deadlines, and
/// which errors become what.
#[derive(Clone, Debug)]
pub struct EtcdBackend {
    members: Arc<Members>,
    capabilities: Capabilities,
    max_message_bytes: usize,
}

impl EtcdBackend {
    /// Connects to every endpoint and asks for its version. One that answers is enough.
    ///
    /// [`Capabilities::reliable_progress`] is true if *every* endpoint answered and is of version
    /// 3.4.31 or later in 3.4, 3.5.13 or later in 3.5, or of a later minor version (etcd issue
    /// 15220); [`Capabilities::compaction_keeps_deletions`] if every one is of 3.4.36, 3.5.18 or
    /// later (etcd issues 18089 and 19179). An endpoint that does not answer may come back with any
    /// version, so it counts as one that cannot be relied on. One that keeps its version from a
    /// user who is not root counts as new enough: only servers from 3.4.42, 3.5.28 and 3.6.0 on do
    /// that (etcd issue 21663). Of such servers, [`status`](KvBackend::status) fails with
    /// [`PermissionDenied`](tailetc_core::backend::BackendErrorKind::PermissionDenied). What is
    /// found here stays for the life of the backend.
    ///
    /// # Errors
    ///
    /// [`Unreachable`](tailetc_core::backend::BackendErrorKind::Unreachable) with the endpoints
    /// when none answers within [`EtcdOptions::connect_timeout`];
    /// [`Unauthenticated`](tailetc_core::backend::BackendErrorKind::Unauthenticated) when name or
    /// password are wrong;
    /// [`InvalidRequest`](tailetc_core::backend::BackendErrorKind::InvalidRequest) when an endpoint
    /// cannot be understood or they belong to different clusters.
    ///
    /// # Cancel safety
    ///
    /// A dropped future leaves nothing behind.
    pub async fn connect(options: EtcdOptions) -> Result<Self, BackendError> {
        let (members, reliable) = connect(&options).await?;
        let mut capabilities = Capabilities::default();
        capabilities.max_txn_ops = options.max_txn_ops;
        capabilities.max_request_bytes = options.max_request_bytes;
        capabilities.reliable_progress = reliable.progress;
        capabilities.compaction_keeps_deletions = reliable.deletions;
        Ok(Self {
            members: Arc::new(members),
            capabilities,
            max_message_bytes: options.max_message_bytes,
        })
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl KvBackend for EtcdBackend {
    fn capabilities(&self) -> Capabilities {
        self.capabilities.clone()
    }

    async fn range(&self, request: RangeRequest) -> Result<RangeResponse, BackendError> {
        let send = |member: Arc<Member>| {
            let (key, options) = convert::range(&request);
            async move {
                let response = member.kv().get(key, Some(options)).await;
                Ok(convert::range_response(response.map_err(from_client)?))
            }
        };
        self.members.call(Purpose::Request, send).await
    }

    async fn txn(&self, request: TxnRequest) -> Result<TxnResponse, BackendError> {
        let send = |member: Arc<Member>| {
            let txn = convert::txn(&request);
            async move {
                let response = member.kv().txn(txn).await;
                convert::txn_response(response.map_err(from_client)?)
            }
        };
        self.members.call(Purpose::Request, send).await
    }

    async fn watch(&self, request: WatchRequest) -> Result<Box<dyn Watcher>, BackendError> {
        let max_message_bytes = self.max_message_bytes;
        let request_timeout = self.members.request_timeout();
        let send = |member: Arc<Member>| {
            let (key, options) = convert::watch(&request);
            async move {
                EtcdWatcher::open(&member, key, options, max_message_bytes, request_timeout).await
            }
        };
        let watcher = self.members.call(Purpose::Watch, send).await?;
        Ok(Box::new(watcher))
    }

    async fn compact(&self, revision: Revision) -> Result<Header, BackendError> {
        let send = move |member: Arc<Member>| async move {
            let response = member.kv().compact(revision.get(), None).await;
            Ok(convert::compaction(&response.map_err(from_client)?))
        };
        self.members.call(Purpose::Request, send).await
    }

    async fn lease_grant(&self, id: LeaseId, ttl_seconds: i64) -> Result<Lease, BackendError> {
        let send = move |member: Arc<Member>| async move {
            let options = LeaseGrantOptions::new().with_id(id.get());
            let response = member.lease().grant(ttl_seconds, Some(options)).await;
            Ok(convert::lease_grant(&response.map_err(from_client)?))
        };
        self.members.call(Purpose::Request, send).await
    }

    async fn lease_revoke(&self, id: LeaseId) -> Result<Header, BackendError> {
        let send = move |member: Arc<Member>| async move {
            member.will_not_renew(id);
            let response = member.lease().revoke(id.get()).await.map_err(from_client)?;
            Ok(convert::header(response.0.header.as_ref()))
        };
        self.members.call(Purpose::Request, send).await
    }

    async fn lease_keep_alive(&self, id: LeaseId) -> Result<Option<Lease>, BackendError> {
        let send = move |member: Arc<Member>| async move { member.renew(id).await };
        self.members.call(Purpose::Renewal, send).await
    }

    async fn lease_time_to_live(
        &self,
        id: LeaseId,
        keys: bool,
    ) -> Result<Option<LeaseTimeToLive>, BackendError> {
        let send = move |member: Arc<Member>| async move {
            let options = keys.then(|| LeaseTimeToLiveOptions::new().with_keys());
            let response = member.lease().time_to_live(id.get(), options).await;
            Ok(convert::lease_time_to_live(response.map_err(from_client)?))
        };
        self.members.call(Purpose::Request, send).await
    }

    async fn status(&self) -> Result<Status, BackendError> {
        let send = move |member: Arc<Member>| async move {
            let response = member.maintenance().status().await.map_err(from_client)?;
            Ok(convert::status(response.0))
        };
        self.members.call(Purpose::Request, send).await
    }
}
