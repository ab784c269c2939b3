//! A program that uses a `Db`.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use fastrand::Rng;
use tailetc_core::{Error, LeaseId, Snapshot};
use tokio::time::sleep;

use super::record::{SnapshotRecord, Stamp};
use super::session::Session;
use super::stage::Stage;
use super::view;
use super::workload;

/// Does operations until there have been enough.
pub(crate) async fn work(stage: Arc<dyn Stage>, db: usize, worker: usize, mut rng: Rng) {
    let stage = &*stage;
    let mut lease = LeaseId::NONE;
    while let Some(number) = stage.next_operation() {
        let label = format!("op {number} db {db}.{worker}");
        match rng.u8(..20) {
            0 => fresh(stage, db, label).await,
            1 => at_least(stage, db, label, &mut rng).await,
            2 => look(stage, db, label, &mut rng),
            3 if stage.habits().leases => lease = grant(stage, db, &mut rng).await,
            _ => transact(stage, db, label, &mut rng, lease).await,
        }
        sleep(stage.habits().pause(&mut rng, 1)).await;
    }
}

async fn transact(stage: &dyn Stage, db: usize, label: String, rng: &mut Rng, lease: LeaseId) {
    // Most programs run a transaction again after a conflict; some read for a while first.
    for _ in 0..rng.usize(1..=3) {
        let mut session = Session::begin(stage, db, label.clone());
        if rng.u8(..4) == 0 {
            sleep(Duration::from_micros(rng.u64(0..=10_000))).await;
        }
        if let Err(error) = workload::run(&mut session, rng, lease) {
            if error.is_conflict() {
                continue;
            }
            stage.count("abandoned");
            return;
        }
        let began = stage.stamp();
        let patience = (rng.u8(..20) == 0).then(|| Duration::from_micros(rng.u64(0..=20_000)));
        match session.commit(patience).await {
            Ok(commit) => {
                if !commit.changed() {
                    // It is only as new as its snapshot, which may be of a history that was lost.
                    return;
                }
                let db = stage.db(db);
                let snapshot = db.snapshot();
                let same_history = stage.stamp().era == began.era;
                if same_history && snapshot.revision() < commit.revision() {
                    let (shown, committed) = (snapshot.revision(), commit.revision());
                    stage.violation(format!("{label}: at {committed}, but the copy is at {shown}"));
                }
                if rng.u8(..8) == 0 {
                    let at_least = Some(commit.revision());
                    keep(stage, label.clone(), began, at_least, &snapshot);
                }
                let mut tokens = stage.tokens().lock().unwrap_or_else(PoisonError::into_inner);
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
                let calm = stage.is_calm(db);
                let shown = stage.db(db).snapshot().revision();
                if calm && keys.is_empty() && shown < revision {
                    stage.violation(format!("{label}: conflict at {revision}, shown {shown}"));
                }
            }
            Err(_) => return,
        }
    }
}

async fn fresh(stage: &dyn Stage, db: usize, label: String) {
    let (asked, resyncs) = (stage.stamp(), stage.resyncs(db));
    match stage.db(db).fresh().await {
        Ok(snapshot) => {
            stage.count("fresh");
            stage.trace(format_args!("{label} fresh {}", snapshot.revision()));
            keep(stage, label, asked, Some(asked.seen), &snapshot);
        }
        Err(error) => {
            stage.heed(db, resyncs, &error);
            failed(stage, &label, "fresh failed", &error);
        }
    }
}

async fn at_least(stage: &dyn Stage, db: usize, label: String, rng: &mut Rng) {
    let chosen = {
        let tokens = stage.tokens().lock().unwrap_or_else(PoisonError::into_inner);
        if tokens.is_empty() { None } else { Some(tokens[rng.usize(..tokens.len())]) }
    };
    let Some((token, era)) = chosen else { return };
    let (asked, resyncs) = (Stamp { era, ..stage.stamp() }, stage.resyncs(db));
    match stage.db(db).at_least(&token).await {
        Ok(snapshot) => {
            stage.count("at_least");
            stage.trace(format_args!("{label} at_least {}", snapshot.revision()));
            keep(stage, label, asked, Some(token.revision()), &snapshot);
        }
        Err(error) => {
            stage.heed(db, resyncs, &error);
            failed(stage, &label, "at_least failed", &error);
        }
    }
}

fn failed(stage: &dyn Stage, label: &str, what: &'static str, error: &Error) {
    stage.count(what);
    stage.trace(format_args!("{label} {what}: {error}"));
}

fn look(stage: &dyn Stage, db: usize, label: String, rng: &mut Rng) {
    let db = stage.db(db);
    let asked = stage.stamp();
    let now = db.snapshot();
    let back = tailetc_core::Revision::new(now.revision().get() - rng.i64(0..4));
    let snapshot = db.snapshot_at(back).unwrap_or(now);
    stage.count("snapshots");
    stage.trace(format_args!("{label} looks at {}", snapshot.revision()));
    keep(stage, label, asked, None, &snapshot);
}

pub(crate) fn keep(
    stage: &dyn Stage,
    label: String,
    asked: Stamp,
    at_least: Option<tailetc_core::Revision>,
    snapshot: &Snapshot,
) {
    let (got, revision) = (stage.stamp(), snapshot.revision());
    let pairs = view::pairs(snapshot);
    if let Some(wrong) = view::wrong_index(snapshot) {
        stage.violation(format!("{label}: at {revision}, {wrong}"));
    }
    stage.record(|record| {
        record.snapshots.push(SnapshotRecord { label, asked, at_least, got, revision, pairs });
    });
}

async fn grant(stage: &dyn Stage, db: usize, rng: &mut Rng) -> LeaseId {
    let granted = stage.db(db).backend().lease_grant(LeaseId::NONE, rng.i64(2..6)).await;
    stage.count("leases");
    granted.map_or(LeaseId::NONE, |lease| lease.id)
}
