//! Short words for the tests.

use tailetc_core::Revision;
use tailetc_core::backend::{
    Event, KeyRange, KvBackend, KvBackendExt, PutRequest, TxnOp, TxnRequest, WatchRequest,
};

use crate::store::{CreateRequest, StreamRequest, StreamResponse};
use crate::stream::MemStream;
use crate::{MemKv, MemKvOptions};

pub(super) fn rev(revision: i64) -> Revision {
    Revision::new(revision)
}

/// Every key, from `start` on.
pub(super) fn all(start: i64) -> WatchRequest {
    WatchRequest::new(KeyRange::all(), rev(start))
}

/// One key, from `start` on.
pub(super) fn one(key: &'static str, start: i64) -> WatchRequest {
    WatchRequest::new(KeyRange::key(key), rev(start))
}

pub(super) fn imitating(version: &str) -> MemKvOptions {
    MemKv::builder().with_imitate(version.parse().expect("a version"))
}

pub(super) async fn put(kv: &MemKv, key: &'static str) {
    kv.put(PutRequest::new(key, "")).await.expect("a put");
}

pub(super) async fn put_many(kv: &MemKv, key: &'static str, count: usize) {
    for _ in 0..count {
        put(kv, key).await;
    }
}

pub(super) async fn delete(kv: &MemKv, key: &'static str) {
    kv.delete(KeyRange::key(key)).await.expect("a deletion");
}

/// Puts all of `keys` at one revision.
pub(super) async fn put_together(kv: &MemKv, keys: &[&'static str]) {
    let puts = keys.iter().map(|key| TxnOp::from(PutRequest::new(*key, "")));
    kv.txn(TxnRequest::new(puts.collect::<Vec<_>>())).await.expect("a transaction");
}

pub(super) async fn compact(kv: &MemKv, revision: i64) {
    kv.compact(rev(revision)).await.expect("a compaction");
}

/// A response in short; every field that is not named has its default.
#[derive(Debug, PartialEq)]
pub(super) enum Seen {
    /// With id and revision.
    Created(i64, i64),
    /// With revision and reason.
    NotCreated(i64, &'static str),
    /// On request; with id and revision.
    Canceled(i64, i64),
    /// With id and compaction revision.
    Compacted(i64, i64),
    /// With id and revision.
    Progress(i64, i64),
    /// With id, revision, and the revisions of the events.
    Events(i64, i64, Vec<i64>),
    /// The same, with more to come.
    Fragment(i64, i64, Vec<i64>),
}

pub(super) fn seen(response: &StreamResponse, kv: &MemKv) -> Seen {
    let StreamResponse {
        header,
        watch_id,
        created,
        canceled,
        compact_revision,
        cancel_reason,
        fragment,
        events,
    } = response;
    let options = &kv.shared.options;
    assert_eq!(
        (header.cluster_id, header.member_id, header.raft_term),
        (options.cluster_id, options.member_id, options.raft_term)
    );
    let (id, revision, compacted) = (*watch_id, header.revision.get(), compact_revision.get());
    let revisions: Vec<i64> = events.iter().map(|event| event.revision().get()).collect();
    let flags = (*created, *canceled, *fragment);
    match (flags, compacted, *cancel_reason, revisions.is_empty()) {
        ((true, false, false), 0, "", true) => Seen::Created(id, revision),
        ((true, true, false), 0, reason, true) if id == -1 => Seen::NotCreated(revision, reason),
        ((false, true, false), 0, "", true) => Seen::Canceled(id, revision),
        ((false, true, false), compacted, "", true) if revision == 0 => {
            Seen::Compacted(id, compacted)
        }
        ((false, false, false), 0, "", true) => Seen::Progress(id, revision),
        ((false, false, false), 0, "", false) => Seen::Events(id, revision, revisions),
        ((false, false, true), 0, "", false) => Seen::Fragment(id, revision, revisions),
        _ => panic!("not a response of etcd: {response:?}"),
    }
}

/// The client of a stream.
pub(super) struct Client {
    kv: MemKv,
    pub(super) stream: MemStream,
}

impl Client {
    pub(super) fn of(kv: &MemKv) -> Self {
        Self { kv: kv.clone(), stream: MemStream::open(&kv.shared) }
    }

    /// A client with a watcher for each of `requests`, which were confirmed.
    pub(super) fn watching(kv: &MemKv, requests: impl IntoIterator<Item = WatchRequest>) -> Self {
        let client = Self::of(kv);
        for request in requests {
            client.create(0, request);
            assert!(client.next().is_some_and(|created| matches!(created, Seen::Created(..))));
        }
        client
    }

    pub(super) fn create(&self, watch_id: i64, watch: WatchRequest) {
        let request = CreateRequest { watch, watch_id, fragment: false };
        self.stream.request_now(StreamRequest::Create(request));
    }

    pub(super) fn create_fragmented(&self, watch: WatchRequest) {
        let request = CreateRequest { watch, watch_id: 0, fragment: true };
        self.stream.request_now(StreamRequest::Create(request));
    }

    pub(super) fn cancel(&self, watch_id: i64) {
        self.stream.request_now(StreamRequest::Cancel(watch_id));
    }

    pub(super) fn request_progress(&self) {
        self.stream.request_now(StreamRequest::Progress);
    }

    pub(super) fn next(&self) -> Option<Seen> {
        self.stream.try_next().map(|response| seen(&response, &self.kv))
    }

    /// All that there is now.
    pub(super) fn rest(&self) -> Vec<Seen> {
        std::iter::from_fn(|| self.next()).collect()
    }

    /// The events of the next response.
    pub(super) fn events(&self) -> Vec<Event> {
        self.stream.try_next().expect("a response").events
    }
}
