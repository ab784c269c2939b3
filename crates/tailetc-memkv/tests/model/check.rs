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
use crate::requests::{Action, Patience};

pub(crate) struct Pair {
    store: MemKv,
    /// Does the same and leaves nothing for later.
    twin: MemKv,
    clock: ManualClock,
    model: Naive,
    watches: Vec<(Box<dyn Watcher>, Follower)>,
    buffer: usize,
    /// Whether all revisions are compared in the end alone.
    looks_seldom: bool,
}

impl Pair {
    pub(crate) fn new(
        [store, twin]: [MemKv; 2],
        clock: ManualClock,
        buffer: usize,
        version: EtcdVersion,
        looks_seldom: bool,
    ) -> Self {
        let options = MemKv::builder();
        let identity = Header {
            cluster_id: options.cluster_id,
            member_id: options.member_id,
            revision: Revision::ZERO,
            raft_term: options.raft_term,
        };
        let model = Naive::new(identity, version);
        Self { store, twin, clock, model, watches: Vec::new(), buffer, looks_seldom }
    }

    pub(crate) async fn step(&mut self, action: Action) {
        step_of_twin(&self.twin, action.clone()).await;
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
            Action::Txn(request, patience) => {
                let expected = model.txn(&request);
                answered(store.txn(request), expected, patience).await;
            }
            Action::Compact(revision, patience) => {
                let expected = model.compact(revision);
                answered(store.compact(revision), expected, patience).await;
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
            Action::Revoke(id, patience) => {
                let expected = model.revoke(id);
                answered(store.lease_revoke(id), expected, patience).await;
            }
            Action::Measure => self.measure(),
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
        // Every look does some of what is left to do.
        if !self.looks_seldom {
            compare_states(&self.store, &self.model).await;
        }
    }

    /// Compares what there is no model of.
    fn measure(&self) {
        for revision in (0..=self.model.current() + 1).rev().map(Revision::new) {
            let hashes = [&self.store, &self.twin].map(|store| store.hash_kv(revision));
            let [hash, expected] = hashes.map(|hash| hash.map_err(|error| error.kind()));
            assert_eq!(hash, expected);
        }
        let [mut status, mut expected] = [&self.store, &self.twin].map(MemKv::full_status);
        (status.raft_index, expected.raft_index) = (0, 0);
        (status.raft_applied_index, expected.raft_applied_index) = (0, 0);
        assert_eq!(status, expected);
    }

    pub(crate) async fn end(&mut self) {
        compare_states(&self.store, &self.model).await;
        self.measure();
        self.drain();
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

    fn drain(&mut self) {
        for which in (0..self.watches.len()).rev() {
            self.drain_one(which);
        }
    }
}

/// An answer that does not come at once is that to a request that has taken effect, waited for or
/// not.
async fn answered<T: Debug + PartialEq>(
    mut answer: impl Future<Output = Result<T, BackendError>> + Unpin,
    expected: Result<T, BackendErrorKind>,
    patience: Patience,
) {
    match poll_now(&mut answer) {
        Poll::Ready(answer) => same(answer, expected),
        Poll::Pending if patience == Patience::Drops => assert!(expected.is_ok()),
        Poll::Pending => same(answer.await, expected),
    }
}

async fn step_of_twin(twin: &MemKv, action: Action) {
    match action {
        Action::Put(put) => drop(twin.plain_put(&put)),
        Action::Delete(delete) => drop(twin.plain_delete(&delete)),
        Action::Txn(request, _) => drop(twin.txn(request).await),
        Action::Compact(revision, _) => drop(twin.compact(revision).await),
        Action::Grant(id, ttl) => drop(twin.lease_grant(id, ttl).await),
        Action::KeepAlive(id) => drop(twin.lease_keep_alive(id).await),
        Action::Revoke(id, _) => drop(twin.lease_revoke(id).await),
        Action::Range(_)
        | Action::Watch(_)
        | Action::Drain(_)
        | Action::RequestProgress(_)
        | Action::Advance(_)
        | Action::Measure => {}
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

fn poll_now<T>(future: impl Future<Output = T>) -> Poll<T> {
    pin!(unconstrained(future)).poll(&mut Context::from_waker(Waker::noop()))
}

/// More than it takes to do all that is left to do.
const POLLS: usize = 100;

fn next_now(watcher: &mut dyn Watcher) -> Expected {
    let mut next = watcher.next();
    let polls = (0..POLLS).map(|_| poll_now(&mut next));
    match polls.into_iter().find(Poll::is_ready).unwrap_or(Poll::Pending) {
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
