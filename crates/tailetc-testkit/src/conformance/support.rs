//! Words for the cases: a store whose every call has a deadline, and expected pairs and events.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tailetc_core::backend::{
    BackendError, BackendErrorKind, Capabilities, Compare, CompareResult, CompareTarget,
    DeleteRequest, DeleteResponse, Event, EventKind, Header, KeyRange, KeyValue, KvBackend, Lease,
    LeaseTimeToLive, PutRequest, PutResponse, RangeRequest, RangeResponse, TxnOp, TxnOpResponse,
    TxnRequest, TxnResponse,
};
use tailetc_core::{LeaseId, Revision};
use tokio::task::JoinHandle;

/// How long a case waits for any one thing.
pub(super) const DEADLINE: Duration = Duration::from_secs(10);

/// How long it waits for a task that calls the store many times, each time within [`DEADLINE`].
const TASK_DEADLINE: Duration = Duration::from_secs(60);

/// etcd's texts, from `api/v3rpc/rpctypes/error.go`.
pub(super) mod text {
    pub(in super::super) const COMPACTED: &str =
        "etcdserver: mvcc: required revision has been compacted";
    pub(in super::super) const DUPLICATE_KEY: &str =
        "etcdserver: duplicate key given in txn request";
    pub(in super::super) const EMPTY_KEY: &str = "etcdserver: key is not provided";
    pub(in super::super) const FUTURE: &str =
        "etcdserver: mvcc: required revision is a future revision";
    pub(in super::super) const KEY_NOT_FOUND: &str = "etcdserver: key not found";
    pub(in super::super) const LEASE_EXISTS: &str = "etcdserver: lease already exists";
    pub(in super::super) const LEASE_NOT_FOUND: &str = "etcdserver: requested lease not found";
    pub(in super::super) const LEASE_PROVIDED: &str = "etcdserver: lease is provided";
    pub(in super::super) const LEASE_TTL: &str = "etcdserver: too large lease TTL";
    pub(in super::super) const TOO_LARGE: &str = "etcdserver: request is too large";
    pub(in super::super) const TOO_MANY_OPS: &str =
        "etcdserver: too many operations in txn request";
    pub(in super::super) const VALUE_PROVIDED: &str = "etcdserver: value is provided";
}

/// Waits for `future`, and fails the case with `what` when the deadline passes.
pub(super) async fn within<T>(what: impl fmt::Display, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(DEADLINE, future).await {
        Ok(output) => output,
        Err(_) => panic!("waited {DEADLINE:?} for {what}"),
    }
}

/// Waits for a task that does much, and fails the case if the task does.
pub(super) async fn joined<T>(what: impl fmt::Display, task: JoinHandle<T>) -> T {
    match tokio::time::timeout(TASK_DEADLINE, task).await {
        Ok(Ok(output)) => output,
        Ok(Err(error)) => panic!("{what} failed: {error}"),
        Err(_) => panic!("waited {TASK_DEADLINE:?} for {what}"),
    }
}

/// What a call gave; fails the case if it was refused.
pub(super) fn accepted<T>(what: impl fmt::Display, result: Result<T, BackendError>) -> T {
    match result {
        Ok(answer) => answer,
        Err(error) => panic!("{what} failed: {:?}: {error}", error.kind()),
    }
}

/// Fails the case unless `result` is this very refusal, in etcd's words.
pub(super) fn refused<T: fmt::Debug>(
    result: Result<T, BackendError>,
    kind: BackendErrorKind,
    text: &str,
) {
    match result {
        Ok(answer) => panic!("must be refused as {kind:?}, gave {answer:?}"),
        Err(error) => {
            assert_eq!((error.kind(), error.message()), (kind, text));
        }
    }
}

/// Like [`refused`] for a compacted revision, of which the store may or may not name the bound.
pub(super) fn refused_as_compacted<T: fmt::Debug>(result: Result<T, BackendError>, bound: i64) {
    match result {
        Ok(answer) => panic!("must be refused as compacted, gave {answer:?}"),
        Err(error) => {
            let BackendErrorKind::Compacted { compact_revision } = error.kind() else {
                panic!("must be Compacted: {:?}: {error}", error.kind());
            };
            assert!(
                compact_revision.is_zero() || compact_revision == rev(bound),
                "compact_revision is {compact_revision}, must be {bound} or unknown"
            );
            assert_eq!(error.message(), text::COMPACTED);
        }
    }
}

