//! What a store must do for a [`Db`](crate::Db) to stand on it: [`KvBackend`] and its requests and
//! responses, in etcd's terms.
//!
//! [`KvBackend`] is for people who write backends and holds only what a backend must decide.
//! Conveniences for callers are in [`KvBackendExt`]. For backends that must find out which watches a
//! change concerns there is [`Intervals`].

mod error;
mod ext;
mod intervals;
mod kv;
mod lease;
mod range;
mod txn;
mod watch;
mod wire_size;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

pub use self::error::{BackendError, BackendErrorKind};
pub use self::ext::KvBackendExt;
pub use self::intervals::Intervals;
pub use self::kv::{Event, EventKind, Header, KeyRange, KeyValue};
pub use self::lease::{Lease, LeaseTimeToLive};
pub use self::range::{RangeRequest, RangeResponse, SortOrder, SortTarget};
pub use self::txn::{
    Compare, CompareResult, CompareTarget, DeleteRequest, DeleteResponse, PutRequest, PutResponse,
    TxnOp, TxnOpResponse, TxnRequest, TxnResponse,
};
pub use self::watch::{WatchRequest, WatchResponse, Watcher};
use crate::{LeaseId, Revision};

/// A store with etcd's semantics.
///
/// # Contract
///
/// - **Atomicity.** A [`txn`](Self::txn) applies wholly, at one new revision, or not at all. A
///   transaction that changes no key takes no revision.
/// - **Linearizability.** `txn` with at least one operation, and [`range`](Self::range) unless
///   [`serializable`](RangeRequest::serializable), take effect at one point between call and
///   return.
/// - **No silent retry of writes.** A `txn` that may have reached the store is never sent again;
///   its failure has a kind for which
///   [`is_outcome_unknown`](BackendErrorKind::is_outcome_unknown) is true. A failure of any other
///   kind means: certainly not applied.
/// - **Validation.** What etcd refuses is refused, with the same kind, and nothing is applied.
/// - **Deadlines.** Every method but [`Watcher::next`] ends within the backend's own request
///   timeout.
///
/// The semantics of every field are etcd's; where this documentation and an etcd server disagree,
/// the server is right. The conformance suite in `tailetc-testkit` checks a backend against it.
///
/// # Clone
///
/// Backends are handles: a clone (or an [`Arc`]) talks to the same store.
///
/// # Cancel safety
///
/// Dropping any future is safe for the store. A dropped `txn` may have been applied or not.
///
/// # Wrappers
///
/// There are no default methods, so a wrapper that forgets one does not compile.
#[async_trait]
pub trait KvBackend: fmt::Debug + Send + Sync + 'static {
    /// What this store can do and the limits it enforces, as far as known now.
    fn capabilities(&self) -> Capabilities;

    /// Reads keys at one revision, in key order unless asked otherwise.
    ///
    /// # Errors
    ///
    /// [`Compacted`](BackendErrorKind::Compacted) below the compaction revision (at it is allowed),
    /// [`FutureRevision`](BackendErrorKind::FutureRevision) above the current one.
    async fn range(&self, request: RangeRequest) -> Result<RangeResponse, BackendError>;

    /// Evaluates all compares against one state and runs the operations of one branch, in order,
    /// at one revision. `succeeded == false` is not an error.
    ///
    /// A transaction without any operation may be answered from state that is out of date; one
    /// that validates reads must carry a range in both branches.
    ///
    /// # Errors
    ///
    /// [`TooManyOps`](BackendErrorKind::TooManyOps),
    /// [`DuplicateKey`](BackendErrorKind::DuplicateKey),
    /// [`RequestTooLarge`](BackendErrorKind::RequestTooLarge),
    /// [`LeaseNotFound`](BackendErrorKind::LeaseNotFound), or any outcome-unknown kind.
    async fn txn(&self, request: TxnRequest) -> Result<TxnResponse, BackendError>;

    /// Opens a watch and returns once the store has confirmed it.
    ///
    /// Every event on the range with `mod_revision >= start_revision` is delivered exactly once, in
    /// the order of (revision, position in the transaction). A start in the future is allowed and
    /// delivers nothing older.
    ///
    /// # Errors
    ///
    /// [`EmptyRange`](BackendErrorKind::EmptyRange) for a range without keys. A start below the
    /// compaction revision fails with [`Compacted`](BackendErrorKind::Compacted), here or at the
    /// first [`Watcher::next`].
    async fn watch(&self, request: WatchRequest) -> Result<Box<dyn Watcher>, BackendError>;

    /// Discards history below `revision`; the state at `revision` and later stays readable.
    ///
    /// # Errors
    ///
    /// [`Compacted`](BackendErrorKind::Compacted) at or below the compaction revision,
    /// [`FutureRevision`](BackendErrorKind::FutureRevision) above the current one.
    async fn compact(&self, revision: Revision) -> Result<Header, BackendError>;

    /// Creates a lease that lives for at least `ttl_seconds` after the last renewal. The store may
    /// raise the time (etcd: to 1.5 election timeouts, 2 s by default).
    ///
    /// # Errors
    ///
    /// [`LeaseExists`](BackendErrorKind::LeaseExists) if `id` is taken,
    /// [`LeaseTtlTooLarge`](BackendErrorKind::LeaseTtlTooLarge) above 9,000,000,000 s.
    async fn lease_grant(&self, id: LeaseId, ttl_seconds: i64) -> Result<Lease, BackendError>;

    /// Ends a lease and deletes its keys, in one revision.
    ///
    /// # Errors
    ///
    /// [`LeaseNotFound`](BackendErrorKind::LeaseNotFound).
    async fn lease_revoke(&self, id: LeaseId) -> Result<Header, BackendError>;

    /// Renews a lease once and returns it with its full time; `None` when it does not exist
    /// (any more), which etcd reports as a time of 0 and not as an error.
    ///
    /// # Errors
    ///
    /// Those of transport, and [`PermissionDenied`](BackendErrorKind::PermissionDenied) where a key
    /// on the lease is none that the user may write.
    async fn lease_keep_alive(&self, id: LeaseId) -> Result<Option<Lease>, BackendError>;

    /// The remaining time of a lease and, if asked for, its keys (in no order); `None` when it
    /// does not exist (any more), which etcd reports as a time of -1 and not as an error.
    ///
    /// # Errors
    ///
    /// Only of transport.
    async fn lease_time_to_live(
        &self,
        id: LeaseId,
        keys: bool,
    ) -> Result<Option<LeaseTimeToLive>, BackendError>;

    /// The identity, version and revision of the member that answers. The revision is that
    /// member's own and may be behind the cluster.
    ///
    /// # Errors
    ///
    /// Those of transport, and [`PermissionDenied`](BackendErrorKind::PermissionDenied): some etcd
    /// versions answer it to the root user alone. Nothing else may depend on it.
    async fn status(&self) -> Result<Status, BackendError>;
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<T: KvBackend + ?Sized> KvBackend for Arc<T> {
    fn capabilities(&self) -> Capabilities {
        (**self).capabilities()
    }

    async fn range(&self, request: RangeRequest) -> Result<RangeResponse, BackendError> {
        (**self).range(request).await
    }

    async fn txn(&self, request: TxnRequest) -> Result<TxnResponse, BackendError> {
        (**self).txn(request).await
    }

    async fn watch(&self, request: WatchRequest) -> Result<Box<dyn Watcher>, BackendError> {
        (**self).watch(request).await
    }

    async fn compact(&self, revision: Revision) -> Result<Header, BackendError> {
        (**self).compact(revision).await
    }

    async fn lease_grant(&self, id: LeaseId, ttl_seconds: i64) -> Result<Lease, BackendError> {
        (**self).lease_grant(id, ttl_seconds).await
    }

    async fn lease_revoke(&self, id: LeaseId) -> Result<Header, BackendError> {
        (**self).lease_revoke(id).await
    }

    async fn lease_keep_alive(&self, id: LeaseId) -> Result<Option<Lease>, BackendError> {
        (**self).lease_keep_alive(id).await
    }

    async fn lease_time_to_live(
        &self,
        id: LeaseId,
        keys: bool,
    ) -> Result<Option<LeaseTimeToLive>, BackendError> {
        (**self).lease_time_to_live(id, keys).await
    }

    async fn status(&self) -> Result<Status, BackendError> {
        (**self).status().await
    }
}

