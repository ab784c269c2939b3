//! The end of a run: faults end, and every copy must become what the store is.

use std::time::Duration;

use tailetc_core::backend::{KeyRange, KvBackend, RangeRequest};
use tokio::time::{Instant, sleep};

use super::record::SnapshotRecord;
use super::value::PREFIX;
use super::view;
use super::world::World;

/// Leases end and late requests arrive within this.
const SETTLED: Duration = Duration::from_secs(15);

/// How long after the faults ended a `Db` may take to be current when it is asked to be.
const CONVERGED: Duration = Duration::from_secs(30);

/// Ends all faults, waits until every `Db` is current, and closes them all.
pub(crate) async fn converge(world: &World) {
    world.cluster.set_no_space(false);
    for client in &world.clients {
        client.heal();
    }
    sleep(SETTLED).await;
    let all = RangeRequest::new(KeyRange::prefix(PREFIX)).with_count_only();
    let present = match world.cluster.store().range(all).await {
        Ok(response) => response.header.revision,
        Err(error) => return world.violation(format!("the store does not answer: {error}")),
    };
    for (index, db) in world.dbs.iter().enumerate() {
        let (began, asked) = (Instant::now(), world.stamp());
        let label = format!("db {index} at the end");
        let snapshot = loop {
            match db.fresh().await {
                Ok(snapshot) => break Some(snapshot),
                Err(_) if began.elapsed() < CONVERGED => sleep(Duration::from_millis(100)).await,
                Err(error) => {
                    world.violation(format!("{label}: not current in {CONVERGED:?}: {error}"));
                    break None;
                }
            }
        };
        let Some(snapshot) = snapshot else { continue };
        world.trace(format_args!("{label}: current after {:?}", began.elapsed()));
        let (mut got, revision) = (world.stamp(), snapshot.revision());
        got.seen = got.seen.max(present);
        let (at_least, pairs) = (Some(present), view::pairs(&snapshot));
        world.record(|record| {
            record.snapshots.push(SnapshotRecord { label, asked, at_least, got, revision, pairs });
        });
    }
    // Consumers do not dawdle any more.
    sleep(Duration::from_secs(2)).await;
    for db in &world.dbs {
        world.record(|record| record.resyncs.push(db.stats().resyncs));
        db.close();
    }
}