/// The store under test.
#[derive(Clone, Debug)]
pub(super) struct Store(Arc<dyn KvBackend>);

impl Store {
    pub(super) fn new(backend: Arc<dyn KvBackend>) -> Self {
        Self(backend)
    }

    pub(super) fn backend(&self) -> &dyn KvBackend {
        &*self.0
    }

    pub(super) fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }

    pub(super) async fn try_txn(&self, txn: TxnRequest) -> Result<TxnResponse, BackendError> {
        within("a transaction", self.0.txn(txn)).await
    }

    pub(super) async fn txn(&self, txn: TxnRequest) -> TxnResponse {
        accepted("a transaction", self.try_txn(txn).await)
    }

    /// Runs the operations without any condition.
    pub(super) async fn run(&self, ops: impl IntoIterator<Item = TxnOp>) -> TxnResponse {
        self.txn(TxnRequest::new(ops)).await
    }

    pub(super) async fn try_run(
        &self,
        ops: impl IntoIterator<Item = TxnOp>,
    ) -> Result<TxnResponse, BackendError> {
        self.try_txn(TxnRequest::new(ops)).await
    }

    /// Writes one key and returns the revision in the answer's header.
    pub(super) async fn put(&self, key: impl Into<Bytes>, value: impl Into<Bytes>) -> Revision {
        self.run([put(key, value)]).await.header.revision
    }

    pub(super) async fn put_with_lease(&self, key: &'static str, lease: LeaseId) -> Revision {
        let request = PutRequest::new(key, "leased").with_lease(lease);
        self.run([request.into()]).await.header.revision
    }

    /// Deletes keys; how many there were, and the revision in the answer's header.
    pub(super) async fn delete(&self, range: KeyRange) -> (i64, Revision) {
        let response = self.run([delete(range)]).await;
        (deleted(&response, 0).deleted, response.header.revision)
    }

    pub(super) async fn try_range(
        &self,
        request: RangeRequest,
    ) -> Result<RangeResponse, BackendError> {
        within("a range", self.0.range(request)).await
    }

    pub(super) async fn range(&self, request: RangeRequest) -> RangeResponse {
        accepted("a range", self.try_range(request).await)
    }

    pub(super) async fn all(&self) -> RangeResponse {
        self.range(RangeRequest::new(KeyRange::all())).await
    }

    pub(super) async fn get(&self, key: impl Into<Bytes>) -> Option<KeyValue> {
        let mut kvs = self.range(RangeRequest::new(KeyRange::key(key))).await.kvs.into_iter();
        let first = kvs.next();
        assert_eq!(kvs.next(), None, "one key, two pairs");
        first
    }

    /// The one pair of a key that must exist.
    pub(super) async fn existing(&self, key: &'static str) -> KeyValue {
        match self.get(key).await {
            Some(kv) => kv,
            None => panic!("key {key} must exist"),
        }
    }

    /// The store's current revision, linearizable.
    pub(super) async fn revision(&self) -> Revision {
        self.range(RangeRequest::new(KeyRange::key("nobody"))).await.header.revision
    }

    /// Fails the case unless the transaction is refused so and leaves no trace.
    pub(super) async fn refuses(&self, txn: TxnRequest, kind: BackendErrorKind, text: &str) {
        let before = self.all().await;
        refused(self.try_txn(txn).await, kind, text);
        assert_eq!(self.all().await, before, "a refused transaction changes nothing");
    }

    pub(super) async fn try_compact(&self, revision: i64) -> Result<Header, BackendError> {
        within("a compaction", self.0.compact(rev(revision))).await
    }

    pub(super) async fn compact(&self, revision: i64) -> Header {
        accepted("a compaction", self.try_compact(revision).await)
    }

    pub(super) async fn try_grant(&self, id: i64, ttl_seconds: i64) -> Result<Lease, BackendError> {
        let id = LeaseId::new(id);
        within("a lease grant", self.0.lease_grant(id, ttl_seconds)).await
    }

    pub(super) async fn grant(&self, id: i64, ttl_seconds: i64) -> Lease {
        accepted("a lease grant", self.try_grant(id, ttl_seconds).await)
    }

    pub(super) async fn try_revoke(&self, id: LeaseId) -> Result<Header, BackendError> {
        within("a lease revocation", self.0.lease_revoke(id)).await
    }

    pub(super) async fn revoke(&self, id: LeaseId) -> Header {
        accepted("a lease revocation", self.try_revoke(id).await)
    }

    pub(super) async fn keep_alive(&self, id: LeaseId) -> Option<Lease> {
        accepted("a keep-alive", within("a keep-alive", self.0.lease_keep_alive(id)).await)
    }

    pub(super) async fn time_to_live(&self, id: LeaseId) -> Option<LeaseTimeToLive> {
        accepted(
            "a time-to-live",
            within("a time-to-live", self.0.lease_time_to_live(id, true)).await,
        )
    }

    /// The keys attached to a lease that must exist, sorted.
    pub(super) async fn keys_of(&self, id: LeaseId) -> Vec<Bytes> {
        let Some(mut left) = self.time_to_live(id).await else {
            panic!("lease {id} must exist");
        };
        left.keys.sort();
        left.keys
    }
}

