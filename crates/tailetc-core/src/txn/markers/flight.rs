//! One commit's use of a marker.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, sleep};

use super::{Markers, Slot};
use crate::Revision;
use crate::backend::{
    BackendError, BackendErrorKind, Compare, Header, KeyRange, KeyValue, KvBackend, PutRequest,
    RangeRequest, TxnOpResponse, TxnRequest, TxnResponse,
};
use crate::tail::in_time;

/// The pauses between attempts to reach the store.
const PAUSE: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// How many times a fence can be tried within the time there is, if it is never answered.
const TRIES: u32 = 4;

/// A marker in use. When it is dropped, the marker is free again.
#[derive(Debug)]
pub(in crate::txn) struct Flight<'m> {
    markers: &'m Markers,
    /// None only while it is dropped.
    slot: Option<Slot>,
    /// The marker's `mod_revision` before the commit.
    before: Revision,
    sequence: Bytes,
}

/// What became of a commit that was not answered.
#[derive(Clone, Copy, Debug)]
pub(in crate::txn) enum Resolution {
    /// It was applied, at the header's revision.
    Applied(Header),
    /// It was not applied and cannot be any more.
    NotApplied,
    /// The store could not be reached in time, or the marker is gone.
    Unknown,
}

impl<'m> Flight<'m> {
    pub(super) fn new(markers: &'m Markers, slot: Slot, sequence: u64) -> Self {
        let before = slot.last.unwrap_or_default();
        Self { markers, slot: Some(slot), before, sequence: sequence.to_string().into() }
    }

    /// Makes sure that no earlier commit can still reach the marker: one whose future was dropped,
    /// or whose outcome stayed unknown, demands a `mod_revision` that is replaced here.
    pub(super) async fn settle(&mut self, backend: &dyn KvBackend) -> Result<(), BackendError> {
        if self.slot.as_ref().is_none_or(|slot| slot.last.is_some()) {
            return Ok(());
        }
        // The earlier commit may arrive between the look and the put, but only once.
        for _ in 0..2 {
            let found = in_time(self.markers.limit, backend.range(self.look())).await?;
            self.before = found.kvs.first().map_or(Revision::ZERO, |kv| kv.mod_revision);
            let settled = in_time(self.markers.limit, backend.txn(self.fence())).await?;
            if settled.succeeded {
                self.before = settled.header.revision;
                self.landed(self.before);
                return Ok(());
            }
        }
        Err(BackendError::new(BackendErrorKind::Unavailable, "the commit marker does not settle"))
    }

    /// Adds the marker to a commit. From now on the commit is taken to be on its way.
    pub(in crate::txn) fn mark(&mut self, request: &mut TxnRequest) {
        request.compares.push(self.demand());
        request.success.push(self.put(self.sequence.clone()).into());
        request.failure.push(self.look().into());
        if let Some(slot) = &mut self.slot {
            slot.last = None;
        }
    }

    /// Takes note of the commit's success.
    pub(in crate::txn) fn succeeded(&mut self, revision: Revision) {
        self.landed(revision);
    }

    /// Takes note that the store refused the commit, whose marker is as it was.
    pub(in crate::txn) fn refused(&mut self) {
        self.landed(self.before);
    }

    /// Whether the answer to a commit whose demands did not hold says that the marker's was one of
    /// them: it was tampered with, or has gone with its lease. No marker of that lease can be used
    /// any more.
    pub(in crate::txn) fn is_spoiled(&mut self, response: &TxnResponse) -> bool {
        let found = marker_in(response).map_or(Revision::ZERO, |kv| kv.mod_revision);
        if found == self.before {
            self.refused();
            return false;
        }
        self.forget_lease();
        true
    }

    /// Whether the marker's lease has ended.
    pub(in crate::txn) async fn has_lost_its_lease(&self, backend: &dyn KvBackend) -> bool {
        match &self.slot {
            Some(slot) => self.markers.check_lease(backend, slot.lease).await,
            None => false,
        }
    }

    /// Finds out what became of the commit, and makes sure that it stays so.
    pub(in crate::txn) async fn resolve(
        &mut self,
        backend: &dyn KvBackend,
        cluster_id: u64,
        limit: Duration,
    ) -> Resolution {
        let deadline = Instant::now() + limit;
        let fence = self.fence();
        let mut pause = PAUSE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let answer = in_time(left.min(limit / TRIES), backend.txn(fence.clone())).await;
            match answer {
                Ok(response) if response.header.cluster_id != cluster_id => {
                    return Resolution::Unknown;
                }
                Ok(response) => return self.judge(&response),
                Err(error) if error.kind() == BackendErrorKind::LeaseNotFound => {
                    self.forget_lease();
                    return Resolution::Unknown;
                }
                Err(error) => tracing::debug!(%error, "a fence was not answered"),
            }
            if Instant::now() + pause >= deadline {
                return Resolution::Unknown;
            }
            sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    fn judge(&mut self, fence: &TxnResponse) -> Resolution {
        if fence.succeeded {
            self.landed(fence.header.revision);
            return Resolution::NotApplied;
        }
        match marker_in(fence) {
            Some(kv) if kv.value == self.sequence => {
                self.landed(kv.mod_revision);
                Resolution::Applied(Header { revision: kv.mod_revision, ..fence.header })
            }
            // A fence of this commit's, whose answer was lost.
            Some(kv) if kv.value == self.fenced() => {
                self.landed(kv.mod_revision);
                Resolution::NotApplied
            }
            _ => {
                self.forget_lease();
                Resolution::Unknown
            }
        }
    }

    fn landed(&mut self, revision: Revision) {
        if let Some(slot) = &mut self.slot {
            slot.last = Some(revision);
        }
    }

    fn forget_lease(&self) {
        if let Some(slot) = &self.slot {
            self.markers.forget(slot.lease);
        }
    }

    fn key(&self) -> Bytes {
        self.slot.as_ref().map(|slot| slot.key.clone()).unwrap_or_default()
    }

    /// What a fence leaves in the marker.
    fn fenced(&self) -> Bytes {
        [b"fence ", &*self.sequence].concat().into()
    }

    fn fence(&self) -> TxnRequest {
        TxnRequest::new([self.put(self.fenced()).into()])
            .when([self.demand()])
            .otherwise([self.look().into()])
    }

    fn demand(&self) -> Compare {
        Compare::mod_revision(self.key(), self.before)
    }

    /// A put that fails when the lease has ended, so that a marker that is absent was never put.
    fn put(&self, value: Bytes) -> PutRequest {
        let lease = self.slot.as_ref().map(|slot| slot.lease).unwrap_or_default();
        PutRequest::new(self.key(), value).with_lease(lease)
    }

    fn look(&self) -> RangeRequest {
        RangeRequest::new(KeyRange::key(self.key()))
    }
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        if let Some(slot) = self.slot.take() {
            self.markers.put_back(slot);
        }
    }
}

/// The marker, as the last answer of a failure branch shows it.
fn marker_in(response: &TxnResponse) -> Option<&KeyValue> {
    match response.responses.last() {
        Some(TxnOpResponse::Range(range)) => range.kvs.first(),
        _ => None,
    }
}
