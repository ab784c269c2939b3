//! Leases.

use bytes::Bytes;

use crate::LeaseId;
use crate::backend::Header;

/// A lease as granted or renewed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lease {
    /// The header of the response.
    pub header: Header,
    /// The lease.
    pub id: LeaseId,
    /// How long it lives without renewal, in seconds.
    pub ttl_seconds: i64,
}

impl Lease {
    /// A lease.
    pub fn new(header: Header, id: LeaseId, ttl_seconds: i64) -> Self {
        Self { header, id, ttl_seconds }
    }
}

/// What is left of a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LeaseTimeToLive {
    /// The header of the response.
    pub header: Header,
    /// The lease.
    pub id: LeaseId,
    /// The time left, in whole seconds, rounded down: 0 is alive for the last second.
    pub ttl_seconds: i64,
    /// The time that was granted, in seconds.
    pub granted_ttl_seconds: i64,
    /// The keys attached, if asked for, in no order.
    pub keys: Vec<Bytes>,
}

impl LeaseTimeToLive {
    /// What is left.
    pub fn new(
        header: Header,
        id: LeaseId,
        ttl_seconds: i64,
        granted_ttl_seconds: i64,
        keys: Vec<Bytes>,
    ) -> Self {
        Self { header, id, ttl_seconds, granted_ttl_seconds, keys }
    }
}
