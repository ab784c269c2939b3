//! What time it is.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

/// The clock that leases and the intervals of progress go by.
///
/// The default is tokio's, which tests can pause: then everything happens in simulated time, which
/// goes on when every task waits. The other is a [`ManualClock`], which goes on when it is told to.
#[derive(Clone, Debug, Default)]
pub struct Clock(Source);

#[derive(Clone, Debug, Default)]
enum Source {
    #[default]
    Tokio,
    Manual(ManualClock),
}

impl Clock {
    pub(crate) fn now(&self) -> Instant {
        match &self.0 {
            Source::Tokio => Instant::now(),
            Source::Manual(clock) => clock.now(),
        }
    }

    /// Waits until it is `deadline`, or later. With tokio's clock this needs a runtime with its
    /// timer.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub(crate) async fn sleep_until(&self, deadline: Instant) {
        match &self.0 {
            Source::Tokio => tokio::time::sleep_until(deadline).await,
            Source::Manual(clock) => clock.sleep_until(deadline).await,
        }
    }
}

impl From<ManualClock> for Clock {
    fn from(clock: ManualClock) -> Self {
        Self(Source::Manual(clock))
    }
}

/// A clock that stands still until it is [advanced](Self::advance).
///
/// A clone is another handle on the same clock. Several stores may share one.
///
/// ```
/// use std::time::Duration;
///
/// use tailetc_core::LeaseId;
/// use tailetc_core::backend::KvBackend;
/// use tailetc_memkv::{ManualClock, MemKv};
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let clock = ManualClock::new();
/// let store = MemKv::builder().with_clock(clock.clone()).build();
/// let lease = store.lease_grant(LeaseId::NONE, 10).await?.id;
/// clock.advance(Duration::from_secs(9));
/// assert!(store.lease_time_to_live(lease, false).await?.is_some());
/// clock.advance(Duration::from_secs(1));
/// assert!(store.lease_time_to_live(lease, false).await?.is_none());
/// # Ok::<(), tailetc_core::backend::BackendError>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct ManualClock {
    now: watch::Sender<Instant>,
}

impl ManualClock {
    /// A clock that stands at the present instant.
    pub fn new() -> Self {
        Self { now: watch::Sender::new(Instant::now()) }
    }

    /// What the clock shows.
    pub fn now(&self) -> Instant {
        *self.now.borrow()
    }

    /// Sets the clock forward, and wakes whoever waits for the time that it then shows. An advance
    /// beyond what an [`Instant`] can say does nothing.
    pub fn advance(&self, by: Duration) {
        self.now.send_if_modified(|now| match now.checked_add(by) {
            Some(later) => {
                *now = later;
                true
            }
            None => false,
        });
    }

    async fn sleep_until(&self, deadline: Instant) {
        // The sender outlives the wait, so that this cannot fail.
        let _ = self.now.subscribe().wait_for(|now| *now >= deadline).await;
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    #[test]
    fn sleep_ends_when_the_clock_has_come_so_far() {
        let manual = ManualClock::new();
        let clock = Clock::from(manual.clone());
        let start = clock.now();
        let mut sleep = pin!(clock.sleep_until(start + Duration::from_secs(2)));
        let mut context = Context::from_waker(Waker::noop());
        assert_eq!(sleep.as_mut().poll(&mut context), Poll::Pending);
        manual.advance(Duration::from_secs(1));
        assert_eq!(sleep.as_mut().poll(&mut context), Poll::Pending);
        manual.advance(Duration::from_secs(1));
        assert_eq!(sleep.as_mut().poll(&mut context), Poll::Ready(()));
        assert_eq!(clock.now(), start + Duration::from_secs(2));
    }

    #[test]
    fn clock_does_not_leave_what_can_be_said() {
        let clock = ManualClock::new();
        let start = clock.now();
        clock.advance(Duration::MAX);
        assert_eq!(clock.now(), start);
    }
}
