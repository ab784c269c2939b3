//! `Tailetc-Token`: reads that are at least as new as what the client has seen.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tailetc::{Snapshot, Token};

use crate::app::App;
use crate::problem::Problem;

const TOKEN: HeaderName = HeaderName::from_static("tailetc-token");

/// Gives each handler a [`Snapshot`] that shows what the request's token speaks of, and each answer
/// a token.
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
    if !response.headers().contains_key(TOKEN) {
        let (name, value) = header(app.db.snapshot().token());
        response.headers_mut().insert(name, value);
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

/// The header of an answer that shows the store as at `token`.
pub(crate) fn header(token: Token) -> (HeaderName, HeaderValue) {
    // A token prints as hexadecimal digits and dashes.
    let value = HeaderValue::try_from(token.to_string());
    (TOKEN, value.unwrap_or(HeaderValue::from_static("")))
}