pub(super) const fn rev(revision: i64) -> Revision {
    Revision::new(revision)
}

pub(super) fn put(key: impl Into<Bytes>, value: impl Into<Bytes>) -> TxnOp {
    PutRequest::new(key, value).into()
}

pub(super) fn delete(range: KeyRange) -> TxnOp {
    DeleteRequest::new(range).into()
}

pub(super) fn delete_key(key: &'static str) -> TxnOp {
    delete(KeyRange::key(key))
}

pub(super) fn read(key: &'static str) -> TxnOp {
    RangeRequest::new(KeyRange::key(key)).into()
}

/// A nested transaction without conditions.
pub(super) fn nested(ops: impl IntoIterator<Item = TxnOp>) -> TxnOp {
    TxnRequest::new(ops).into()
}

pub(super) fn exists(key: &'static str) -> Compare {
    Compare::new(
        KeyRange::key(key),
        CompareTarget::CreateRevision(Revision::ZERO),
        CompareResult::NotEqual,
    )
}

pub(super) fn absent(key: &'static str) -> Compare {
    Compare::mod_revision(key, Revision::ZERO)
}

/// The answer to the range at `index` of the branch that ran.
pub(super) fn ranged(response: &TxnResponse, index: usize) -> &RangeResponse {
    match response.responses.get(index) {
        Some(TxnOpResponse::Range(range)) => range,
        other => panic!("response {index} must be that of a range: {other:?}"),
    }
}

pub(super) fn written(response: &TxnResponse, index: usize) -> &PutResponse {
    match response.responses.get(index) {
        Some(TxnOpResponse::Put(put)) => put,
        other => panic!("response {index} must be that of a put: {other:?}"),
    }
}

pub(super) fn deleted(response: &TxnResponse, index: usize) -> &DeleteResponse {
    match response.responses.get(index) {
        Some(TxnOpResponse::Delete(delete)) => delete,
        other => panic!("response {index} must be that of a deletion: {other:?}"),
    }
}

pub(super) fn inner(response: &TxnResponse, index: usize) -> &TxnResponse {
    match response.responses.get(index) {
        Some(TxnOpResponse::Txn(txn)) => txn,
        other => panic!("response {index} must be that of a transaction: {other:?}"),
    }
}

pub(super) fn keys(kvs: &[KeyValue]) -> Vec<Bytes> {
    kvs.iter().map(|kv| kv.key.clone()).collect()
}

/// An expected pair without a lease.
pub(super) fn pair(
    key: impl Into<Bytes>,
    value: impl Into<Bytes>,
    create_revision: i64,
    mod_revision: i64,
    version: i64,
) -> KeyValue {
    KeyValue {
        key: key.into(),
        value: value.into(),
        create_revision: rev(create_revision),
        mod_revision: rev(mod_revision),
        version,
        lease: LeaseId::NONE,
    }
}

/// An expected event.
pub(super) fn put_event(kv: KeyValue) -> Event {
    Event { kind: EventKind::Put, kv, prev_kv: None }
}

/// An expected event: of a deletion, only key and revision are set.
pub(super) fn delete_event(key: impl Into<Bytes>, revision: i64) -> Event {
    Event { kind: EventKind::Delete, kv: pair(key, "", 0, revision, 0), prev_kv: None }
}

pub(super) fn with_prev(mut event: Event, prev_kv: KeyValue) -> Event {
    event.prev_kv = Some(prev_kv);
    event
}
