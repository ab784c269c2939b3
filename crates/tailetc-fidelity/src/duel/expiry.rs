//! Leases that end by themselves.

use std::collections::VecDeque;

use etcd_client::proto::{PbCompactionRequest, PbLeaseLeasesRequest, PbWatchResponse};
use tokio::time::{Duration, Instant, sleep};

use super::side::Side;
use super::{Divergence, Duel, STREAMS};
use crate::wire::{Answer, Call};

/// How long a server may take to end leases that have a second to live.
const PATIENCE: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(30);
/// How far ahead of the present a watch may start and still see an expiry.
const NEAR: i64 = 10;
/// The compactions whose hashes a server keeps (`hashStorageMaxSize`).
const STORED_HASHES: usize = 10;

impl Duel {
    /// Lets the short leases end on both sides, and compares what comes of it.
    ///
    /// The order of leases that end together is open: their events are then compared without
    /// revisions and order, and a compaction makes the histories equal again.
    pub(super) async fn expire(&mut self) -> Result<(), Divergence> {
        let short = self.world.short_leases();
        if short.is_empty() {
            return Ok(());
        }
        self.settle().await?;
        self.quiesce().await?;
        self.reach_starts().await?;
        let before = self.world.revision;
        self.b.server.advance(Duration::from_secs(3));
        let (of_a, of_b) = (revision_without(&self.a, &short), revision_without(&self.b, &short));
        let (of_a, of_b) = tokio::join!(of_a, of_b);
        if of_a != of_b || of_a.is_err() {
            let at = format!("{}: the expiry of the leases {short:?}", self.now);
            return Err(Divergence { at, a: format!("{of_a:?}"), b: format!("{of_b:?}") });
        }
        let after = of_a.unwrap_or(before);
        self.world.revision = after;
        for lease in short {
            self.world.leases.remove(&lease);
        }
        if after > before + 1 {
            self.world.is_order_open = true;
            self.quiesce().await?;
            self.compare_unordered()?;
            self.world.is_order_open = false;
            self.realign().await?;
        }
        // An expiry is tried again while it is on its way, which takes entries of raft's log.
        self.note_raft_indexes().await
    }

    /// Which events are before the start of a watch depends on their order.
    async fn reach_starts(&mut self) -> Result<(), Divergence> {
        let streams = self.a.streams.iter().flatten();
        let starts = streams
            .map(|stream| stream.farthest_start())
            .filter(|start| (self.world.revision..=self.world.revision + NEAR).contains(start));
        let farthest = starts.max().unwrap_or(0);
        while self.world.revision < farthest {
            self.exchange(0, self.world.put("z", "")).await?;
        }
        self.quiesce().await
    }

    /// Compacts what depends on the order away, and the hashes that were stored of it.
    async fn realign(&mut self) -> Result<(), Divergence> {
        for _ in 0..=STORED_HASHES {
            self.exchange(0, self.world.put("z", "")).await?;
            self.quiesce().await?;
            let revision = self.world.revision;
            let compact = Call::Compact(PbCompactionRequest { revision, physical: true });
            self.exchange(0, compact).await?;
        }
        Ok(())
    }

    fn compare_unordered(&mut self) -> Result<(), Divergence> {
        let all = "all events".to_owned();
        let mut lanes = vec![(
            all,
            std::mem::take(&mut self.a.spy.arrived),
            std::mem::take(&mut self.b.spy.arrived),
        )];
        for number in 0..STREAMS {
            let (Some(a), Some(b)) = (&mut self.a.streams[number], &mut self.b.streams[number])
            else {
                continue;
            };
            for (lane, of_a) in &mut a.lanes {
                let of_b = b.lanes.get_mut(lane).map(std::mem::take).unwrap_or_default();
                let place = format!("stream {number}, watch id {}", lane.0);
                lanes.push((place, std::mem::take(of_a), of_b));
            }
        }
        for (place, a, b) in lanes {
            self.compared.watch_responses += u64::try_from(a.len()).unwrap_or(0);
            let (a, b) = (unordered(&self.a, a), unordered(&self.b, b));
            if a != b {
                let at = format!("{}: {place}, after leases that ended together", self.now);
                return Err(Divergence { at, a: format!("{a:?}"), b: format!("{b:?}") });
            }
        }
        Ok(())
    }
}

/// The responses without what depends on the order in which leases ended.
fn unordered(side: &Side, responses: VecDeque<PbWatchResponse>) -> Vec<String> {
    let mut texts: Vec<_> = responses
        .into_iter()
        .map(|response| {
            let mut response = side.canonical_watch(response);
            if let Some(header) = &mut response.header {
                header.revision = 0;
            }
            for kv in response.events.iter_mut().filter_map(|event| event.kv.as_mut()) {
                kv.mod_revision = 0;
            }
            format!("{response:?}")
        })
        .collect();
    texts.sort();
    texts
}

/// The revision of a server once these leases have ended.
async fn revision_without(side: &Side, leases: &[i64]) -> Result<i64, String> {
    let started = Instant::now();
    loop {
        match side.client(0).call(Call::Leases(PbLeaseLeasesRequest {})).await {
            Ok(Answer::Leases(answer)) => {
                if !answer.leases.iter().any(|lease| leases.contains(&lease.id)) {
                    return Ok(answer.header.map_or(0, |header| header.revision));
                }
            }
            other => return Err(format!("{other:?}")),
        }
        if started.elapsed() > PATIENCE {
            return Err("the leases do not end".to_owned());
        }
        sleep(LOOK).await;
    }
}
