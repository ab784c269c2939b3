//! The store-wide counter and the lease identifier, as types of their own.

use std::fmt;

/// A revision of the whole store: etcd's `ResponseHeader.revision` and `KeyValue.mod_revision`.
///
/// A fresh store is at revision 1; every request that changes at least one key adds exactly 1.
/// [`Revision::ZERO`] stands for "current" in requests and for "absent" in comparisons with
/// `mod_revision`, as in etcd.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(i64);

impl Revision {
    /// "Current" in a request, "no such key" in a comparison.
    pub const ZERO: Self = Self(0);

    /// Wraps etcd's number. Negative numbers are kept: the server gives some of them a meaning.
    pub const fn new(revision: i64) -> Self {
        Self(revision)
    }

    /// etcd's number.
    pub const fn get(self) -> i64 {
        self.0
    }

    /// The revision after this one. Saturates at the largest number, which no store reaches.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// Whether this is [`Revision::ZERO`].
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The identifier of a lease. [`LeaseId::NONE`] (0) stands for "no lease" on a key and "let the
/// server choose" in a grant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaseId(i64);

impl LeaseId {
    /// No lease.
    pub const NONE: Self = Self(0);

    /// Wraps etcd's number.
    pub const fn new(id: i64) -> Self {
        Self(id)
    }

    /// etcd's number.
    pub const fn get(self) -> i64 {
        self.0
    }

    /// Whether this is [`LeaseId::NONE`].
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }
}

impl fmt::Display for LeaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}
