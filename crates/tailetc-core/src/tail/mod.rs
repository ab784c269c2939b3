//! Keeping the copy current: the task that follows the store.
//!
//! ```text
//!             load             watch from revision + 1
//!   connect --------> Tailing <------------------------+
//!                       | the watch breaks             |
//!                       v                              |
//!                   Reconnecting --- history intact ---+
//!                       |                              |
//!                       | compacted past the position, |
//!                       | or another history           |
//!                       v                              |
//!                   Resyncing --- load, apply the diff +
//! ```
//!
//! Every failure in `Reconnecting` and `Resyncing` leads back there after a pause that grows. From
//! each state a close leads to `Closed`, which is final.

mod backoff;
mod follow;
mod load;
mod lost_deletions;
mod page;
mod pulse;
mod self_check;

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};
use tracing::Instrument;

pub(crate) use self::backoff::Backoff;
use self::pulse::{Look, Pulse};
pub(crate) use self::self_check::self_check;
use crate::backend::{BackendError, BackendErrorKind, KvBackend, WatchRequest, Watcher};
use crate::db::{Options, Phase, Refusal, Shared};
use crate::schema::Schema;
use crate::state::State;
use crate::{CloseReason, Error, Revision};

/// Why the state cannot be continued as it is.
#[derive(Debug)]
enum Broken {
    /// The store or the way to it: try again.
    Store(BackendError),
    /// What the store holds: go no further.
    Refused(Box<Refusal>),
}

impl From<BackendError> for Broken {
    fn from(error: BackendError) -> Self {
        Self::Store(error)
    }
}

impl From<Refusal> for Broken {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(Box::new(refusal))
    }
}

/// Loads the first state of a new `Db`.
pub(crate) async fn load_first(
    backend: &Arc<dyn KvBackend>,
    options: &Options,
    schema: Arc<Schema>,
) -> Result<State, Error> {
    let mut state = State::empty(schema);
    let span = tracing::debug_span!("tailetc.load");
    let loaded = load::difference(backend, options, &state, false).instrument(span).await;
    let loaded = loaded.map_err(|broken| match broken {
        Broken::Store(error) => Error::backend("load", error),
        Broken::Refused(refusal) => refusal.error,
    })?;
    state.cluster_id = loaded.cluster_id;
    state.raft_term = loaded.raft_term;
    state.revision = loaded.revision;
    for (key, entry) in loaded.changes {
        state.set_entry(&key, entry);
    }
    state.rebuild_indexes();
    Ok(state)
}

/// A watch that continues the state.
#[derive(Debug)]
pub(crate) struct Opened {
    watcher: Box<dyn Watcher>,
    /// The first revision of which nothing is known yet.
    start: Revision,
    /// What the store had once the watch was open.
    look: Look,
}

/// Opens a watch that continues the present state, and makes sure that it does.
///
/// The look vouches for the watch: a store that was restored from a backup or replaced would let a
/// watch from a revision that it has not reached wait in silence, and then deliver what belongs to
/// another history. It comes after the watch, which a restore in between ends.
pub(crate) async fn open_watch(shared: &Shared) -> Result<Opened, BackendError> {
    shared.suspicion.begin_watch();
    let (range, revision) =
        shared.with_state(|state| (crate::db::prefix_range(state), state.revision));
    let start = revision.next();
    let from = lost_deletions::watch_from(shared, revision);
    let watch = shared.backend.watch(WatchRequest::new(range, from).with_progress_notify());
    let watcher = in_time(shared.options.request_timeout, watch).await?;
    Ok(Opened { watcher, start, look: pulse::look(shared).await? })
}

/// Ends a request that takes longer than its backend has promised.
pub(crate) async fn in_time<T>(
    limit: Duration,
    request: impl Future<Output = Result<T, BackendError>>,
) -> Result<T, BackendError> {
    timeout(limit, request).await.unwrap_or_else(|_| {
        Err(BackendError::new(BackendErrorKind::Timeout, format!("no answer within {limit:?}")))
    })
}

