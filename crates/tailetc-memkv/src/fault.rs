//! Deliberate departures from etcd, to test that the tests see them.

/// One thing that a store with it does wrong.
#[cfg_attr(
    not(any(test, feature = "faults")),
    expect(unreachable_pub, reason = "without the feature nobody can ask for one")
)]
#[cfg_attr(
    any(test, feature = "faults"),
    expect(clippy::exhaustive_enums, reason = "only the tests of the tests name them, and all")
)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A request that only deletes takes no revision: its answer has the revision before, and the
    /// next request that puts something has the same revision as the deletions, which watches get
    /// together with it.
    DeletionWithoutRevision,
    /// The value of an absent key differs from every value: `NOT_EQUAL` holds.
    AbsentValueNotEqual,
    /// The conditions of a nested transaction are decided when it is its turn, and see what ran
    /// before it.
    NestedCompareSeesWrites,
    /// A watch that catches up gets the last revision of a batch in two responses, if it has more
    /// than one event there.
    SplitRevision,
    /// Leases that are found to have expired at the same time delete their keys in one revision.
    SharedExpiry,
    /// A read at the compaction revision is refused as compacted.
    CompactRevisionRefused,
}
