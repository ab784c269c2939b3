//! Importing a file of JSON lines.
//!
//! A service that is there already is left as it is. So an import that ended early goes on when it
//! is run again, two at once share the work, and nothing that was changed since is undone.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Deserializer;
use tailetc::{BoxError, Bulk, BulkError, BulkReport, Db};
use tokio::task::spawn_blocking;
use tokio::time::Instant;

use crate::model::{NamedService, SERVICES};
use crate::problem::with_causes;

/// How often it says how far it is.
const STEPS: u64 = 20;

/// Reads the whole file, so that one with a bad line is refused before anything is written; then
/// writes it.
pub(crate) async fn import(db: &Db, path: PathBuf) -> Result<(), BoxError> {
    let (file, began) = (path.display().to_string(), Instant::now());
    let services = spawn_blocking(move || read(&path)).await??;
    let (name, all) = (file.clone(), services.len() as u64);
    let mut next = all / STEPS;
    let bulk = db.bulk().if_absent().on_progress(move |so_far| {
        if so_far.prefix >= next {
            next = so_far.prefix + all / STEPS;
            eprintln!("import: {name}: {} of {all} services", so_far.prefix);
        }
    });
    let report = write(bulk, services).await.map_err(|failed| {
        let (operation, applied) = (failed.operation() + 1, failed.applied());
        let reason = with_causes(failed.reason());
        format!("{file}, from service {operation} on: {reason}; the {applied} first are imported")
    })?;
    let (new, took) = (report.written, began.elapsed());
    eprintln!("import: {file} is complete: {all} services, {new} of them new, in {took:.1?}");
    Ok(())
}

async fn write(mut bulk: Bulk, services: Vec<NamedService>) -> Result<BulkReport, BulkError> {
    for NamedService { name, service } in services {
        bulk.put(SERVICES, name, service).await?;
    }
    bulk.finish().await
}

fn read(path: &Path) -> Result<Vec<NamedService>, BoxError> {
    let file = path.display();
    let text = fs::read(path).map_err(|error| format!("cannot read {file}: {error}"))?;
    let services: Result<_, _> = Deserializer::from_slice(&text).into_iter().collect();
    Ok(services.map_err(|error| format!("{file}: {error}"))?)
}
