//! Listing by prefix, page by page.

use std::ops::Bound;
use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use tailetc::{Json as Stored, Shared, Snapshot};

use crate::app::Query;
use crate::model::{SERVICES, Service};
use crate::problem::{Problem, with_causes};
use crate::token;

const LIMIT: usize = 100;
const LIMIT_MAX: usize = 1000;

#[derive(Debug, Deserialize)]
pub(crate) struct Listing {
    #[serde(default)]
    prefix: String,
    limit: Option<usize>,
    /// The `next` of the page before.
    after: Option<String>,
}

/// One page. Each is from one snapshot; a client that sends the token of the page before gets the
/// next one from that snapshot or a newer one.
#[derive(Debug, Serialize)]
struct Page {
    revision: i64,
    services: Vec<Item>,
    /// Where the next page begins: to be given as `after`. None on the last page.
    next: Option<String>,
}

/// Serialised straight from the cached value.
#[derive(Debug, Serialize)]
struct Item {
    name: String,
    revision: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<Arc<Service>>,
    /// Why there is no service: another program has stored something else here.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// `GET /v1/services`
pub(crate) async fn list(
    Extension(snapshot): Extension<Snapshot>,
    Query(listing): Query<Listing>,
) -> Result<Response, Problem> {
    let limit = listing.limit.unwrap_or(LIMIT);
    if !(1..=LIMIT_MAX).contains(&limit) {
        return Err(Problem::bad_request(format!("limit must be from 1 to {LIMIT_MAX}")));
    }
    let prefix = listing.prefix.as_str();
    let start = match listing.after.as_deref() {
        Some(after) if after >= prefix => Bound::Excluded(after),
        _ => Bound::Included(prefix),
    };
    // A scan and not a range: one value that does not decode must not take the listing down.
    let found = snapshot.scan(SERVICES, (start, Bound::Unbounded))?;
    // Keys that are not text are no names: no URL could ask for them.
    let mut found = found
        .filter_map(|found| Some((found.key().as_str()?, found)))
        .take_while(|(name, _)| name.starts_with(prefix))
        .map(|(name, found)| item(name, &found))
        .peekable();
    let services: Vec<Item> = found.by_ref().take(limit).collect();
    let last = services.last().filter(|_| found.peek().is_some());
    let next = last.map(|item| item.name.clone());
    let page = Page { revision: snapshot.revision().get(), services, next };
    Ok(([token::header(snapshot.token())], Json(page)).into_response())
}

fn item(name: &str, found: &tailetc::Item<'_, Stored<Service>, Shared>) -> Item {
    let (service, error) = match found.value() {
        Ok(service) => (Some(service), None),
        Err(error) => (None, Some(with_causes(&error))),
    };
    Item { name: name.to_owned(), revision: found.metadata().mod_revision.get(), service, error }
}
