//! Everybody else: other programs that write, and the operator.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fastrand::Rng;
use tailetc_core::Revision;
use tailetc_core::backend::{
    BackendError, DeleteRequest, KeyRange, KvBackend, PutRequest, TxnOp, TxnRequest,
};
use tokio::time::sleep;

use super::record::{Outcome, TxnRecord};
use super::stage::Stage;
use super::value::{Item, Name};
use super::workload::any;
use super::world::World;
use crate::faulty::{Cluster, Identity, Restore};

/// Writes without a `Db`: to the keys that everybody uses, and outside of the prefix.
pub async fn write(stage: Arc<dyn Stage>, mut rng: Rng) {
    while !stage.is_over() {
        let called = stage.stamp();
        let (request, writes) = request(&*stage, &mut rng);
        let answer = stage.outside().txn(request).await;
        let ended = stage.stamp();
        if let (Ok(answer), Some(writes)) = (answer, writes) {
            let label = "foreign".to_owned();
            let outcome = Outcome::Committed(answer.header.revision, true);
            let (base, reads, validated) = (Revision::ZERO, Vec::new(), false);
            let writes = writes.into_iter().collect();
            stage.record(|record| {
                record.txns.push(TxnRecord {
                    label,
                    called,
                    ended,
                    base,
                    reads,
                    writes,
                    validated,
                    outcome,
                });
            });
        }
        stage.count("foreign writes");
        sleep(stage.habits().pause(&mut rng, 3)).await;
    }
}

type Writes = Vec<(Bytes, Option<Bytes>)>;

/// A request, and what it writes where that can be told beforehand.
fn request(stage: &dyn Stage, rng: &mut Rng) -> (TxnRequest, Option<Writes>) {
    let item = |rng: &mut Rng| Item { id: stage.id(), number: rng.i64(..1_000) }.encode();
    match rng.u8(..10) {
        // Of another prefix: the revision moves, and no event comes.
        0 | 1 => (TxnRequest::new([PutRequest::new("/other", item(rng)).into()]), None),
        2 if stage.habits().garbage => {
            let name = Name::item(format!("any/{}", rng.u8(..10)));
            let garbage = format!("garbage {}", stage.id());
            (TxnRequest::new([PutRequest::new(name.whole(), garbage).into()]), None)
        }
        // One key twice in one revision.
        3 => {
            let name = any(rng).whole();
            let put = PutRequest::new(name.clone(), item(rng));
            let delete = DeleteRequest::new(KeyRange::key(name));
            let inner = |op: TxnOp| TxnRequest::new([op]).into();
            (TxnRequest::new([inner(put.into()), inner(delete.into())]), None)
        }
        4 => (TxnRequest::new([DeleteRequest::new(KeyRange::key(any(rng).whole())).into()]), None),
        5 => (TxnRequest::new([DeleteRequest::new(Name::raw("any/").prefix()).into()]), None),
        6 => {
            // The very last key, so that an open range deletes nothing else: deleted and put again
            // in one revision.
            let last = Name::raw("~").whole();
            let put = PutRequest::new(last.clone(), item(rng)).into();
            let delete = DeleteRequest::new(KeyRange::from_key(last)).into();
            (TxnRequest::new([delete, put]), None)
        }
        _ => {
            let (a, b) = (any(rng).whole(), any(rng).whole());
            let mut writes = vec![(a.clone(), Some(item(rng)))];
            if a != b {
                writes.push((b, Some(item(rng))));
            }
            let puts = writes.iter().map(|(key, value)| {
                PutRequest::new(key.clone(), value.clone().unwrap_or_default()).into()
            });
            (TxnRequest::new(puts), Some(writes))
        }
    }
}

/// Compacts, restores, and breaks things, now and then.
pub(crate) async fn operate(world: Arc<World>, identity: Identity, mut rng: Rng) {
    let mut restores = world.setup.restores;
    let mut identity = identity;
    let unrest = world.setup.unrest.max(1);
    while !world.is_over() {
        sleep(Duration::from_millis(rng.u64(1..=1_500 / unrest))).await;
        if world.setup.unrest == 0 {
            // Compaction is ordinary.
            let _ = world.cluster.compact().await;
            continue;
        }
        let client = &world.clients[rng.usize(..world.clients.len())];
        let pause = Duration::from_millis(rng.u64(0..=1_000));
        match rng.u8(..12) {
            0..4 => drop(world.cluster.compact().await),
            4 => {
                world.cluster.set_no_space(true);
                sleep(pause).await;
                world.cluster.set_no_space(false);
            }
            5 => {
                client.disconnect();
                sleep(pause).await;
                client.reconnect();
            }
            6 => client.cut_watch(),
            7 => client.silence_watch(),
            8 => {
                client.lag(rng.u32(1..=20));
                sleep(pause).await;
                client.lag(0);
            }
            9 => tokio::time::advance(pause * 3).await,
            10 if restores > 0 => {
                restores -= 1;
                restore(&world, &mut identity, &mut rng).await;
            }
            _ => client.lose_next_commit_reply(),
        }
    }
}

/// A cluster that comes back from a backup can be told from what it was: it has another identifier
/// or a lower term.
async fn restore(world: &World, identity: &mut Identity, rng: &mut Rng) {
    match rng.bool() {
        true => identity.cluster_id += 1,
        false => identity.raft_term -= 1,
    }
    let seen = world.cluster.seen_revision().get();
    let lost = rng.i64(0..=60).min(seen - 2).max(0);
    let bump = if rng.u8(..3) == 0 { 500 } else { 0 };
    let to = Revision::new(seen - lost);
    let restore = Restore { to, identity: *identity, bump };
    let stage: &dyn Stage = world;
    stage.count("restores");
    if let Err(error) = world.cluster.restore(restore).await {
        stage.violation(format!("the restore failed: {error}"));
    }
}

/// Writes what must be there before anybody begins.
pub(crate) async fn prepare(
    cluster: &Cluster,
    pairs: Vec<(Bytes, Bytes)>,
) -> Result<(), BackendError> {
    let puts = pairs.into_iter().map(|(key, value)| PutRequest::new(key, value).into());
    cluster.store().txn(TxnRequest::new(puts)).await?;
    Ok(())
}
