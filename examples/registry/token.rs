//! `Tailetc-Token`: answers that are at least as new as what the client has seen.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tailetc::{Snapshot, Token};

use crate::app::App;
use crate::problem::Problem;

const TOKEN: HeaderName = HeaderName::from_static("tailetc-token");

/// Gives each handler a [`Snapshot`] that shows what the request's token speaks of, to read or to
/// write after, and each answer a token that covers what the handler has read or written.
pub(crate) async fn middleware(
    State(app): State<App>,
    mut request: Request,
    next: Next,
) -> Response {
    let mut response = match snapshot_for(&app, request.headers()).await {
        Ok(snapshot) => {
            request.extensions_mut().insert(snapshot);
            next.run(request).await
        }
        Err(problem) => problem.into_response(),
    };
    // A token prints as hexadecimal digits and dashes.
    if let Ok(token) = HeaderValue::try_from(app.db.snapshot().token().to_string()) {
        response.headers_mut().insert(TOKEN, token);
    }
    response
}

async fn snapshot_for(app: &App, headers: &HeaderMap) -> Result<Snapshot, Problem> {
    let Some(value) = headers.get(TOKEN) else {
        return Ok(app.db.snapshot());
    };
    let token: Token = String::from_utf8_lossy(value.as_bytes()).parse()?;
    Ok(app.db.at_least(&token).await?)
}