/// The task: follows the store until it is aborted, and keeps alive what needs to be.
pub(crate) async fn run(shared: Arc<Shared>, first: Result<Opened, BackendError>) {
    let following = follow_forever(Arc::clone(&shared), first);
    let keeping = async {
        match &shared.markers {
            Some(markers) => markers.keep_alive(&*shared.backend).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = following => {}
        never = keeping => match never {},
        never = check_now_and_then(&shared) => match never {},
    }
}

async fn check_now_and_then(shared: &Shared) -> Infallible {
    let Some(interval) = shared.options.self_check_interval else {
        return std::future::pending().await;
    };
    loop {
        sleep(interval).await;
        if let Err(error) = self_check(shared).await {
            tracing::debug!(%error, "the copy could not be compared with the store");
        }
    }
}

async fn follow_forever(shared: Arc<Shared>, first: Result<Opened, BackendError>) {
    // Whatever ends the task, nobody is left waiting for it.
    let _end = CloseAtEnd(&shared);
    let mut backoff = Backoff::new(&shared.options);
    // An answer to somebody else ends the pause, once for each break: if that does not help, the
    // store answers others alone.
    let mut may_hurry = true;
    let mut opened = first.map_err(Broken::Store);
    loop {
        let broken = match opened {
            Ok(Opened { mut watcher, start, look }) => {
                let behind = shared.with_state(|state| state.revision) < look.header.revision;
                shared.set_phase(if behind { Phase::Lagging } else { Phase::Tailing }, None);
                let since = Instant::now();
                let pulse = Pulse::new(&shared, start, look);
                let ended = follow::follow(&shared, watcher.as_mut(), pulse).await;
                // A watch that delivered was worth opening, and so was one that lasted.
                if ended.productive || since.elapsed() >= shared.options.backoff_max {
                    backoff.reset();
                    may_hurry = true;
                }
                ended.broken
            }
            Err(broken) => broken,
        };
        let error = match broken {
            Broken::Store(error) => error,
            Broken::Refused(refusal) => return close_refusing(&shared, &refusal),
        };
        if matches!(error.kind(), BackendErrorKind::Compacted { .. }) {
            shared.set_needs_resync(true);
        }
        let phase = if shared.awaits_resync() { Phase::Resyncing } else { Phase::Reconnecting };
        shared.set_phase(phase, Some(error.to_string().into()));
        let pause = backoff.pause(shared.random());
        if may_hurry {
            let least = pause.min(shared.options.backoff_min / 2);
            sleep(least).await;
            may_hurry = timeout(pause - least, shared.suspicion.answered()).await.is_err();
        } else {
            sleep(pause).await;
        }
        opened = reconnect(&shared).await;
    }
}

/// Opens a watch that continues the state, after it was loaded anew if it cannot be continued as it
/// is.
async fn reconnect(shared: &Shared) -> Result<Opened, Broken> {
    loop {
        if shared.awaits_resync() {
            resync(shared).await?;
        }
        let opened = open_watch(shared).await?;
        // What was found out meanwhile has told the watch before this one.
        if !shared.awaits_resync() {
            shared.counters.reconnects(1);
            return Ok(opened);
        }
    }
}

async fn resync(shared: &Shared) -> Result<(), Broken> {
    let why = shared.phase.borrow().error.clone();
    shared.set_phase(Phase::Resyncing, why);
    // What is found to be wrong from now on may be in what is loaded already.
    shared.set_needs_resync(false);
    let loading = Instant::now();
    let resync = shared.begin_resync();
    let base = resync.base();
    let is_lost = shared.is_lost(base.epoch);
    let span = tracing::debug_span!("tailetc.resync");
    let load = load::difference(&shared.backend, &shared.options, base, is_lost);
    let difference = load.instrument(span).await.inspect_err(|_| shared.set_needs_resync(true))?;
    let revision = difference.revision;
    shared.apply_difference(&resync, difference);
    shared.currency.restart(revision, loading);
    shared.vouched.set(revision);
    Ok(())
}

fn close_refusing(shared: &Shared, refusal: &Refusal) {
    let Refusal { key, revision, error } = refusal;
    tracing::error!(%key, %revision, "closing: a value does not decode");
    shared.close_because(
        CloseReason::Undecodable { revision: *revision },
        Some(error.to_string().into()),
    );
}

struct CloseAtEnd<'s>(&'s Shared);

impl Drop for CloseAtEnd<'_> {
    fn drop(&mut self) {
        self.0.close(CloseReason::TailEnded);
    }
}
