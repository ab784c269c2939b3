//! What was done and seen in a run, for the oracle.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use tailetc_core::backend::KeyRange;
use tailetc_core::{ChangeKind, LeaseId, Revision};

/// Everything that the oracle judges, but for the store's own histories.
#[derive(Debug, Default)]
pub struct Record {
    pub(crate) txns: Vec<TxnRecord>,
    pub(crate) snapshots: Vec<SnapshotRecord>,
    pub(crate) streams: Vec<Vec<StreamItem>>,
    /// What each stream was of.
    pub(crate) scopes: Vec<Scope>,
    /// How often each `Db` loaded everything again.
    pub(crate) resyncs: Vec<u64>,
    /// What was found wrong on the spot.
    pub(crate) violations: Vec<String>,
    pub(crate) counts: BTreeMap<&'static str, u64>,
    /// How often a `Db` had resynced when it last said that the history which it shows is lost.
    pub(crate) warned: BTreeMap<usize, u64>,
}

/// What a stream was of.
#[derive(Debug)]
pub(crate) struct Scope {
    pub(crate) label: String,
    pub(crate) db: usize,
    pub(crate) range: KeyRange,
}

/// A moment: when, in which history of the cluster, and the highest revision that any client knew.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "stages say all of it")]
pub struct Stamp {
    /// Since the run began.
    pub at: Duration,
    /// How often the cluster had been restored.
    pub era: usize,
    /// The highest revision of that history that any client knew.
    pub seen: Revision,
}

/// One transaction of a `Db`, or of a foreign writer.
#[derive(Clone, Debug)]
pub(crate) struct TxnRecord {
    pub(crate) label: String,
    /// When the commit was called.
    pub(crate) called: Stamp,
    pub(crate) ended: Stamp,
    pub(crate) base: Revision,
    pub(crate) reads: Vec<Read>,
    pub(crate) writes: BTreeMap<Bytes, Option<Bytes>>,
    pub(crate) validated: bool,
    pub(crate) outcome: Outcome,
}

#[derive(Clone, Debug)]
pub(crate) enum Read {
    Key {
        key: Bytes,
        value: Option<Bytes>,
    },
    Exists {
        key: Bytes,
        exists: bool,
    },
    /// `own` are the transaction's earlier writes.
    Range {
        range: KeyRange,
        own: BTreeMap<Bytes, Option<Bytes>>,
        pairs: Vec<(Bytes, Bytes)>,
    },
    /// The items of a range whose numbers are from `low` to `high`, by their numbers.
    Numbers {
        range: KeyRange,
        low: i64,
        high: i64,
        own: BTreeMap<Bytes, Option<Bytes>>,
        pairs: Vec<(Bytes, Bytes)>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// With its revision, and whether it changed anything.
    Committed(Revision, bool),
    Unknown,
    /// Certainly not applied.
    NotApplied,
}

/// What a snapshot showed.
#[derive(Clone, Debug)]
pub(crate) struct SnapshotRecord {
    pub(crate) label: String,
    /// When what must be in it was known, and how much that is.
    pub(crate) asked: Stamp,
    /// The lowest revision that it must show, if any.
    pub(crate) at_least: Option<Revision>,
    pub(crate) got: Stamp,
    pub(crate) revision: Revision,
    pub(crate) pairs: BTreeMap<Bytes, Pair>,
}

/// A key's value and metadata, as a reader saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pair {
    pub(crate) create_revision: Revision,
    pub(crate) mod_revision: Revision,
    pub(crate) version: i64,
    pub(crate) lease: LeaseId,
    /// None: does not decode.
    pub(crate) value: Option<Bytes>,
}

/// One item of an observer or a watch.
#[derive(Clone, Debug)]
pub(crate) enum StreamItem {
    Changes { kind: ChangeKind, revision: Revision, changes: Vec<Changed> },
    Lagged,
}

#[derive(Clone, Debug)]
pub(crate) struct Changed {
    pub(crate) key: Bytes,
    pub(crate) before: Option<Pair>,
    pub(crate) after: Option<Pair>,
}
