//! Read your writes over HTTP, whichever replica answers: the header `tailetc-token` goes from
//! answers into later requests. A layer puts the token into each answer; the extractor [`AtLeast`]
//! gives a handler a snapshot that shows at least what the request's token speaks of.
//!
//! ```sh
//! cargo run --example tokens -- 127.0.0.1:8080 memory://
//! curl -i -X PUT -d hello http://127.0.0.1:8080/greeting
//! curl -H 'tailetc-token: ...' http://127.0.0.1:8080/greeting
//! ```
use axum::Router;
use axum::body::Bytes;
use axum::extract::{FromRequestParts, Path, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tailetc::{Db, Error, RAW, Snapshot, Token};

pub(crate) const TOKEN: HeaderName = HeaderName::from_static("tailetc-token");

/// A snapshot at the request's token, or past it; of now, if the request has none.
pub(crate) struct AtLeast(pub(crate) Snapshot);

impl FromRequestParts<Db> for AtLeast {
    type Rejection = Failure;
    async fn from_request_parts(parts: &mut Parts, db: &Db) -> Result<Self, Failure> {
        Ok(Self(match token(parts)? {
            Some(token) => db.at_least(&token).await?,
            None => db.snapshot(),
        }))
    }
}

/// The request's token, if it has one: for [`Db::transact_after`].
pub(crate) struct Seen(pub(crate) Option<Token>);

impl FromRequestParts<Db> for Seen {
    type Rejection = Failure;
    async fn from_request_parts(parts: &mut Parts, _: &Db) -> Result<Self, Failure> {
        Ok(Self(token(parts)?))
    }
}

fn token(parts: &Parts) -> Result<Option<Token>, Error> {
    let header = parts.headers.get(TOKEN);
    header.map(|value| String::from_utf8_lossy(value.as_bytes()).parse()).transpose()
}

/// Puts a token into the answer that shows all that the handler has seen or done.
pub(crate) async fn layer(State(db): State<Db>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    // A token prints as hexadecimal digits and dashes.
    if let Ok(value) = HeaderValue::try_from(db.snapshot().token().to_string()) {
        response.headers_mut().entry(TOKEN).or_insert(value);
    }
    response
}

/// What the client can do about an error.
pub(crate) struct Failure(Error);

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status = match &self.0 {
            Error::TokenSyntax { .. } | Error::InvalidKey { .. } => StatusCode::BAD_REQUEST,
            // Of a history that is gone: drop the token, and read anew.
            Error::TokenMismatch { .. } => StatusCode::CONFLICT,
            // This replica is behind, or the store is away: ask again, or another one.
            error if error.is_transient() => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        (status, self.0.to_string()).into_response()
    }
}

async fn read(AtLeast(snapshot): AtLeast, Path(key): Path<String>) -> Result<Response, Failure> {
    Ok(match snapshot.get(RAW, key)? {
        Some(value) => Bytes::clone(&value).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    })
}

/// Appends to what the client has seen, or to something newer.
async fn append(
    State(db): State<Db>,
    Seen(token): Seen,
    Path(key): Path<String>,
    body: Bytes,
) -> Result<StatusCode, Failure> {
    let seen = token.unwrap_or_else(|| db.snapshot().token());
    let write = db.transact_after(&seen, |txn| {
        let before = txn.get(RAW, &key)?.unwrap_or_default();
        txn.put(RAW, &key, Bytes::from([&before[..], &body[..]].concat()))
    });
    write.await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) fn app(db: Db) -> Router {
    let routes = Router::new().route("/{key}", get(read).put(append));
    routes.layer(middleware::from_fn_with_state(db.clone(), layer)).with_state(db)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let listen = arguments.next().unwrap_or_else(|| "127.0.0.1:8080".into());
    let url = arguments.next().unwrap_or_else(|| "memory://".into());
    let db = tailetc::open(&url).prefix("/tokens/").connect().await?;
    let listener = tokio::net::TcpListener::bind(listen).await?;
    Ok(axum::serve(listener, app(db)).await?)
}
