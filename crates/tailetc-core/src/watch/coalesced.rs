//! The difference between what the consumer has seen and the newest state.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::Revision;
use crate::db::Shared;
use crate::state::State;

/// The applier's end.
#[derive(Debug)]
pub(crate) struct Sink {
    record: Arc<Mutex<Record>>,
    /// Has room for one: as many as there are pending changes.
    wake: Sender<()>,
    delay: Duration,
}

/// The consumer's end.
#[derive(Debug)]
pub(super) struct Source {
    record: Arc<Mutex<Record>>,
    woken: Receiver<()>,
    delay: Duration,
    turn: Turn,
}

/// What both ends know. Its lock is taken under the apply lock, and nothing is taken under it.
#[derive(Debug)]
struct Record {
    /// The epoch and revision of the state that the consumer has seen.
    seen: (u64, Revision),
    pending: Option<Pending>,
}

/// Something has changed since.
#[derive(Debug)]
struct Pending {
    /// Where the watch looks, it is the state that the consumer has seen.
    base: Arc<State>,
    /// When the consumer may have it.
    due: Instant,
}

/// When the consumer gets what is pending.
#[derive(Debug)]
enum Turn {
    /// Nothing is.
    Idle,
    Now,
    At(Pin<Box<Sleep>>),
}

/// No delay is longer, so that adding it to a time cannot fail: 30 years.
const LONGEST: Duration = Duration::from_secs(30 * 365 * 86_400);

/// A pair whose consumer has seen `state`; `is_past` if others have been published since.
pub(super) fn pair(delay: Duration, state: &Arc<State>, is_past: bool) -> (Sink, Source) {
    let delay = delay.min(LONGEST);
    let record = Record { seen: (state.epoch, state.revision), pending: None };
    let record = Arc::new(Mutex::new(record));
    let (wake, woken) = channel(1);
    let sink = Sink { record: Arc::clone(&record), wake, delay };
    if is_past {
        sink.wake_at(&mut lock(&record), state, Instant::now());
    }
    (sink, Source { record, woken, delay, turn: Turn::Idle })
}

impl Sink {
    /// Something was changed between `before` and `now`.
    pub(super) fn offer(&self, before: &Arc<State>, now: (u64, Revision)) {
        let mut record = lock(&self.record);
        // A consumer may have looked between the publication and this.
        if record.pending.is_some() || record.seen >= now {
            return;
        }
        self.wake_at(&mut record, before, Instant::now() + self.delay);
    }

    fn wake_at(&self, record: &mut Record, base: &Arc<State>, due: Instant) {
        record.pending = Some(Pending { base: Arc::clone(base), due });
        let _ = self.wake.try_send(());
    }

    pub(super) fn is_spent(&self) -> bool {
        self.wake.is_closed()
    }
}

impl Source {
    /// The state that the consumer has seen (as far as the watch looks) and the newest; none when
    /// there will be no more.
    pub(super) fn poll(
        &mut self,
        context: &mut Context<'_>,
        shared: &Shared,
    ) -> Poll<Option<(Arc<State>, Arc<State>)>> {
        loop {
            let ended = match self.woken.poll_recv(context) {
                Poll::Ready(Some(())) => {
                    self.turn = self.next_turn();
                    continue;
                }
                Poll::Ready(None) => true,
                Poll::Pending => false,
            };
            match &mut self.turn {
                Turn::Idle if ended => return Poll::Ready(None),
                Turn::Idle => return Poll::Pending,
                // Nothing more will come, so that there is nothing to wait for.
                Turn::At(timer) if !ended => ready!(timer.as_mut().poll(context)),
                Turn::At(_) | Turn::Now => {}
            }
            self.turn = Turn::Idle;
            if let Some(pair) = self.take(shared) {
                return Poll::Ready(Some(pair));
            }
        }
    }

    fn next_turn(&self) -> Turn {
        if self.delay.is_zero() {
            return Turn::Now;
        }
        let due = lock(&self.record).pending.as_ref().map(|pending| pending.due);
        due.map_or(Turn::Idle, |due| Turn::At(Box::pin(sleep_until(due))))
    }

    fn take(&self, shared: &Shared) -> Option<(Arc<State>, Arc<State>)> {
        let mut record = lock(&self.record);
        let base = record.pending.take()?.base;
        // Under the lock: what the applier offers next is compared with it.
        let now = shared.state();
        record.seen = (now.epoch, now.revision);
        Some((base, now))
    }
}

fn lock(record: &Mutex<Record>) -> MutexGuard<'_, Record> {
    record.lock().unwrap_or_else(PoisonError::into_inner)
}
