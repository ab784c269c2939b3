//! The end of a run: faults end, and every copy must become what the store is.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use tailetc_core::backend::{KeyRange, KvBackend, RangeRequest};
use tailetc_core::{Revision, Snapshot};
use tokio::time::{Instant, sleep};

use super::record::SnapshotRecord;
use super::stage::Stage;
use super::value::{BY_SEAT, OWN, PREFIX};
use super::view;
use super::world::World;

/// Leases end and late requests arrive within this.
const SETTLED: Duration = Duration::from_secs(15);

/// How long after the faults ended a `Db` may take to show what the store has, and then to know it
/// when it is asked.
const CONVERGED: Duration = Duration::from_secs(30);

/// Ends all faults, waits until every `Db` is current, and closes them all.
pub(crate) async fn converge(world: &World) {
    let stage: &dyn Stage = world;
    world.cluster.set_no_space(false);
    for client in &world.clients {
        client.heal();
    }
    sleep(SETTLED).await;
    let all = RangeRequest::new(KeyRange::prefix(PREFIX));
    let stored = match world.cluster.store().range(all).await {
        Ok(response) => response,
        Err(error) => return stage.violation(format!("the store does not answer: {error}")),
    };
    let present = stored.header.revision;
    let pairs = stored.kvs.into_iter().map(|kv| (kv.key, kv.mod_revision));
    let stored: BTreeMap<_, _> =
        pairs.filter(|(key, _)| !key.starts_with(OWN.as_bytes())).collect();
    for (index, db) in world.dbs.iter().enumerate() {
        let label = format!("db {index} at the end");
        // Nobody asks it to: a connection that died without a word must be noticed all the same.
        let healed = Instant::now();
        while !shows(&db.snapshot(), &stored) {
            if healed.elapsed() > CONVERGED {
                stage.violation(format!("{label}: not what the store has after {CONVERGED:?}"));
                break;
            }
            sleep(Duration::from_millis(100)).await;
        }
        let (began, asked) = (Instant::now(), world.stamp());
        let snapshot = loop {
            match db.fresh().await {
                Ok(snapshot) => break Some(snapshot),
                Err(_) if began.elapsed() < CONVERGED => sleep(Duration::from_millis(100)).await,
                Err(error) => {
                    stage.violation(format!("{label}: not current in {CONVERGED:?}: {error}"));
                    break None;
                }
            }
        };
        let Some(snapshot) = snapshot else { continue };
        stage.trace(format_args!("{label}: current after {:?}", began.elapsed()));
        match snapshot.check_unique(BY_SEAT) {
            Ok(check) if check.is_clean() => {}
            check => stage.violation(format!("{label}: reservations are wrong: {check:?}")),
        }
        let (mut got, revision) = (world.stamp(), snapshot.revision());
        got.seen = got.seen.max(present);
        let (at_least, pairs) = (Some(present), view::pairs(&snapshot));
        stage.record(|record| {
            record.snapshots.push(SnapshotRecord { label, asked, at_least, got, revision, pairs });
        });
    }
    // Consumers do not dawdle any more.
    sleep(Duration::from_secs(2)).await;
    for db in &world.dbs {
        stage.record(|record| record.resyncs.push(db.stats().resyncs));
        db.close();
    }
}

/// Whether a snapshot has exactly these keys, each at its revision.
fn shows(snapshot: &Snapshot, stored: &BTreeMap<Bytes, Revision>) -> bool {
    let shown = view::pairs(snapshot);
    shown
        .iter()
        .map(|(key, pair)| (key, pair.mod_revision))
        .eq(stored.iter().map(|(k, at)| (k, *at)))
}
