//! Short words for the tests.

use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use tailetc_core::backend::{
    BackendError, BackendErrorKind, DeleteRequest, Event, EventKind, Header, KeyRange, KeyValue,
    KvBackend, KvBackendExt, PutRequest, RangeRequest, RangeResponse, TxnOp, TxnRequest,
    WatchRequest, WatchResponse, Watcher,
};
use tailetc_core::{LeaseId, Revision};
use tailetc_memkv::MemKv;
use tokio::task::coop::unconstrained;

pub(crate) fn rev(revision: i64) -> Revision {
    Revision::new(revision)
}

pub(crate) fn lease(id: i64) -> LeaseId {
    LeaseId::new(id)
}

pub(crate) fn put(key: &'static str, value: &'static str) -> TxnOp {
    PutRequest::new(key, value).into()
}

pub(crate) fn delete(range: KeyRange) -> TxnOp {
    DeleteRequest::new(range).into()
}

pub(crate) fn get(key: &'static str) -> TxnOp {
    RangeRequest::new(KeyRange::key(key)).into()
}

/// A store like a server of `version`.
pub(crate) fn imitating(version: &str) -> MemKv {
    MemKv::builder().with_imitate(version.parse().expect("a release")).build()
}

/// Puts and returns the revision.
pub(crate) async fn write(kv: &MemKv, key: &'static str, value: &'static str) -> i64 {
    let revision = kv.put(PutRequest::new(key, value)).await;
    revision.expect("a put").get()
}

pub(crate) async fn erase(kv: &MemKv, key: &'static str) -> i64 {
    let deleted = kv.delete(KeyRange::key(key)).await;
    deleted.expect("a deletion").1.get()
}

pub(crate) async fn read(kv: &MemKv, key: &'static str) -> Option<KeyValue> {
    kv.get(key.into()).await.expect("a read")
}

pub(crate) async fn read_at(
    kv: &MemKv,
    range: KeyRange,
    revision: i64,
) -> Result<RangeResponse, BackendError> {
    kv.range(RangeRequest::new(range).with_revision(rev(revision))).await
}

pub(crate) async fn current(kv: &MemKv) -> i64 {
    kv.status().await.expect("a status").header.revision.get()
}

pub(crate) fn keys(kvs: &[KeyValue]) -> Vec<&[u8]> {
    kvs.iter().map(|kv| &kv.key[..]).collect()
}

pub(crate) fn kv(key: &str, value: &str, create: i64, modified: i64, version: i64) -> KeyValue {
    KeyValue {
        key: Bytes::copy_from_slice(key.as_bytes()),
        value: Bytes::copy_from_slice(value.as_bytes()),
        create_revision: rev(create),
        mod_revision: rev(modified),
        version,
        lease: LeaseId::NONE,
    }
}

pub(crate) fn put_event(kv: KeyValue) -> Event {
    Event { kind: EventKind::Put, kv, prev_kv: None }
}

pub(crate) fn delete_event(key: &'static str, revision: i64) -> Event {
    Event {
        kind: EventKind::Delete,
        kv: KeyValue { key: key.into(), mod_revision: rev(revision), ..KeyValue::default() },
        prev_kv: None,
    }
}

pub(crate) async fn watch(kv: &MemKv, range: KeyRange, start: i64) -> Box<dyn Watcher> {
    open(kv, WatchRequest::new(range, rev(start))).await
}

pub(crate) async fn open(kv: &MemKv, request: WatchRequest) -> Box<dyn Watcher> {
    kv.watch(request).await.expect("a watch")
}

/// The next response, which must be events.
pub(crate) async fn events(watcher: &mut dyn Watcher) -> (Header, Vec<Event>) {
    match watcher.next().await.expect("a response") {
        WatchResponse::Events { header, events } => (header, events),
        other => panic!("not events: {other:?}"),
    }
}

/// The revision of the header and those of the events.
pub(crate) async fn event_revisions(watcher: &mut dyn Watcher) -> (i64, Vec<i64>) {
    let (header, events) = events(watcher).await;
    let revisions = events.iter().map(|event| event.revision().get());
    (header.revision.get(), revisions.collect())
}

/// The next response, which must be progress.
pub(crate) async fn progress(watcher: &mut dyn Watcher) -> i64 {
    match watcher.next().await.expect("a response") {
        WatchResponse::Progress { header } => header.revision.get(),
        other => panic!("not progress: {other:?}"),
    }
}

/// Nothing comes, for a (simulated) while.
pub(crate) async fn assert_silent(watcher: &mut dyn Watcher) {
    let next = tokio::time::timeout(Duration::from_millis(100), watcher.next()).await;
    assert!(next.is_err(), "{next:?}");
}

#[track_caller]
pub(crate) fn assert_refused<T: std::fmt::Debug>(
    result: Result<T, BackendError>,
    kind: BackendErrorKind,
    message: &str,
) {
    let error = result.expect_err("refused");
    assert_eq!((error.kind(), error.message()), (kind, message));
}

/// Submits `request`, which must be refused with `kind` and change nothing.
pub(crate) async fn assert_txn_refused(kv: &MemKv, request: TxnRequest, kind: BackendErrorKind) {
    let before = current(kv).await;
    let error = kv.txn(request).await.expect_err("refused");
    assert_eq!(error.kind(), kind, "{error}");
    assert_eq!(current(kv).await, before);
}

/// Polls once, and drops what is not ready then.
pub(crate) fn poll_now<T>(future: impl Future<Output = T>) -> Poll<T> {
    pin!(unconstrained(future)).poll(&mut Context::from_waker(Waker::noop()))
}
