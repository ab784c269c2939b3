//! Reading keys.

use crate::Revision;
use crate::backend::{Header, KeyRange, KeyValue};

/// A read of keys at one revision.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RangeRequest {
    /// The keys.
    pub range: KeyRange,
    /// The revision to read at; [`Revision::ZERO`] is the current one.
    pub revision: Revision,
    /// The most pairs to return; 0 is no limit.
    pub limit: i64,
    /// Leave the values empty.
    pub keys_only: bool,
    /// Return only the count.
    pub count_only: bool,
    /// Allow an answer from one member's state, which may be out of date.
    pub serializable: bool,
    /// Return only pairs with at least this `mod_revision`; [`Revision::ZERO`] is no filter. The
    /// count is not filtered.
    pub min_mod_revision: Revision,
}

impl RangeRequest {
    /// All of `range`, at the current revision, linearizable.
    pub fn new(range: KeyRange) -> Self {
        Self {
            range,
            revision: Revision::ZERO,
            limit: 0,
            keys_only: false,
            count_only: false,
            serializable: false,
            min_mod_revision: Revision::ZERO,
        }
    }

    /// Reads at `revision`.
    #[must_use]
    pub fn with_revision(mut self, revision: Revision) -> Self {
        self.revision = revision;
        self
    }

    /// Returns at most `limit` pairs; 0 is no limit.
    #[must_use]
    pub fn with_limit(mut self, limit: i64) -> Self {
        self.limit = limit;
        self
    }

    /// Leaves the values empty.
    #[must_use]
    pub fn with_keys_only(mut self) -> Self {
        self.keys_only = true;
        self
    }

    /// Returns only the count.
    #[must_use]
    pub fn with_count_only(mut self) -> Self {
        self.count_only = true;
        self
    }

    /// Allows an answer that is out of date.
    #[must_use]
    pub fn with_serializable(mut self) -> Self {
        self.serializable = true;
        self
    }

    /// Returns only pairs last written at `revision` or later.
    #[must_use]
    pub fn with_min_mod_revision(mut self, revision: Revision) -> Self {
        self.min_mod_revision = revision;
        self
    }
}

/// The answer to a [`RangeRequest`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RangeResponse {
    /// The header; its revision is the store's current one, not the one read at.
    pub header: Header,
    /// The pairs, in key order.
    pub kvs: Vec<KeyValue>,
    /// Whether the limit cut pairs off.
    pub more: bool,
    /// How many keys the range holds, whatever the limit and the filter.
    pub count: i64,
}

impl RangeResponse {
    /// A response.
    pub fn new(header: Header, kvs: Vec<KeyValue>, more: bool, count: i64) -> Self {
        Self { header, kvs, more, count }
    }
}
