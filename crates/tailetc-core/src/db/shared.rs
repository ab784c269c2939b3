//! What all handles of one `Db`, its tail and its watches share.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::backend::KvBackend;
use crate::db::applier::{Applier, ApplierLock, Leaving};
use crate::db::currency::Currency;
use crate::db::health::PhaseRecord;
use crate::db::history::History;
use crate::db::lost_history::LostBelow;
use crate::db::stats::Counters;
use crate::db::suspicion::Suspicion;
use crate::db::vouched::Vouched;
use crate::db::{Health, Options, OwnWrites, Phase};
use crate::state::State;
use crate::txn::Markers;
use crate::watch::Scope;
use crate::{CloseReason, Error, Revision};

/// Lock order: `applier`, then `history`, `leaving`, `left_watches` or the record of a watch; no other lock is taken while one of them is
/// held, but for the short internal ones of tokio's channels. `std` locks, because they are held
/// for memory work only and never across an await.
pub(crate) struct Shared {
    pub(crate) backend: Arc<dyn KvBackend>,
    pub(crate) options: Options,
    /// What readers see. Written only under the `applier` lock.
    state: ArcSwap<State>,
    /// Everything that changes the state goes through here, one at a time.
    applier: Mutex<Applier>,
    /// Observers that left while the applier was locked by their own thread.
    pub(super) leaving: Leaving<u64>,
    /// What watches were about that have ended.
    pub(super) left_watches: Leaving<Scope>,
    history: Mutex<History>,
    /// Announces positions, after the state they speak of is readable.
    pub(crate) position: watch::Sender<Position>,
    pub(crate) phase: watch::Sender<PhaseRecord>,
    /// How current the copy is known to be.
    pub(crate) currency: Currency,
    /// Whether the watch has been seen to answer progress requests. Proxies swallow them.
    pub(crate) progress_answered: AtomicBool,
    pub(crate) counters: Counters,
    pub(crate) own_writes: OwnWrites,
    /// How many callers wait for progress of an idle prefix.
    pub(crate) progress_waiters: AtomicUsize,
    /// Tells the tail that there is one.
    pub(crate) progress_wanted: Notify,
    /// Serialises proofs, so that many waiters share one. How many were tried.
    pub(crate) proving: tokio::sync::Mutex<()>,
    pub(crate) proofs_tried: AtomicU64,
    /// What others tell the tail.
    pub(crate) suspicion: Suspicion,
    pub(super) lost_below: LostBelow,
    pub(crate) vouched: Vouched,
    /// The copy was found to differ from the store: load it anew.
    needs_resync: AtomicBool,
    pub(crate) write_denials: AtomicUsize,
    pub(crate) markers: Option<Markers>,
    closed: AtomicBool,
    pub(crate) rng: Mutex<fastrand::Rng>,
}

/// How far the mirror is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) epoch: u64,
    /// The revision of the published state.
    pub(crate) revision: Revision,
    /// A state at `at` was found to hold what the store held at `up_to`.
    pub(crate) proof: Option<Proof>,
    pub(crate) closed: Option<CloseReason>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Proof {
    pub(crate) at: Revision,
    pub(crate) up_to: Revision,
}

impl Position {
    /// Up to where the published state is proven to be what the store held.
    pub(crate) fn proven(&self) -> Option<Revision> {
        // A proof holds only as long as nothing was applied after it.
        self.proof.filter(|proof| proof.at == self.revision).map(|proof| proof.up_to)
    }

    /// Whether the published state shows everything up to `target`.
    pub(crate) fn covers(&self, target: Revision) -> bool {
        self.revision >= target || self.proven().is_some_and(|up_to| up_to >= target)
    }
}

impl Shared {
    /// What stands on `state`, which was loaded by reads that began at `loaded`.
    pub(crate) fn new(
        backend: Arc<dyn KvBackend>,
        options: Options,
        state: State,
        applier: Applier,
        loaded: Instant,
        markers: Option<Markers>,
    ) -> Self {
        let position =
            Position { epoch: state.epoch, revision: state.revision, proof: None, closed: None };
        let now = Instant::now();
        let phase = PhaseRecord { phase: Phase::Tailing, since: now, error: None };
        let rng = options.seed.map_or_else(fastrand::Rng::new, fastrand::Rng::with_seed);
        let currency = Currency::new(state.revision, loaded);
        let state = Arc::new(state);
        Self {
            backend,
            state: ArcSwap::new(Arc::clone(&state)),
            applier: Mutex::new(applier),
            leaving: Leaving::default(),
            left_watches: Leaving::default(),
            history: Mutex::new(History::new(&options, &state)),
            position: watch::Sender::new(position),
            phase: watch::Sender::new(phase),
            currency,
            progress_answered: AtomicBool::new(false),
            counters: Counters::default(),
            own_writes: OwnWrites::default(),
            progress_waiters: AtomicUsize::new(0),
            progress_wanted: Notify::new(),
            proving: tokio::sync::Mutex::new(()),
            proofs_tried: AtomicU64::new(0),
            suspicion: Suspicion::default(),
            lost_below: LostBelow::default(),
            vouched: Vouched::new(state.revision),
            needs_resync: AtomicBool::new(false),
            write_denials: AtomicUsize::new(0),
            markers,
            closed: AtomicBool::new(false),
            rng: Mutex::new(rng),
            options,
        }
    }

