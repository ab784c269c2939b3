//! `GET /v1/changes`: the change stream, as server-sent events.
//!
//! The first event is the present state (`initial`), then one event follows for each etcd
//! transaction; with `mode=coalesced`, for whatever has changed since the client took the last one.
//! The identifier of an event is a token. A client that connects again with the last one, as
//! `Last-Event-ID` or `from`, gets what has changed since; `from=now` is the token of the present.
//! If the registry does not remember so much, the state comes again, as it does after `lagged`,
//! which is told to a client that fell too far behind. `resync` is what changed while the store's
//! history was lost; `end` comes before the registry stops.

use std::convert::Infallible;
use std::iter::from_fn;
use std::sync::Arc;

use async_stream::stream;
use axum::Extension;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_core::Stream;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tailetc::{
    Change, ChangeKind, Db, Error, Json, Prefix, Shared, Snapshot, Token, Update, WatchMode,
};

use crate::app::{App, Query};
use crate::model::{SERVICES, Service};
use crate::problem::{Problem, with_causes};
use crate::shutdown::Stop;

type Watch = tailetc::Watch<Json<Service>, Shared>;

/// The most changes in one event that is not a transaction, so that nobody has to hold the whole
/// state as one text.
const PART: usize = 500;

#[derive(Debug, Deserialize)]
pub(crate) struct Follow {
    #[serde(default)]
    prefix: String,
    #[serde(default)]
    mode: Mode,
    /// A token, or `now`.
    from: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Mode {
    #[default]
    Exact,
    Coalesced,
}

pub(crate) async fn changes(
    State(app): State<App>,
    Extension(snapshot): Extension<Snapshot>,
    Query(Follow { prefix, mode, from }): Query<Follow>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    let mode = match mode {
        Mode::Exact => WatchMode::Exact { buffer: app.stream_buffer },
        Mode::Coalesced => WatchMode::Coalesced,
    };
    let last = headers.get("last-event-id").map(|id| String::from_utf8_lossy(id.as_bytes()));
    let seen = match last.as_deref().or(from.as_deref()) {
        None => None,
        Some("now") => Some(snapshot.token()),
        Some(token) => Some(token.parse()?),
    };
    let watch = watch(&app.db, Prefix(&prefix), mode, seen).await?;
    let keep_alive = KeepAlive::new().interval(app.heartbeat).text("heartbeat");
    Ok(Sse::new(events(watch, seen, app.stop)).keep_alive(keep_alive))
}

/// What comes after `seen`, if that is remembered; else the state, and what comes after that.
async fn watch(
    db: &Db,
    prefix: Prefix<&String>,
    mode: WatchMode,
    seen: Option<Token>,
) -> Result<Watch, Error> {
    if let Some(token) = seen {
        let reached = db.at_least(&token).await;
        match reached.and_then(|_| db.watch_from(SERVICES, prefix, mode, token.revision())) {
            Err(
                Error::RevisionNotKept { .. }
                | Error::TokenMismatch { .. }
                | Error::HistoryLost { .. },
            ) => {}
            watch => return watch,
        }
    }
    db.watch(SERVICES, prefix, mode)
}

fn events(
    mut watch: Watch,
    seen: Option<Token>,
    mut stop: Stop,
) -> impl Stream<Item = Result<Event, Infallible>> {
    stream! {
        // Nothing but an identifier, for a client that connects again before the first change.
        if let Some(token) = seen {
            yield Ok(Event::default().id(token.to_string()));
        }
        loop {
            let update = tokio::select! {
                () = stop.requested() => break,
                update = watch.next() => update,
            };
            match update {
                Some(Ok(update)) => {
                    for event in parts(&update) {
                        yield Ok(event);
                    }
                }
                Some(Err(error @ Error::Lagged { .. })) => {
                    yield Ok(notice("lagged", &error, "the whole state follows"));
                }
                Some(Err(error)) => {
                    yield Ok(notice("closed", &error, "connect again, or to another replica"));
                }
                None => break,
            }
        }
        yield Ok(Event::default().event("end").data("this registry is stopping"));
    }
}

/// The events that tell of one update: one, unless it is large and no transaction.
fn parts(update: &Update<Json<Service>, Shared>) -> impl Iterator<Item = Event> + Send {
    let kind = kind(update.kind());
    let most = if update.kind() == ChangeKind::Transaction { usize::MAX } else { PART };
    let mut changes = update.changes().map(|change| changed(&change)).peekable();
    let mut more = true;
    from_fn(move || {
        if !more {
            return None;
        }
        let part = changes.by_ref().take(most).collect();
        more = changes.peek().is_some();
        let message = Message { kind, revision: update.revision().get(), more, changes: part };
        let event = event(kind, &message);
        // A token says that everything up to there was seen: so it is the last part that has it.
        Some(if more { event } else { event.id(update.token().to_string()) })
    })
}

#[derive(Debug, Serialize)]
struct Message {
    kind: &'static str,
    /// The revision of the state after these changes.
    revision: i64,
    /// Whether the next event belongs to this one.
    more: bool,
    changes: Vec<Changed>,
}

/// One service, serialised straight from the cached values.
#[derive(Debug, Serialize)]
struct Changed {
    name: String,
    change: &'static str,
    /// What a read gives as its `ETag`; none for a deletion.
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<Arc<Service>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<Arc<Service>>,
    /// Why there is no service: another program has stored something else here.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

fn changed(change: &Change<'_, Json<Service>, Shared>) -> Changed {
    let (service, error) = match change.after() {
        Ok(service) => (service, None),
        Err(error) => (None, Some(with_causes(&error))),
    };
    Changed {
        name: change.key().to_string(),
        change: match (change.is_create(), change.is_delete()) {
            (true, _) => "create",
            (_, true) => "delete",
            _ => "update",
        },
        revision: change.metadata_after().map(|metadata| metadata.mod_revision.get()),
        // What did not decode before is of no use to anybody now.
        before: change.before().unwrap_or(None),
        service,
        error,
    }
}

fn kind(kind: ChangeKind) -> &'static str {
    match kind {
        ChangeKind::Initial => "initial",
        ChangeKind::Transaction => "transaction",
        ChangeKind::Resync => "resync",
        _ => "coalesced",
    }
}

fn notice(name: &'static str, error: &Error, detail: &'static str) -> Event {
    event(name, &json!({ "title": with_causes(error), "detail": detail }))
}

fn event(name: &'static str, message: &impl Serialize) -> Event {
    let event = Event::default().event(name);
    // Strings and numbers always have a JSON form; the error would be the event's own.
    event.json_data(message).unwrap_or_else(|error| {
        Event::default().event("error").data(error.to_string().replace(['\r', '\n'], " "))
    })
}
