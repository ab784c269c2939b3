//! A program that uses a `Db`.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use fastrand::Rng;
use tailetc_core::backend::KvBackend;
use tailetc_core::{Error, LeaseId, Snapshot};
use tokio::time::sleep;

use super::record::{SnapshotRecord, Stamp};
use super::session::Session;
use super::view;
use super::workload;
use super::world::World;

/// Does operations until there have been enough.
pub(crate) async fn work(world: Arc<World>, db: usize, worker: usize, mut rng: Rng) {
    let mut lease = LeaseId::NONE;
    while let Some(number) = world.next_operation() {
        let label = format!("op {number} db {db}.{worker}");
        match rng.u8(..20) {
            0 => fresh(&world, db, label).await,
            1 => at_least(&world, db, label, &mut rng).await,
            2 => look(&world, db, label, &mut rng),
            3 if world.setup.leases => lease = grant(&world, db, &mut rng).await,
            _ => transact(&world, db, label, &mut rng, lease).await,
        }
        sleep(Duration::from_micros(rng.u64(0..=20_000))).await;
    }
}

async fn transact(world: &World, db: usize, label: String, rng: &mut Rng, lease: LeaseId) {
    // Most programs run a transaction again after a conflict; some read for a while first.
    for _ in 0..rng.usize(1..=3) {
        let mut session = Session::begin(world, db, label.clone());
        if rng.u8(..4) == 0 {
            sleep(Duration::from_micros(rng.u64(0..=10_000))).await;
        }
        if let Err(error) = workload::run(&mut session, rng, lease) {
            if error.is_conflict() {
                continue;
            }
            world.count("abandoned");
            return;
        }
        let began = world.stamp();
        let patience = (rng.u8(..20) == 0).then(|| Duration::from_micros(rng.u64(0..=20_000)));
        match session.commit(patience).await {
            Ok(commit) => {
                if !commit.changed() {
                    // It is only as new as its snapshot, which may be of a history that was lost.
                    return;
                }
                let db = &world.dbs[db];
                let snapshot = db.snapshot();
                let same_history = world.cluster.restores() == began.era;
                if same_history && snapshot.revision() < commit.revision() {
                    let (shown, committed) = (snapshot.revision(), commit.revision());
                    world.violation(format!("{label}: at {committed}, but the copy is at {shown}"));
                }
                if rng.u8(..8) == 0 {
                    let at_least = Some(commit.revision());
                    keep(world, label.clone(), began, at_least, &snapshot);
                }
                let mut tokens = world.tokens.lock().unwrap_or_else(PoisonError::into_inner);
                if tokens.len() < 16 {
                    tokens.push((commit.token(), began.era));
                } else {
                    let index = rng.usize(..tokens.len());
                    tokens[index] = (commit.token(), began.era);
                }
                return;
            }
            Err(Error::Conflict { keys, revision }) => {
                // Without faults, the next attempt does not meet the same conflict.
                let calm = world.setup.unrest == 0 && !world.setup.distrustful[db];
                let shown = world.dbs[db].snapshot().revision();
                if calm && keys.is_empty() && shown < revision {
                    world.violation(format!("{label}: conflict at {revision}, shown {shown}"));
                }
            }
            Err(_) => return,
        }
    }
}

async fn fresh(world: &World, db: usize, label: String) {
    let (asked, resyncs) = (world.stamp(), world.resyncs(db));
    match world.dbs[db].fresh().await {
        Ok(snapshot) => {
            world.count("fresh");
            world.trace(format_args!("{label} fresh {}", snapshot.revision()));
            keep(world, label, asked, Some(asked.seen), &snapshot);
        }
        Err(error) => {
            world.heed(db, resyncs, &error);
            failed(world, &label, "fresh failed", &error);
        }
    }
}

async fn at_least(world: &World, db: usize, label: String, rng: &mut Rng) {
    let chosen = {
        let tokens = world.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        if tokens.is_empty() { None } else { Some(tokens[rng.usize(..tokens.len())]) }
    };
    let Some((token, era)) = chosen else { return };
    let (asked, resyncs) = (Stamp { era, ..world.stamp() }, world.resyncs(db));
    match world.dbs[db].at_least(&token).await {
        Ok(snapshot) => {
            world.count("at_least");
            world.trace(format_args!("{label} at_least {}", snapshot.revision()));
            keep(world, label, asked, Some(token.revision()), &snapshot);
        }
        Err(error) => {
            world.heed(db, resyncs, &error);
            failed(world, &label, "at_least failed", &error);
        }
    }
}

fn failed(world: &World, label: &str, what: &'static str, error: &Error) {
    world.count(what);
    world.trace(format_args!("{label} {what}: {error}"));
}

fn look(world: &World, db: usize, label: String, rng: &mut Rng) {
    let db = &world.dbs[db];
    let asked = world.stamp();
    let now = db.snapshot();
    let back = tailetc_core::Revision::new(now.revision().get() - rng.i64(0..4));
    let snapshot = db.snapshot_at(back).unwrap_or(now);
    world.count("snapshots");
    world.trace(format_args!("{label} looks at {}", snapshot.revision()));
    keep(world, label, asked, None, &snapshot);
}

fn keep(
    world: &World,
    label: String,
    asked: Stamp,
    at_least: Option<tailetc_core::Revision>,
    snapshot: &Snapshot,
) {
    let (got, revision) = (world.stamp(), snapshot.revision());
    let pairs = view::pairs(snapshot);
    world.record(|record| {
        record.snapshots.push(SnapshotRecord { label, asked, at_least, got, revision, pairs });
    });
}

async fn grant(world: &World, db: usize, rng: &mut Rng) -> LeaseId {
    let granted = world.clients[db].lease_grant(LeaseId::NONE, rng.i64(2..6)).await;
    world.count("leases");
    granted.map_or(LeaseId::NONE, |lease| lease.id)
}
