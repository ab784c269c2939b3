//! The watchdog: finds out, from time to time, whether the copy shows what the store has, and
//! whether the watch that should tell is alive.
//!
//! A connection can die without a word. Each beat makes one small linearizable read and waits until
//! the copy shows what it answered (or a proof by reading shows that there is nothing to show).
//! Where progress is known to be answered, the watch itself must also say something. Where it is
//! not (old servers, proxies), the read alone is the sign of life, so that nothing is opened anew
//! for nothing.

use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::Revision;
use crate::backend::{BackendError, BackendErrorKind, Header, WatchResponse};
use crate::db::{Arrival, Shared};
use crate::tail::lost_deletions;

/// What a linearizable request that began at `since` was answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    pub(super) since: Instant,
    pub(super) header: Header,
}

/// Progress is an answer if it comes within this time of the question. Servers also tell it
/// unasked, every ten minutes, and proxies pass that on.
const ANSWER: Duration = Duration::from_millis(500);

/// What a beat found.
#[derive(Clone, Copy, Debug)]
enum Beat {
    /// The copy shows everything up to the header.
    Current(Look),
    /// It does not, by the deadline.
    Behind,
}

type Beating<'s> = Pin<Box<dyn Future<Output = Result<Beat, BackendError>> + Send + 's>>;

pub(super) struct Pulse<'s> {
    shared: &'s Shared,
    /// The first revision that the watch delivers anew. Until the store has it, progress requests
    /// are not answered.
    start: Revision,
    /// When the next beat begins.
    due: Instant,
    beating: Option<Beating<'s>>,
    /// Whether the watch has said anything since the beat began.
    heard: bool,
    /// By when it must, having been asked.
    answer_due: Option<Instant>,
    /// When it was last asked for its progress.
    asked: Option<Instant>,
}

impl<'s> Pulse<'s> {
    /// The pulse of a watch from `start`, whose first beat has looked at the store already.
    pub(super) fn new(shared: &'s Shared, start: Revision, look: Look) -> Self {
        let due = Instant::now() + shared.options.progress_interval;
        let beating: Beating<'s> = Box::pin(wait(shared, look));
        Self {
            shared,
            start,
            due,
            beating: Some(beating),
            heard: false,
            answer_due: None,
            asked: None,
        }
    }

    /// Takes note of what the watch said.
    pub(super) fn heard(&mut self, response: &WatchResponse) {
        self.heard = true;
        self.answer_due = None;
        if matches!(response, WatchResponse::Progress { .. }) {
            let asked = self.asked.take();
            if asked.is_some_and(|at| at.elapsed() <= ANSWER) {
                self.shared.progress_answered.store(true, Ordering::Release);
            }
        }
    }

    /// Takes note that the watch is asked for its progress.
    pub(super) fn asks(&mut self) {
        self.asked = Some(Instant::now());
    }

    /// Whether an answer of the watch is due: it should be asked again.
    pub(super) fn awaits_answer(&self) -> bool {
        self.answer_due.is_some()
    }

    /// Beats when it is time to. Returns when there is a reason to ask for progress.
    ///
    /// Cancel safe: a beat under way is kept.
    pub(super) async fn next(&mut self) -> Result<(), BackendError> {
        let beating = match &mut self.beating {
            Some(beating) => beating,
            None => {
                if let Some(answer_due) = self.answer_due.filter(|at| *at <= self.due) {
                    sleep_until(answer_due).await;
                    self.answer_due = None;
                    if self.answers() {
                        return Err(self.is_silent());
                    }
                }
                sleep_until(self.due).await;
                self.heard = false;
                self.beating.insert(Box::pin(beat(self.shared)))
            }
        };
        let beat = beating.await;
        self.beating = None;
        let now = Instant::now();
        match beat? {
            Beat::Current(look) => {
                self.shared.caught_up();
                self.due = now + self.shared.options.progress_interval;
                // An answer can be expected only to a question asked when the store had something
                // to say: below the start of a watch it keeps silent.
                if !self.heard && look.header.revision >= self.start && self.is_reliable() {
                    let due = now + self.shared.options.progress_timeout;
                    self.answer_due.get_or_insert(due);
                }
                Ok(())
            }
            Beat::Behind if self.heard => {
                self.shared.lags();
                self.due = now;
                Ok(())
            }
            Beat::Behind => Err(self.is_silent()),
        }
    }

    fn is_reliable(&self) -> bool {
        self.shared.backend.capabilities().reliable_progress
    }

    fn answers(&self) -> bool {
        self.is_reliable() && self.shared.progress_answered.load(Ordering::Acquire)
    }

    fn is_silent(&self) -> BackendError {
        // If the next watch does not answer either, progress is not answered here (any more).
        self.shared.progress_answered.store(false, Ordering::Release);
        self.shared.counters.silent_watches(1);
        BackendError::new(BackendErrorKind::Timeout, "the watch has gone silent")
    }
}

async fn beat(shared: &Shared) -> Result<Beat, BackendError> {
    let look = look(shared).await?;
    wait(shared, look).await
}

/// Waits until the copy shows what the look found.
async fn wait(shared: &Shared, look: Look) -> Result<Beat, BackendError> {
    let epoch = shared.with_state(|state| state.epoch);
    let deadline = Instant::now() + shared.options.progress_timeout;
    let arrival = shared.await_progress(epoch, look.header.revision, deadline, || false).await;
    Ok(match arrival {
        Arrival::Arrived => {
            shared.currency.prove(look.since);
            Beat::Current(look)
        }
        Arrival::TimedOut | Arrival::Never => Beat::Behind,
    })
}

/// Looks at the store's present, by a linearizable read. Fails if the store's history is not the
/// one that is followed.
pub(super) async fn look(shared: &Shared) -> Result<Look, BackendError> {
    // Before the read: a commit that is applied from its answer may move the state meanwhile.
    let (known, since) = (shared.state(), Instant::now());
    let limit = shared.options.request_timeout.min(shared.options.progress_timeout);
    let header = super::in_time(limit, lost_deletions::header(shared)).await?;
    if known.is_of_another_history(&header) {
        shared.lose(known.epoch);
        return Err(BackendError::new(
            BackendErrorKind::Unavailable,
            "the store's history is not the one that is followed",
        ));
    }
    shared.heard(&header);
    Ok(Look { since, header })
}
