//! Which replicas of the registry are alive: each holds a session key for as long as it serves.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use axum::{Extension, Json};
use serde_json::{Value, json};
use tailetc::{Db, Error, OnLoss, Session, Snapshot};

use crate::model::REPLICAS;
use crate::problem::Problem;

/// For how long the store keeps a replica that it does not hear of.
const TTL: Duration = Duration::from_secs(10);

/// Lists this replica until the session is closed or dropped; again after an outage.
pub(crate) async fn announce(db: &Db, name: &str, address: SocketAddr) -> Result<Session, Error> {
    let session = db.session(TTL).on_loss(OnLoss::Reestablish).open().await?;
    session.put(REPLICAS, name, address.to_string()).await?;
    Ok(session)
}

/// `GET /v1/replicas`
pub(crate) async fn list(Extension(snapshot): Extension<Snapshot>) -> Result<Json<Value>, Problem> {
    let found = snapshot.scan(REPLICAS, ..)?;
    let found = found.filter_map(|found| Some((found.key().to_string(), found.value().ok()?)));
    let replicas: BTreeMap<_, _> = found.collect();
    Ok(Json(json!({ "revision": snapshot.revision().get(), "replicas": replicas })))
}
