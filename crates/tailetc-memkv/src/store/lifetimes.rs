//! Requests about leases (etcd: `server/lease/lessor.go`,
//! `server/etcdserver/api/v3rpc/lease.go`).

use std::collections::BTreeSet;

use tailetc_core::LeaseId;
use tailetc_core::backend::{BackendError, Header, KeyRange, Lease, LeaseTimeToLive};
use tokio::time::Instant;

use super::Store;
use super::keys::KeySet;
use super::quota::Cost;
use super::write::Write;
use crate::errors;
use crate::fault::Fault;

impl Store {
    pub(crate) fn lease_grant(
        &mut self,
        id: LeaseId,
        ttl_seconds: i64,
        now: Instant,
    ) -> Result<Lease, BackendError> {
        self.check_quota(Cost::LEASE)?;
        self.raft_index += 1;
        self.check_alarm(Cost::LEASE)?;
        let (id, ttl_seconds) = self.leases.grant(id, ttl_seconds, now)?;
        Ok(Lease::new(self.header(), id, ttl_seconds))
    }

    pub(crate) fn lease_revoke(&mut self, id: LeaseId) -> Result<Header, BackendError> {
        self.raft_index += 1;
        let attached = self.leases.remove(id).ok_or_else(errors::lease_not_found)?;
        self.delete_attached(id, attached);
        Ok(self.header())
    }

    fn delete_attached(&mut self, id: LeaseId, attached: KeySet) {
        let mut write = Write::begin(self);
        write.delete_attached(id, attached);
        write.commit();
    }

    /// No entry of the raft log: the leader alone knows when leases end.
    pub(crate) fn lease_keep_alive(&mut self, id: LeaseId, now: Instant) -> Option<Lease> {
        let ttl_seconds = self.leases.renew(id, now)?;
        Some(Lease::new(self.header(), id, ttl_seconds))
    }

    /// `None`: who asks for the keys must wait until more is written down.
    pub(crate) fn lease_time_to_live(
        &self,
        id: LeaseId,
        keys: bool,
        now: Instant,
    ) -> Option<Option<LeaseTimeToLive>> {
        if keys && !self.knows_attached() {
            return None;
        }
        let Some(left) = self.leases.remaining(id, now) else {
            return Some(None);
        };
        let keys = if keys { left.keys.iter().cloned().collect() } else { Vec::new() };
        let (header, granted) = (self.header(), left.granted_seconds);
        Some(Some(LeaseTimeToLive::new(header, id, left.seconds, granted, keys)))
    }

    /// The leases that there are, by the time that is left of them.
    pub(crate) fn lease_leases(&self) -> (Header, Vec<LeaseId>) {
        (self.header(), self.leases.ids().collect())
    }

    /// Ends the leases whose time is over, each at a revision of its own.
    pub(crate) fn expire(&mut self, now: Instant) {
        let mut shared = BTreeSet::new();
        while let Some(id) = self.leases.expired(now) {
            self.raft_index += 1;
            let attached = self.leases.remove(id).unwrap_or_default();
            if self.options.has(Fault::SharedExpiry) {
                shared.extend(attached.into_keys());
            } else {
                self.delete_attached(id, attached);
            }
        }
        if !shared.is_empty() {
            let mut write = Write::begin(self);
            for key in shared {
                write.delete(&KeyRange::key(key), false);
            }
            write.commit();
        }
    }

    /// When [`expire`](Self::expire) has something to do next.
    pub(crate) fn next_expiry(&self) -> Option<Instant> {
        self.leases.next_expiry()
    }
}
