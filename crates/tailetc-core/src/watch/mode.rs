//! How a watch treats a slow consumer.

use std::time::Duration;

use crate::Error;

/// What happens to a watch whose consumer is slower than the changes. Either way the mirror does
/// not wait for it, and its last item shows the final state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WatchMode {
    /// Every etcd transaction that touches the range by itself, in order. Up to `buffer`
    /// transactions wait for the consumer; when there are more, they are dropped, the consumer is
    /// told ([`Error::Lagged`]), and the watch goes on with the whole state as at its beginning.
    Exact {
        /// How many transactions may wait; at least 1.
        buffer: usize,
    },
    /// Whatever has changed since the consumer's last item, as one difference, when the consumer is
    /// ready for it. Nothing is buffered, nothing is lost but the states between.
    ///
    /// From the first change that the consumer has not seen until it takes the difference, the
    /// watch keeps the state before that change alive, and what that does not share with the
    /// newest: at most as much again as the copy. While it has seen everything it keeps nothing.
    Coalesced,
    /// Like [`Coalesced`](Self::Coalesced), but a difference is given no sooner than `delay` after
    /// the first change in it. A consumer under a steady stream so gets one item each `delay`, and
    /// no change waits longer than that for a consumer that is ready.
    Debounced {
        /// How long a change waits for others; not zero. Goes by tokio's clock: the watch must be
        /// read on a runtime whose timer is enabled.
        delay: Duration,
    },
}

impl WatchMode {
    /// Exact, with a buffer of 1,024 transactions.
    pub const EXACT: Self = Self::Exact { buffer: 1024 };

    pub(super) fn check(self) -> Result<(), Error> {
        let (option, reason) = match self {
            Self::Exact { buffer: 0 } => ("buffer", "a watch must have room for one transaction"),
            Self::Debounced { delay } if delay.is_zero() => ("delay", "must not be zero"),
            _ => return Ok(()),
        };
        Err(Error::InvalidOption { option, reason: reason.into() })
    }
}

impl Default for WatchMode {
    fn default() -> Self {
        Self::EXACT
    }
}
