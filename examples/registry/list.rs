//! Listing by prefix or by tag, page by page.

use std::ops::Bound;
use std::sync::Arc;

use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use tailetc::{Error, Metadata, Only, Snapshot};

use crate::app::Query;
use crate::model::{BY_TAG, SERVICES, Service};
use crate::problem::{Problem, with_causes};

const LIMIT: usize = 100;
const LIMIT_MAX: usize = 1000;

#[derive(Debug, Deserialize)]
pub(crate) struct Listing {
    #[serde(default)]
    prefix: String,
    tag: Option<String>,
    limit: Option<usize>,
    /// The `next` of the page before.
    after: Option<String>,
}

/// One page. Each is from one snapshot; a client that sends the token of the page before gets the
/// next one from that snapshot or a newer one.
#[derive(Debug, Serialize)]
pub(crate) struct Page {
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
) -> Result<Json<Page>, Problem> {
    let Listing { prefix, tag, limit, after } = listing;
    let limit = limit.unwrap_or(LIMIT);
    if !(1..=LIMIT_MAX).contains(&limit) {
        return Err(Problem::bad_request(format!("limit must be from 1 to {LIMIT_MAX}")));
    }
    let after = after.as_deref();
    let (services, next) = match &tag {
        None => by_prefix(&snapshot, &prefix, after, limit)?,
        Some(tag) if prefix.is_empty() => by_tag(&snapshot, tag, after, limit)?,
        Some(_) => return Err(Problem::bad_request("prefix and tag exclude each other")),
    };
    Ok(Json(Page { revision: snapshot.revision().get(), services, next }))
}

fn by_prefix(
    snapshot: &Snapshot,
    prefix: &str,
    after: Option<&str>,
    limit: usize,
) -> Result<(Vec<Item>, Option<String>), Error> {
    let start = match after {
        Some(after) if after >= prefix => Bound::Excluded(after),
        _ => Bound::Included(prefix),
    };
    // A scan and not a range: one value that does not decode must not take the listing down.
    let found = snapshot.scan(SERVICES, (start, Bound::Unbounded))?;
    // Keys that are not text are no names: no URL could ask for them.
    let mut found = found
        .filter_map(|found| Some((found.key().as_str()?, found)))
        .take_while(|(name, _)| name.starts_with(prefix))
        .map(|(name, found)| Item::new(name, found.metadata(), found.value()))
        .peekable();
    let services: Vec<Item> = found.by_ref().take(limit).collect();
    let last = services.last().filter(|_| found.peek().is_some());
    let next = last.map(|item| item.name.clone());
    Ok((services, next))
}

fn by_tag(
    snapshot: &Snapshot,
    tag: &str,
    after: Option<&str>,
    limit: usize,
) -> Result<(Vec<Item>, Option<String>), Error> {
    let after = after.map(str::parse).transpose()?;
    let page = snapshot.index(BY_TAG)?.page(Only(tag), after.as_ref(), limit);
    let found = page.items.into_iter();
    let named = found.filter_map(|found| Some((found.key.as_str()?, found)));
    let items = named.map(|(name, found)| Item::new(name, found.metadata, Ok(found.value)));
    Ok((items.collect(), page.next.map(|next| next.to_string())))
}

impl Item {
    fn new(name: &str, metadata: Metadata, value: Result<Arc<Service>, Error>) -> Self {
        let (service, error) = match value {
            Ok(service) => (Some(service), None),
            Err(error) => (None, Some(with_causes(&error))),
        };
        Self { name: name.to_owned(), revision: metadata.mod_revision.get(), service, error }
    }
}
