//! Waiting until one's own copy is as new as needed, on a busy prefix and on an idle one.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use crate::backend::{BackendError, Header, KeyRange, RangeRequest};
use crate::db::shared::{Position, Proof};
use crate::db::{OpenWatch, Shared};
use crate::state::State;
use crate::{Commit, Error, Revision};

/// How long an answer to a progress request may take before a proof is tried in its place: gRPC
/// proxies swallow such requests, and servers drop them while a watch has events to catch up with.
const PROGRESS_PATIENCE: Duration = Duration::from_millis(500);

/// How long an event that is on its way may take before the server is made to walk over the prefix.
const EVENT_PATIENCE: Duration = Duration::from_millis(10);

/// The pauses between proofs that found changes still under way.
const PROOF_PAUSE: Duration = Duration::from_millis(20);
const PROOF_PAUSE_MAX: Duration = Duration::from_secs(1);

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// What was waited for is so.
    Arrived,
    /// The deadline passed.
    TimedOut,
    /// The `Db` was closed, or began a new epoch: what was waited for can never be.
    Never,
}

impl Shared {
    /// Waits until the state at `target` or a later one is published. The watch is known to deliver
    /// an event at `target`, so that nothing but the event counts: a proof would be right about the
    /// data, but observers would not have seen the change.
    pub(crate) async fn await_event(
        &self,
        epoch: u64,
        target: Revision,
        deadline: Instant,
    ) -> Arrival {
        self.await_position(epoch, deadline, |position| position.revision >= target).await
    }

    /// The same for a target that may have no event below the prefix: asks the store for progress,
    /// and proves it by reading where progress cannot be had or trusted.
    pub(crate) async fn await_progress(
        &self,
        epoch: u64,
        target: Revision,
        deadline: Instant,
        enough: impl Fn() -> bool + Send + Sync,
    ) -> Arrival {
        if self.position.borrow().covers(target) {
            return Arrival::Arrived;
        }
        let arrival =
            self.await_position(epoch, deadline, |position| position.covers(target) || enough());
        tokio::select! {
            arrival = arrival => arrival,
            never = self.pull(target) => match never {},
        }
    }

    async fn await_position(
        &self,
        epoch: u64,
        deadline: Instant,
        arrived: impl Fn(&Position) -> bool + Send + Sync,
    ) -> Arrival {
        let mut positions = self.position.subscribe();
        let never = |position: &Position| position.closed.is_some() || position.epoch != epoch;
        let ended = positions.wait_for(|position| never(position) || arrived(position));
        match timeout_at(deadline, ended).await {
            Ok(Ok(position)) if arrived(&position) && position.epoch == epoch => Arrival::Arrived,
            Ok(_) => Arrival::Never,
            Err(_) => Arrival::TimedOut,
        }
    }

    /// Makes the position move although nothing below the prefix does, for as long as it is polled.
    async fn pull(&self, target: Revision) -> std::convert::Infallible {
        let _waiter = ProgressWaiter::register(self);
        let reliable = self.backend.capabilities().reliable_progress;
        sleep(if reliable { PROGRESS_PATIENCE } else { EVENT_PATIENCE }).await;
        let mut pause = PROOF_PAUSE;
        loop {
            if let Err(error) = self.prove(target).await {
                tracing::debug!(%error, "proof of an idle prefix failed");
            }
            sleep(pause).await;
            pause = (pause * 2).min(PROOF_PAUSE_MAX);
        }
    }

    /// Proves by one linearizable read that nothing below the prefix has changed: no key was
    /// written after the state's revision, and there are as many keys. (A key made and deleted in
    /// between may be missed; it leaves no trace in the state either.)
    pub(crate) async fn prove(&self, target: Revision) -> Result<(), BackendError> {
        let tried = self.proofs_tried.load(Ordering::Acquire);
        let _turn = self.proving.lock().await;
        // What somebody else has found out meanwhile is as good, also if it proved nothing.
        let shared = self.proofs_tried.load(Ordering::Acquire) != tried;
        if shared || self.position.borrow().covers(target) {
            return Ok(());
        }
        let state = self.state();
        let request = RangeRequest::new(prefix_range(&state))
            .with_min_mod_revision(state.revision.next())
            .with_limit(1)
            .with_keys_only();
        self.counters.proofs(1);
        let outcome = self.backend.range(request).await;
        self.proofs_tried.fetch_add(1, Ordering::AcqRel);
        let response = outcome?;
        let unchanged = self.is_same_history(&state, &response.header)
            && response.kvs.is_empty()
            && usize::try_from(response.count) == Ok(state.map.len());
        if unchanged {
            let proof = Proof { at: state.revision, up_to: response.header.revision };
            self.position.send_modify(|position| {
                if position.epoch == state.epoch {
                    position.proof = Some(proof);
                }
            });
        }
        Ok(())
    }

    /// The store's revision now, by a linearizable read that returns at most one key.
    pub(crate) async fn current_header(&self) -> Result<Header, BackendError> {
        self.header_at(Revision::ZERO).await
    }

    /// The same, by a read at `revision`: fails if that is compacted, or not reached yet.
    pub(crate) async fn header_at(&self, revision: Revision) -> Result<Header, BackendError> {
        let key = self.with_state(|state| prefix_range(state).start().clone());
        let request = RangeRequest::new(KeyRange::key(key)).with_limit(1).with_keys_only();
        Ok(self.backend.range(request.with_revision(revision)).await?.header)
    }

    /// The error for a wait that did not arrive, and began while `watch` was open.
    pub(crate) fn not_arrived(
        &self,
        arrival: Arrival,
        target: Revision,
        waited: Duration,
        watch: OpenWatch,
    ) -> Result<(), Error> {
        match arrival {
            Arrival::Arrived => Ok(()),
            Arrival::TimedOut => {
                // Neither event nor progress nor proof: it is time for another connection.
                self.suspicion.suspect(watch);
                Err(self.not_caught_up(target, waited, None))
            }
            Arrival::Never => {
                self.check_open()?;
                Err(Error::HistoryLost { target })
            }
        }
    }

    pub(crate) fn not_caught_up(
        &self,
        target: Revision,
        waited: Duration,
        committed: Option<Commit>,
    ) -> Error {
        let applied = self.with_state(|state| state.revision);
        let committed = committed.map(Box::new);
        Error::NotCaughtUp { target, applied, waited, committed }
    }
}

/// All keys below the prefix of a state's `Db`.
pub(crate) fn prefix_range(state: &State) -> KeyRange {
    KeyRange::prefix(state.schema.prefix().as_bytes().to_vec())
}

/// Counts a caller that waits for progress, for as long as it lives.
struct ProgressWaiter<'s>(&'s Shared);

impl<'s> ProgressWaiter<'s> {
    fn register(shared: &'s Shared) -> Self {
        shared.progress_waiters.fetch_add(1, Ordering::AcqRel);
        shared.progress_wanted.notify_one();
        Self(shared)
    }
}

impl Drop for ProgressWaiter<'_> {
    fn drop(&mut self) {
        self.0.progress_waiters.fetch_sub(1, Ordering::AcqRel);
    }
}
