//! `If-Match` and `If-None-Match`: entity tags are modification revisions.

use axum::http::header::{IF_MATCH, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use tailetc::{Metadata, Revision};

use crate::problem::Problem;

/// The entity tag of a service that was last written at this revision.
pub(crate) fn etag(revision: Revision) -> String {
    format!("\"{revision}\"")
}

/// What must be so for a write to be done.
#[derive(Debug)]
pub(crate) enum Precondition {
    /// `If-None-Match: *`
    Absent,
    /// `If-Match`
    Matches(Tags),
}

impl Precondition {
    /// The condition in the headers of a write; none if there is none.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Option<Self>, Problem> {
        match (Tags::of(headers, IF_MATCH)?, Tags::of(headers, IF_NONE_MATCH)?) {
            (None, None) => Ok(None),
            (Some(tags), None) => Ok(Some(Self::Matches(tags))),
            (None, Some(Tags::Any)) => Ok(Some(Self::Absent)),
            (None, Some(_)) => Err(Problem::bad_request("If-None-Match of a write can only be *")),
            (Some(_), Some(_)) => {
                Err(Problem::bad_request("If-Match and If-None-Match exclude each other"))
            }
        }
    }

    pub(crate) fn check(&self, name: &str, current: Option<&Metadata>) -> Result<(), Problem> {
        let (holds, detail) = match self {
            Self::Absent => (current.is_none(), "read it, and update it with If-Match: \"<etag>\""),
            Self::Matches(tags) => {
                (tags.include(current), "read it again, and repeat the change on top of that")
            }
        };
        if holds {
            return Ok(());
        }
        let title = match current {
            Some(current) => format!("{name:?} is at {}", etag(current.mod_revision)),
            None => format!("{name:?} does not exist"),
        };
        Err(Problem::new(StatusCode::PRECONDITION_FAILED, title, detail))
    }
}

/// A list of entity tags.
#[derive(Debug)]
pub(crate) enum Tags {
    /// `*`: whatever there is.
    Any,
    Listed(Vec<String>),
}

impl Tags {
    pub(crate) fn of(headers: &HeaderMap, name: HeaderName) -> Result<Option<Self>, Problem> {
        let mut listed = Vec::new();
        for value in headers.get_all(&name) {
            let text = HeaderValue::to_str(value)
                .map_err(|_| Problem::bad_request(format!("the header {name} is not text")))?;
            listed.extend(text.split(',').map(|tag| tag.trim().to_owned()));
        }
        if listed.is_empty() {
            return Ok(None);
        }
        if listed == ["*"] {
            return Ok(Some(Self::Any));
        }
        // Weak tags are well formed, and match nothing: every tag given out is strong.
        let quoted = |tag: &String| {
            let strong = tag.strip_prefix("W/").unwrap_or(tag);
            strong.len() >= 2 && strong.starts_with('"') && strong.ends_with('"')
        };
        if !listed.iter().all(quoted) {
            let title = format!("the header {name} takes * or entity tags in double quotes");
            return Err(Problem::bad_request(title));
        }
        Ok(Some(Self::Listed(listed)))
    }

    pub(crate) fn include(&self, current: Option<&Metadata>) -> bool {
        match (self, current) {
            (_, None) => false,
            (Self::Any, Some(_)) => true,
            (Self::Listed(tags), Some(current)) => tags.contains(&etag(current.mod_revision)),
        }
    }
}
