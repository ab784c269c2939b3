//! What a run knows of the state of both servers, from their answers.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::program::{FIRST_CHOSEN, Rev};
use crate::wire::{Answer, Call};

/// A lease with less time to live ends by itself while programs run.
const SHORT_TTL: i64 = 10;
/// The shortest lease lives for a second; when half of it is over, its end is awaited.
const SAFE_AGE: Duration = Duration::from_millis(450);

#[derive(Debug)]
pub(super) struct World {
    pub(super) revision: i64,
    pub(super) compacted: i64,
    /// The revision at the program's start.
    pub(super) start: i64,
    /// The leases that exist, with the time of the grant of those that end by themselves.
    pub(super) leases: BTreeMap<i64, Option<Instant>>,
    /// The identifiers that the server chose in this program.
    chosen: Vec<i64>,
    /// When old versions may still be there.
    pub(super) compacting_since: Option<Instant>,
    /// When a watcher in the past was last created that may not have caught up.
    pub(super) watch_in_the_past: Option<Instant>,
    /// What comes of watches now comes in an order that is open, and is not compared one by one.
    pub(super) is_order_open: bool,
}

impl World {
    pub(super) fn fresh() -> Self {
        Self {
            revision: 1,
            compacted: -1,
            start: 1,
            leases: BTreeMap::new(),
            chosen: Vec::new(),
            compacting_since: None,
            watch_in_the_past: None,
            is_order_open: false,
        }
    }

    pub(super) fn begin(&mut self) {
        self.start = self.revision;
        self.chosen.clear();
    }

    pub(super) fn rev(&self, rev: Rev) -> i64 {
        match rev {
            Rev::At(revision) => revision,
            Rev::Now(more) => self.revision.saturating_add(more),
            Rev::Compacted(more) => self.compacted.saturating_add(more),
            Rev::Start(more) => self.start.saturating_add(more),
        }
    }

    pub(super) fn lease(&self, lease: i64) -> i64 {
        match usize::try_from(lease - FIRST_CHOSEN) {
            Ok(index) => self.chosen.get(index).copied().unwrap_or(lease),
            Err(_) => lease,
        }
    }

    /// Whether a lease may soon end.
    pub(super) fn lease_ends_soon(&self) -> bool {
        self.leases.values().flatten().any(|granted| granted.elapsed() > SAFE_AGE)
    }

    /// The leases that end by themselves.
    pub(super) fn short_leases(&self) -> Vec<i64> {
        self.leases.iter().filter(|(_, granted)| granted.is_some()).map(|(id, _)| *id).collect()
    }

    /// Takes note of an answer.
    pub(super) fn learn(&mut self, call: &Call, answer: &Answer) {
        if let Some(header) = answer.header() {
            self.revision = self.revision.max(header.revision);
        }
        match (call, answer) {
            (Call::Compact(request), _) => {
                self.compacted = request.revision;
                if !request.physical {
                    self.compacting_since = Some(Instant::now());
                }
            }
            (Call::Grant(request), Answer::Grant(answer)) => {
                if request.id == 0 {
                    self.chosen.push(answer.id);
                }
                let short = answer.ttl < SHORT_TTL;
                self.leases.insert(answer.id, short.then(Instant::now));
            }
            (Call::Revoke(request), _) => {
                self.leases.remove(&request.id);
            }
            _ => {}
        }
    }
}
