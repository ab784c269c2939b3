//! Creating, reading, updating and deleting one service.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::{ETAG, IF_NONE_MATCH, LOCATION};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde_json::json;
use tailetc::{Commit, Snapshot};

use crate::app::{App, Body, Path};
use crate::model::{Name, NamedService, SERVICES, Service};
use crate::precondition::{Precondition, Tags, etag};
use crate::problem::Problem;

/// `GET /v1/services/{name}`
pub(crate) async fn read(
    Extension(snapshot): Extension<Snapshot>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let Some(metadata) = snapshot.metadata(SERVICES, &name)? else {
        return Err(Problem::not_found(&name));
    };
    let etag = [(ETAG, etag(metadata.mod_revision))];
    if Tags::of(&headers, IF_NONE_MATCH)?.is_some_and(|tags| tags.include(Some(&metadata))) {
        return Ok((StatusCode::NOT_MODIFIED, etag).into_response());
    }
    Ok((etag, Json(snapshot.get(SERVICES, &name)?)).into_response())
}

/// `POST /v1/services`
pub(crate) async fn create(
    State(app): State<App>,
    Extension(snapshot): Extension<Snapshot>,
    Body(NamedService { name, service }): Body<NamedService>,
) -> Result<Response, Problem> {
    let ((), commit) = app
        .db
        .transact_after(&snapshot.token(), |txn| {
            if txn.contains(SERVICES, &name)? {
                let title = format!("there is a service {:?} already", name.as_str());
                let detail = "choose another name, or update it with PUT";
                return Err(Problem::new(StatusCode::CONFLICT, title, detail));
            }
            Ok(txn.put(SERVICES, &name, Arc::clone(&service))?)
        })
        .await?;
    Ok(written(StatusCode::CREATED, &name, &commit))
}

/// `PUT /v1/services/{name}`
pub(crate) async fn put(
    State(app): State<App>,
    Extension(snapshot): Extension<Snapshot>,
    Path(name): Path<Name>,
    headers: HeaderMap,
    Body(service): Body<Arc<Service>>,
) -> Result<Response, Problem> {
    let Some(condition) = Precondition::of(&headers)? else {
        return Err(Problem::new(
            StatusCode::PRECONDITION_REQUIRED,
            "a PUT must say what it expects to find",
            "send If-None-Match: * to create, If-Match: \"<etag>\" to update",
        ));
    };
    let (created, commit) = app
        .db
        .transact_after(&snapshot.token(), |txn| {
            // The put guards the key: what the snapshot says of it is so when it is committed.
            let current = txn.snapshot().metadata(SERVICES, &name)?;
            condition.check(name.as_str(), current.as_ref())?;
            txn.put(SERVICES, &name, Arc::clone(&service))?;
            Ok::<_, Problem>(current.is_none())
        })
        .await?;
    let status = if created { StatusCode::CREATED } else { StatusCode::OK };
    Ok(written(status, &name, &commit))
}

/// `DELETE /v1/services/{name}`
pub(crate) async fn delete(
    State(app): State<App>,
    Extension(snapshot): Extension<Snapshot>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let condition = Precondition::of(&headers)?;
    app.db
        .transact_after(&snapshot.token(), |txn| {
            let current = txn.snapshot().metadata(SERVICES, &name)?;
            if let Some(condition) = &condition {
                condition.check(&name, current.as_ref())?;
            } else if current.is_none() {
                return Err(Problem::not_found(&name));
            }
            Ok(txn.delete(SERVICES, &name)?)
        })
        .await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn written(status: StatusCode, name: &Name, commit: &Commit) -> Response {
    let etag = [(ETAG, etag(commit.revision()))];
    let body = json!({ "name": name.as_str(), "revision": commit.revision().get() });
    let mut response = (status, etag, Json(body)).into_response();
    // All characters of a name may stand in a path as they are.
    if let Ok(location) = HeaderValue::try_from(format!("/v1/services/{name}"))
        && status == StatusCode::CREATED
    {
        response.headers_mut().insert(LOCATION, location);
    }
    response
}
