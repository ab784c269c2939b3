//! Those who follow the changes: observers and watches.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fastrand::Rng;
use tailetc_core::backend::KeyRange;
use tailetc_core::{ChangeSet, Changes, Codec, Error, Prefix, RAW, Update, Watch, WatchMode};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::record::{Changed, Record, Scope, StreamItem};
use super::stage::Stage;
use super::value::{ITEMS, Name, PREFIX};
use super::view;

/// An observer of a whole `Db`.
pub(crate) fn observer(
    db: usize,
    record: &Arc<Mutex<Record>>,
    trace: impl Fn(fmt::Arguments<'_>) + Send + 'static,
) -> impl FnMut(&ChangeSet) + Send + 'static {
    let label = format!("db {db} observer");
    let range = KeyRange::prefix(PREFIX);
    let stream = open(&mut lock(record), Scope { label: label.clone(), db, range });
    let record = Arc::clone(record);
    move |set| {
        let changes = view::changes(set);
        let (kind, revision) = (set.kind(), set.revision());
        trace(format_args!("{label} {kind:?} {revision} {}", changes.len()));
        lock(&record).streams[stream].push(StreamItem::Changes { kind, revision, changes });
    }
}

fn open(record: &mut Record, scope: Scope) -> usize {
    record.streams.push(Vec::new());
    record.scopes.push(scope);
    record.streams.len() - 1
}

fn lock(record: &Mutex<Record>) -> std::sync::MutexGuard<'_, Record> {
    record.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Opens watches of both kinds on one `Db`, each with a consumer that is slow at times.
pub(crate) fn consumers(stage: &Arc<dyn Stage>, db: usize, rng: &mut Rng, tasks: &mut JoinSet<()>) {
    let buffer = if rng.bool() { rng.usize(1..=8) } else { 4_096 };
    for (kind, mode) in
        [("exact", WatchMode::Exact { buffer }), ("coalesced", WatchMode::Coalesced)]
    {
        let items = stage.db(db).watch(ITEMS, .., mode);
        let raws = stage.db(db).watch(RAW, Prefix("raw/"), mode);
        // A `Db` refuses watches only when it is closed, which nobody has done yet.
        if let (Ok(items), Ok(raws)) = (items, raws) {
            let scope = |what: &str, range| {
                let label = format!("db {db} {kind} {what}");
                Scope { label, db, range }
            };
            let of_items = scope("items", Name::item("").prefix());
            let of_raws = scope("raw", Name::raw("").prefix());
            let (a, b) = (Arc::clone(stage), Arc::clone(stage));
            tasks.spawn(consume(a, of_items, items, rng.fork(), view::items));
            tasks.spawn(consume(b, of_raws, raws, rng.fork(), view::raws));
        }
    }
}

async fn consume<C: Codec>(
    stage: Arc<dyn Stage>,
    scope: Scope,
    mut watch: Watch<C>,
    mut rng: Rng,
    changes_of: fn(Changes<'_, C>) -> Vec<Changed>,
) {
    let label = scope.label.clone();
    let stream = stage.record(|record| open(record, scope));
    while let Some(item) = watch.next().await {
        let item = match item {
            Ok(update) => item_of(&update, changes_of),
            Err(Error::Lagged { .. }) => {
                stage.count("lagged");
                StreamItem::Lagged
            }
            Err(_) => return,
        };
        if let StreamItem::Changes { kind, revision, changes } = &item {
            stage.trace(format_args!("{label} {kind:?} {revision} {}", changes.len()));
        }
        stage.record(|record| record.streams[stream].push(item));
        if !stage.is_over() && rng.u8(..4) == 0 {
            sleep(Duration::from_millis(rng.u64(0..=100))).await;
        }
    }
}

fn item_of<C>(update: &Update<C>, changes_of: fn(Changes<'_, C>) -> Vec<Changed>) -> StreamItem {
    let (kind, revision) = (update.kind(), update.revision());
    StreamItem::Changes { kind, revision, changes: changes_of(update.changes()) }
}