    /// The newest state, kept alive by the caller.
    pub(crate) fn state(&self) -> Arc<State> {
        self.state.load_full()
    }

    /// Looks at the newest state without touching a reference count.
    pub(crate) fn with_state<R>(&self, look: impl FnOnce(&State) -> R) -> R {
        look(&self.state.load())
    }

    /// Makes a state the one that readers see. `_applier` proves that the caller may.
    pub(super) fn publish(&self, applier: &mut Applier, state: Arc<State>) {
        self.show(applier, Arc::clone(&state));
        self.announce(applier, &state);
    }

    /// The first half of it.
    pub(super) fn show(&self, _applier: &mut Applier, state: Arc<State>) {
        self.state.store(state);
        self.counters.publications(1);
    }

    /// The second half: whoever waits for the state is told.
    pub(super) fn announce(&self, _applier: &mut Applier, state: &State) {
        let State { epoch, revision, .. } = *state;
        self.position.send_modify(|position| {
            if position.epoch != epoch {
                // It spoke of another history.
                position.proof = None;
            }
            position.epoch = epoch;
            position.revision = revision;
        });
    }

    /// What stays readable. Changed only under the `applier` lock, but for what is let go.
    pub(super) fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The kept state that shows `revision`.
    pub(crate) fn state_at(&self, revision: Revision) -> Result<Arc<State>, Error> {
        let mut history = self.history();
        history.at(revision, &self.state())
    }

    pub(super) fn lock_applier(&self) -> ApplierLock<'_> {
        // Observers' panics are contained; a poisoned lock would mean a panic of our own between
        // two consistent states, because the state is replaced only as a whole.
        ApplierLock::new(self.applier.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn check_open(&self) -> Result<(), Error> {
        match self.position.borrow().closed {
            Some(reason) => Err(Error::Closed { reason }),
            None => Ok(()),
        }
    }

    /// Ends everything that waits. The first reason stands.
    pub(crate) fn close(&self, reason: CloseReason) {
        self.close_because(reason, None);
    }

    /// The same, with an error for [`Health::last_error`].
    pub(crate) fn close_because(&self, reason: CloseReason, error: Option<Arc<str>>) {
        if self.closed.swap(true, Ordering::AcqRel) {
            return;
        }
        // First, or who has seen the phase could still open a watch.
        self.position.send_modify(|position| position.closed = Some(reason));
        self.set_phase(Phase::Closed(reason), error);
        self.end_watches();
    }

    pub(crate) fn set_phase(&self, phase: Phase, error: Option<Arc<str>>) {
        self.phase.send_modify(|record| {
            if matches!(record.phase, Phase::Closed(_)) {
                return;
            }
            if record.phase != phase {
                tracing::info!(from = ?record.phase, to = ?phase, error = error.as_deref(), "tail");
                record.since = Instant::now();
            }
            record.phase = phase;
            record.error = error;
        });
    }

    /// Whether no watch is open, so that nothing would tell of another history.
    pub(crate) fn is_cut_off(&self) -> bool {
        matches!(self.phase.borrow().phase, Phase::Reconnecting | Phase::Resyncing)
    }

    /// The copy shows what a look at the store has found.
    pub(crate) fn caught_up(&self) {
        if self.phase.borrow().phase == Phase::Lagging {
            self.set_phase(Phase::Tailing, None);
        }
    }

    /// Makes the tail load everything anew now.
    pub(crate) fn demand_resync(&self) {
        self.set_needs_resync(true);
        self.suspicion.raise();
    }

    /// Whether everything must be loaded anew before the state is continued.
    pub(crate) fn set_needs_resync(&self, needs: bool) {
        self.needs_resync.store(needs, Ordering::Release);
    }

    /// Whether it must, or the history of the state is known to be lost.
    pub(crate) fn awaits_resync(&self) -> bool {
        let is_lost = self.is_lost(self.with_state(|state| state.epoch));
        is_lost || self.needs_resync.load(Ordering::Acquire)
    }

    /// It does not, although changes arrive.
    pub(crate) fn lags(&self) {
        if self.phase.borrow().phase == Phase::Tailing {
            self.set_phase(Phase::Lagging, None);
        }
    }

    pub(crate) fn health(&self) -> Health {
        self.health_in(self.phase.borrow().clone())
    }

    pub(crate) fn health_in(&self, record: PhaseRecord) -> Health {
        let known = self.currency.known();
        let revision = self.with_state(|state| state.revision);
        Health {
            phase: record.phase,
            phase_for: record.since.elapsed(),
            revision,
            store_revision: known.store.max(revision),
            age: known.age(),
            last_contact: known.heard.elapsed(),
            last_error: record.error,
        }
    }

    /// A random number in `0.0..1.0`.
    pub(crate) fn random(&self) -> f64 {
        self.rng.lock().unwrap_or_else(PoisonError::into_inner).f64()
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state.load();
        f.debug_struct("Db")
            .field("backend", &self.backend)
            .field("prefix", state.schema.prefix())
            .field("revision", &state.revision)
            .field("len", &state.map.len())
            .field("phase", &self.phase.borrow().phase)
            .finish_non_exhaustive()
    }
}

/// Ends the tail when the last handle is dropped.
#[derive(Debug)]
pub(crate) struct Handle {
    pub(crate) shared: Arc<Shared>,
    pub(crate) tail: AbortHandle,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.close(CloseReason::Dropped);
        self.tail.abort();
    }
}
