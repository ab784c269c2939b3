//! How long a run waits for what a server does in its own time.

use std::time::Duration;

/// The waiting times of a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pauses {
    /// From the creation of a watcher in the past that has nothing to send until it is surely
    /// taken as caught up: etcd looks every 100 ms.
    pub(crate) settle: Duration,
    /// From a compaction until the server has surely removed the old versions, which it may show
    /// until its database commits, every 100 ms.
    pub(crate) compaction: Duration,
    /// Nothing has come for so long: nothing will, although more was expected.
    pub(crate) quiet: Duration,
    /// One side has sent more than the other for so long: they differ.
    pub(crate) patience: Duration,
}

impl Pauses {
    /// For many programs.
    pub(crate) const QUICK: Self = Self {
        settle: Duration::from_millis(135),
        compaction: Duration::from_millis(140),
        quiet: Duration::from_millis(250),
        patience: Duration::from_secs(4),
    };
    /// To find a smaller program for what is known to diverge.
    pub(crate) const SHORT: Self = Self { patience: Duration::from_secs(1), ..Self::QUICK };
    /// To look at one program again.
    pub(crate) const PATIENT: Self = Self {
        settle: Duration::from_millis(330),
        compaction: Duration::from_millis(400),
        quiet: Duration::from_millis(500),
        patience: Duration::from_secs(6),
    };
}