/// What a store can do, and its limits. A limit of the store is checked before a request is sent.
///
/// What a store says it lacks it refuses as [`Unsupported`](BackendErrorKind::Unsupported), and
/// nothing of the request is applied.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capabilities {
    /// The most compares, and the most operations in one branch, of a transaction. etcd's
    /// `--max-txn-ops`, 128 by default.
    pub max_txn_ops: usize,
    /// The largest write request in bytes: [`TxnRequest::encoded_len`] and up to 18 bytes more, in
    /// which etcd wraps it for its log. Reads are not limited by it. etcd's `--max-request-bytes`,
    /// 1,572,864 by default.
    pub max_request_bytes: usize,
    /// Whether [`WatchResponse::Progress`] in answer to [`Watcher::request_progress`] proves that
    /// every earlier event was delivered. False for etcd before 3.4.31 and 3.5.13
    /// (etcd issue 15220).
    pub reliable_progress: bool,
    /// Whether a watch that has reached exactly the compaction revision is sent the deletions made
    /// at it. False for etcd before 3.4.36 and 3.5.18 (etcd issues 18089 and 19179): there such a
    /// watch goes on without them, and says nothing.
    pub compaction_keeps_deletions: bool,
    /// Whether there are leases: the four methods about them, and puts with one.
    pub leases: bool,
    /// Whether a transaction may hold transactions.
    pub nested_txns: bool,
    /// Whether a range may be sorted ([`RangeRequest::sort_target`], [`RangeRequest::sort_order`])
    /// and filtered by [`max_mod_revision`](RangeRequest::max_mod_revision),
    /// [`min_create_revision`](RangeRequest::min_create_revision) and
    /// [`max_create_revision`](RangeRequest::max_create_revision).
    pub sorted_ranges: bool,
    /// Whether a watch may leave out puts or deletions ([`WatchRequest::no_put`],
    /// [`WatchRequest::no_delete`]).
    pub watch_filters: bool,
}

impl Default for Capabilities {
    fn default() -> Self {
        Self {
            max_txn_ops: 128,
            max_request_bytes: 1_572_864,
            reliable_progress: true,
            compaction_keeps_deletions: true,
            leases: true,
            nested_txns: true,
            sorted_ranges: true,
            watch_filters: true,
        }
    }
}

/// The identity and position of the member that answered [`KvBackend::status`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// Cluster, member, revision and raft term.
    pub header: Header,
    /// The server's version, such as `3.5.30`.
    pub version: String,
}

impl Status {
    /// A status.
    pub fn new(header: Header, version: impl Into<String>) -> Self {
        Self { header, version: version.into() }
    }
}
