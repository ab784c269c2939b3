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

/// Lists this replica until the session is closed or dropped; again after an outage. If another one
/// has the name (two hosts may listen on the same loopback address), or this one had it and died a
/// moment ago, the lease is added to it. Returns the name as it is listed, too.
pub(crate) async fn announce(
    db: &Db,
    name: &str,
    address: SocketAddr,
) -> Result<(Session, String), Error> {
    let session = db.session(TTL).on_loss(OnLoss::Reestablish).open().await?;
    let announced = session.transact(|txn, lease| {
        let mut listed = name.to_owned();
        if txn.contains(REPLICAS, name)? {
            listed = format!("{name} ({lease})");
        }
        txn.put_with_lease(REPLICAS, &listed, address.to_string(), lease)?;
        Ok::<_, Error>(listed)
    });
    let (listed, _) = announced.await?;
    Ok((session, listed))
}

/// `GET /v1/replicas`
pub(crate) async fn list(Extension(snapshot): Extension<Snapshot>) -> Result<Json<Value>, Problem> {
    let found = snapshot.scan(REPLICAS, ..)?;
    let found = found.filter_map(|found| Some((found.key().to_string(), found.value().ok()?)));
    let replicas: BTreeMap<_, _> = found.collect();
    Ok(Json(json!({ "revision": snapshot.revision().get(), "replicas": replicas })))
}
