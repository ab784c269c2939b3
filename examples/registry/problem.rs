//! What failed and what to do about it, as HTTP. The one place that maps [`tailetc::Error`].

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tailetc::Error;
use tailetc::backend::BackendErrorKind;

/// An error answer, with a body as in RFC 9457.
#[derive(Debug, Serialize)]
pub(crate) struct Problem {
    #[serde(serialize_with = "as_number")]
    status: StatusCode,
    /// What failed.
    title: String,
    /// What to do.
    detail: &'static str,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, title: impl Into<String>, detail: &'static str) -> Self {
        Self { status, title: title.into(), detail }
    }

    pub(crate) fn bad_request(title: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, title, "mend the request")
    }

    pub(crate) fn not_found(name: &str) -> Self {
        let title = format!("there is no service {name:?}");
        Self::new(StatusCode::NOT_FOUND, title, "create it with PUT and If-None-Match: *")
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let (status, detail) = match &error {
            Error::TokenSyntax { .. } | Error::CursorSyntax { .. } => {
                (StatusCode::BAD_REQUEST, "send it as you received it, or leave it out")
            }
            Error::TokenMismatch { .. } => {
                (StatusCode::CONFLICT, "it is another store's token: leave it out and read again")
            }
            Error::InvalidKey { .. } => (StatusCode::BAD_REQUEST, "choose another name"),
            Error::Conflict { .. } => (StatusCode::CONFLICT, "read again, and try on top of that"),
            Error::LimitExceeded { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "make it smaller"),
            Error::NotCaughtUp { committed: Some(_), .. } => {
                (StatusCode::ACCEPTED, "it is stored; this replica will show it later")
            }
            Error::OutcomeUnknown { .. } => (
                StatusCode::GATEWAY_TIMEOUT,
                "it may be stored or not: read it, or send it again with the same precondition",
            ),
            Error::TooManyConflicts { .. }
            | Error::NotCaughtUp { .. }
            | Error::HistoryLost { .. }
            | Error::Closed { .. } => {
                (StatusCode::SERVICE_UNAVAILABLE, "try again later, or ask another replica")
            }
            Error::Backend { .. } => refused_by_store(&error),
            Error::Undecodable { .. } => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "another program stored something else here: overwrite it with PUT and If-Match: *",
            ),
            _ => (StatusCode::INTERNAL_SERVER_ERROR, "this is a mistake of the registry"),
        };
        Self::new(status, with_causes(&error), detail)
    }
}

fn refused_by_store(error: &Error) -> (StatusCode, &'static str) {
    if error.backend_kind() == Some(BackendErrorKind::RequestTooLarge) {
        (StatusCode::PAYLOAD_TOO_LARGE, "make it smaller")
    } else if error.is_transient() {
        (StatusCode::SERVICE_UNAVAILABLE, "nothing was stored: try again later")
    } else {
        (StatusCode::BAD_GATEWAY, "nothing was stored: the operator of the store must act")
    }
}

/// An error with all that caused it, in one line.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.status;
        let json = HeaderValue::from_static("application/problem+json");
        let mut response = (status, [(CONTENT_TYPE, json)], Json(self)).into_response();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

impl From<JsonRejection> for Problem {
    fn from(rejection: JsonRejection) -> Self {
        let detail = match rejection.status() {
            StatusCode::UNPROCESSABLE_ENTITY => "mend the fields of the JSON",
            _ => "send JSON with content-type: application/json",
        };
        Self::new(rejection.status(), rejection.body_text(), detail)
    }
}

impl From<QueryRejection> for Problem {
    fn from(rejection: QueryRejection) -> Self {
        Self::new(rejection.status(), rejection.body_text(), "mend the query of the URL")
    }
}

impl From<PathRejection> for Problem {
    fn from(rejection: PathRejection) -> Self {
        Self::new(rejection.status(), rejection.body_text(), "mend the path of the URL")
    }
}

fn as_number<S: serde::Serializer>(status: &StatusCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u16(status.as_u16())
}
