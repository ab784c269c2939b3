//! How a store says no, and whether the request was applied.

use std::error::Error as StdError;
use std::fmt;

use crate::Revision;

/// A failure of a [`KvBackend`](crate::backend::KvBackend) method.
#[derive(Debug)]
pub struct BackendError {
    kind: BackendErrorKind,
    message: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl BackendError {
    /// A failure with the store's own words.
    pub fn new(kind: BackendErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    /// Adds the cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What kind of failure it is: what the caller can act on.
    pub fn kind(&self) -> BackendErrorKind {
        self.kind
    }

    /// The store's own words, such as `etcdserver: too many operations in txn request`.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for BackendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for BackendError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

/// What kind of failure a [`BackendError`] is.
///
/// Every kind but those for which [`is_outcome_unknown`](Self::is_outcome_unknown) is true means
/// that the request was certainly not applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BackendErrorKind {
    /// The store shut down or lost its data: the handle is of no use any more.
    Closed,
    /// The revision asked for has been compacted.
    Compacted {
        /// The store's compaction revision, if it said; [`Revision::ZERO`] if not.
        compact_revision: Revision,
    },
    /// A key is written twice in one transaction.
    DuplicateKey,
    /// The range cannot hold any key.
    EmptyRange,
    /// The revision asked for is above the current one.
    FutureRevision,
    /// The request is malformed: an empty key, or fields that exclude each other.
    InvalidRequest,
    /// A put that keeps value or lease names a key that does not exist.
    KeyNotFound,
    /// The lease identifier is taken.
    LeaseExists,
    /// There is no such lease (any more).
    LeaseNotFound,
    /// The lease time is above the store's limit.
    LeaseTtlTooLarge,
    /// The store is out of space and takes no writes until an operator acts.
    NoSpace,
    /// The user may not do this.
    PermissionDenied,
    /// The write is larger than the store takes.
    RequestTooLarge,
    /// No answer within the deadline. The request may have been applied.
    Timeout,
    /// More compares or operations than the store takes.
    TooManyOps,
    /// The store is busy and did not take the request: try again later.
    TooManyRequests,
    /// Name and password, or the token made of them, are not accepted.
    Unauthenticated,
    /// Lost on the way, or no leader. The request may have been applied.
    Unavailable,
    /// No connection: the request was never sent.
    Unreachable,
    /// The store does not offer this.
    Unsupported,
    /// Anything else. The request may have been applied.
    Unknown,
}

impl BackendErrorKind {
    /// Whether a write that failed so may have been applied all the same.
    pub fn is_outcome_unknown(self) -> bool {
        matches!(self, Self::Timeout | Self::Unavailable | Self::Unknown)
    }

    /// Whether the same request may succeed later without anybody mending anything in it.
    pub fn is_transient(self) -> bool {
        matches!(
            self,
            Self::NoSpace
                | Self::Timeout
                | Self::TooManyRequests
                | Self::Unauthenticated
                | Self::Unavailable
                | Self::Unknown
                | Self::Unreachable
        )
    }
}
