//! Streams of changes for consumers that run in their own time.

mod stream;
mod subscribers;

pub use self::stream::{Update, Watch};
pub(crate) use self::subscribers::{Subscriber, Subscribers};

/// What happens to a watch whose consumer is slower than the changes. Either way the mirror does
/// not wait for it, and its last item shows the final state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WatchMode {
    /// Every etcd transaction that touches the range by itself, in order. Up to `buffer`
    /// transactions wait for the consumer; when there are more, they are dropped, the consumer is
    /// told ([`Error::Lagged`](crate::Error::Lagged)), and the watch goes on with the whole state
    /// as at its beginning.
    Exact {
        /// How many transactions may wait; at least 1.
        buffer: usize,
    },
    /// Whatever has changed since the consumer's last item, as one difference, when the consumer is
    /// ready for it. Nothing is buffered, nothing is lost but the states between. The watch keeps
    /// the state of its last item alive, and what that does not share with the newest.
    Coalesced,
}

impl WatchMode {
    /// Exact, with a buffer of 1,024 transactions.
    pub const EXACT: Self = Self::Exact { buffer: 1024 };
}

impl Default for WatchMode {
    fn default() -> Self {
        Self::EXACT
    }
}
