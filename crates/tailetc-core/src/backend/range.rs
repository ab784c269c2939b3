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
    /// By what the pairs are sorted.
    pub sort_target: SortTarget,
    /// In which order. A limit is applied after sorting, unless this is [`SortOrder::None`].
    pub sort_order: SortOrder,
    /// Return only pairs with at least this `mod_revision`; [`Revision::ZERO`] is no filter. The
    /// count is not filtered, by this nor by the next three.
    pub min_mod_revision: Revision,
    /// Return only pairs with at most this `mod_revision`; [`Revision::ZERO`] is no filter.
    pub max_mod_revision: Revision,
    /// Return only pairs with at least this `create_revision`; [`Revision::ZERO`] is no filter.
    pub min_create_revision: Revision,
    /// Return only pairs with at most this `create_revision`; [`Revision::ZERO`] is no filter.
    pub max_create_revision: Revision,
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
            sort_target: SortTarget::Key,
            sort_order: SortOrder::None,
            min_mod_revision: Revision::ZERO,
            max_mod_revision: Revision::ZERO,
            min_create_revision: Revision::ZERO,
            max_create_revision: Revision::ZERO,
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

    /// Sorts the pairs. Where pairs are equal in `target`, their order is unspecified.
    #[must_use]
    pub fn with_sort(mut self, target: SortTarget, order: SortOrder) -> Self {
        self.sort_target = target;
        self.sort_order = order;
        self
    }

    /// Returns only pairs last written at `revision` or later.
    #[must_use]
    pub fn with_min_mod_revision(mut self, revision: Revision) -> Self {
        self.min_mod_revision = revision;
        self
    }

    /// Returns only pairs last written at `revision` or earlier.
    #[must_use]
    pub fn with_max_mod_revision(mut self, revision: Revision) -> Self {
        self.max_mod_revision = revision;
        self
    }

    /// Returns only pairs created at `revision` or later.
    #[must_use]
    pub fn with_min_create_revision(mut self, revision: Revision) -> Self {
        self.min_create_revision = revision;
        self
    }

    /// Returns only pairs created at `revision` or earlier.
    #[must_use]
    pub fn with_max_create_revision(mut self, revision: Revision) -> Self {
        self.max_create_revision = revision;
        self
    }
}

/// In which order a range is sorted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "etcd's RangeRequest.SortOrder is frozen")]
pub enum SortOrder {
    /// In key order if the target is the key. For any other target, the first pairs in key order,
    /// as many as the limit and one more, are sorted ascending and then cut to the limit.
    #[default]
    None,
    /// The lowest first.
    Ascend,
    /// The highest first.
    Descend,
}

/// What a range is sorted by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "etcd's RangeRequest.SortTarget is frozen")]
pub enum SortTarget {
    /// The key.
    #[default]
    Key,
    /// How often the key was written.
    Version,
    /// When the key was created.
    CreateRevision,
    /// When the key was last written.
    ModRevision,
    /// The value, bytewise.
    Value,
}

/// The answer to a [`RangeRequest`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RangeResponse {
    /// The header; its revision is the store's current one, not the one read at.
    pub header: Header,
    /// The pairs, in the order asked for.
    pub kvs: Vec<KeyValue>,
    /// Whether the limit cut pairs off.
    pub more: bool,
    /// How many keys the range holds, whatever the limit and the filters.
    pub count: i64,
}

impl RangeResponse {
    /// A response.
    pub fn new(header: Header, kvs: Vec<KeyValue>, more: bool, count: i64) -> Self {
        Self { header, kvs, more, count }
    }
}
