//! The store and the model side by side.

use std::fmt::Debug;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tailetc_core::backend::{
    BackendError, BackendErrorKind, Header, KeyRange, KvBackend, RangeRequest, WatchRequest,
    WatchResponse, Watcher,
};
use tailetc_core::{LeaseId, Revision};
use tailetc_memkv::{EtcdVersion, ManualClock, MemKv};
use tokio::task::coop::unconstrained;

use crate::follower::{Expected, Follower};
use crate::naive::Naive;
use crate::requests::Action;

pub(crate) struct Pair {
    store: MemKv,
    clock: ManualClock,
    model: Naive,
    watches: Vec<(Box<dyn Watcher>, Follower)>,
    buffer: usize,
}

impl Pair {
    pub(crate) fn new(
        store: MemKv,
        clock: ManualClock,
        buffer: usize,
        version: EtcdVersion,
    ) -> Self {
        let options = MemKv::builder();
        let identity = Header {
            cluster_id: options.cluster_id,
            member_id: options.member_id,
            revision: Revision::ZERO,
            raft_term: options.raft_term,
        };
        Self { store, clock, model: Naive::new(identity, version), watches: Vec::new(), buffer }
    }

    pub(crate) async fn step(&mut self, action: Action) {
        let (store, model) = (&self.store, &mut self.model);
        match action {
            Action::Range(request) => {
                let expected = model.range(&request);
                same(store.range(request).await, expected);
            }
            Action::Put(put) => {
                let expected = model.put(&put);
                same(store.plain_put(&put), expected);
            }
            Action::Delete(delete) => {
                let expected = model.delete(&delete);
                same(store.plain_delete(&delete), expected);
            }
            Action::Txn(request) => {
                let expected = model.txn(&request);
                same(store.txn(request).await, expected);
            }
            Action::Compact(revision) => {
                let expected = model.compact(revision);
                same(store.compact(revision).await, expected);
            }
            Action::Grant(id, ttl) => {
                let granted = store.lease_grant(id, ttl).await;
                same(granted.map(|lease| (lease.header, lease.ttl_seconds)), model.grant(id, ttl));
            }
            Action::KeepAlive(id) => {
                let renewed = store.lease_keep_alive(id).await.expect("no transport");
                assert_eq!(renewed.map(|lease| lease.ttl_seconds), model.keep_alive(id));
            }
            Action::Advance(seconds) => {
                self.clock.advance(Duration::from_secs(seconds));
                model.advance(seconds);
            }
            Action::Revoke(id) => same(store.lease_revoke(id).await, model.revoke(id)),
            Action::Watch(request) => self.watch(request).await,
            Action::Drain(which) => self.drain_one(which),
            Action::RequestProgress(which) => {
                let count = self.watches.len().max(1);
                if let Some((watcher, follower)) = self.watches.get_mut(which % count) {
                    watcher.request_progress().await.expect("no transport");
                    follower.request_progress(model);
                }
            }
        }
        for (_, follower) in &mut self.watches {
            follower.advance(&self.model);
        }
        compare_states(&self.store, &self.model).await;
    }

    async fn watch(&mut self, request: WatchRequest) {
        let (start, range) = (request.start_revision, request.range.clone());
        let empty = !range.is_single_key()
            && !range.is_from_key()
            && range.start().max(&"\0".into()) >= range.range_end();
        match self.store.watch(request.clone()).await {
            Ok(watcher) => {
                assert!(start >= Revision::ZERO && !empty);
                let follower = Follower::new(&request, &self.model, self.buffer);
                self.watches.push((watcher, follower));
            }
            Err(error) if start < Revision::ZERO => {
                let compact_revision = Revision::ZERO;
                assert_eq!(error.kind(), BackendErrorKind::Compacted { compact_revision });
            }
            Err(error) => assert!(empty && error.kind() == BackendErrorKind::EmptyRange),
        }
    }

    /// Reads a watch until it has nothing more.
    fn drain_one(&mut self, which: usize) {
        if self.watches.is_empty() {
            return;
        }
        let which = which % self.watches.len();
        let (watcher, follower) = &mut self.watches[which];
        loop {
            let expected = follower.expect(&self.model);
            assert_eq!(next_now(&mut **watcher), expected);
            match expected {
                Expected::Nothing => return,
                Expected::Compacted(_) => break,
                Expected::Events(..) | Expected::Progress(_) => {}
            }
        }
        self.watches.remove(which);
    }

    pub(crate) fn drain(&mut self) {
        for which in (0..self.watches.len()).rev() {
            self.drain_one(which);
        }
    }
}

/// Compares all revisions, and those beyond both ends, and what is attached to the leases.
async fn compare_states(store: &MemKv, model: &Naive) {
    for revision in 0..=model.current() + 1 {
        let request = RangeRequest::new(KeyRange::all()).with_revision(Revision::new(revision));
        let expected = model.range(&request);
        same(store.range(request).await, expected);
    }
    for id in (1..4).map(LeaseId::new) {
        let left = store.lease_time_to_live(id, true).await;
        let left = left.expect("no transport").map(|left| (left.ttl_seconds, left.keys));
        assert_eq!(left, model.lease(id));
    }
}

#[track_caller]
fn same<T: Debug + PartialEq>(
    actual: Result<T, BackendError>,
    expected: Result<T, BackendErrorKind>,
) {
    assert_eq!(actual.map_err(|error| error.kind()), expected);
}

fn next_now(watcher: &mut dyn Watcher) -> Expected {
    let mut context = Context::from_waker(Waker::noop());
    match pin!(unconstrained(watcher.next())).poll(&mut context) {
        Poll::Pending => Expected::Nothing,
        Poll::Ready(Ok(WatchResponse::Events { header, events })) => {
            Expected::Events(header.revision.get(), events)
        }
        Poll::Ready(Ok(WatchResponse::Progress { header })) => {
            Expected::Progress(header.revision.get())
        }
        Poll::Ready(Ok(other)) => panic!("unknown: {other:?}"),
        Poll::Ready(Err(error)) => match error.kind() {
            BackendErrorKind::Compacted { compact_revision } => {
                Expected::Compacted(compact_revision.get())
            }
            kind => panic!("not an error of a watch: {kind:?}"),
        },
    }
}
