//! The store proper: synchronous, single-threaded, told the time.

mod cursor;
mod keys;
mod leases;
mod log;
mod range;
mod txn;
mod write;

use tailetc_core::backend::{
    BackendError, Header, KeyRange, Lease, LeaseTimeToLive, RangeRequest, RangeResponse,
    WatchRequest,
};
use tailetc_core::{LeaseId, Revision};
use tokio::time::Instant;

use self::cursor::{Cursors, History};
pub(crate) use self::cursor::{Poll, WatcherId};
use self::keys::Keys;
use self::leases::Leases;
use self::log::Log;
use self::range::View;
use self::write::Write;
use crate::{MemKvOptions, errors, rules};

/// What etcd is at before the first write.
const FRESH: Revision = Revision::new(1);

/// etcd's compaction revision before the first compaction.
const NEVER_COMPACTED: Revision = Revision::new(-1);

#[derive(Debug)]
pub(crate) struct Store {
    /// A header with everything but the revision.
    identity: Header,
    /// The revision of the last change.
    revision: Revision,
    /// The lowest revision that can be read.
    compacted: Revision,
    keys: Keys,
    log: Log,
    leases: Leases,
    cursors: Cursors,
}

impl Store {
    pub(crate) fn new(options: &MemKvOptions) -> Self {
        Self {
            identity: Header {
                cluster_id: options.cluster_id,
                member_id: options.member_id,
                revision: Revision::ZERO,
                raft_term: options.raft_term,
            },
            revision: FRESH,
            compacted: NEVER_COMPACTED,
            keys: Keys::default(),
            log: Log::after(FRESH),
            leases: Leases::new(options),
            cursors: Cursors::new(options),
        }
    }

    pub(crate) fn header(&self) -> Header {
        Header { revision: self.revision, ..self.identity }
    }

    pub(crate) fn range(&self, request: &RangeRequest) -> Result<RangeResponse, BackendError> {
        rules::check_range(request)?;
        let view = View { keys: &self.keys, current: self.revision, compacted: self.compacted };
        view.read(self.header(), request)
    }

    /// Forgets what is below `revision`. Linear in what is forgotten, but for watches behind it.
    pub(crate) fn compact(&mut self, revision: Revision) -> Result<Header, BackendError> {
        if revision <= self.compacted {
            return Err(errors::compacted());
        }
        if revision > self.revision {
            return Err(errors::future_revision());
        }
        let (cursors, history) = self.cursors();
        cursors.save_unread(&history);
        for event in self.log.until(revision) {
            self.keys.compact(&event.kv.key, revision);
        }
        self.log.compact(revision);
        self.compacted = revision;
        Ok(self.header())
    }

    pub(crate) fn lease_grant(
        &mut self,
        id: LeaseId,
        ttl_seconds: i64,
        now: Instant,
    ) -> Result<Lease, BackendError> {
        let (id, ttl_seconds) = self.leases.grant(id, ttl_seconds, now)?;
        Ok(Lease::new(self.header(), id, ttl_seconds))
    }

    pub(crate) fn lease_revoke(&mut self, id: LeaseId) -> Result<Header, BackendError> {
        let keys = self.leases.remove(id).ok_or_else(errors::lease_not_found)?;
        let mut write = Write::begin(self);
        for key in keys {
            write.delete(&KeyRange::key(key));
        }
        write.commit();
        Ok(self.header())
    }

    pub(crate) fn lease_keep_alive(&mut self, id: LeaseId, now: Instant) -> Option<Lease> {
        let ttl_seconds = self.leases.renew(id, now)?;
        Some(Lease::new(self.header(), id, ttl_seconds))
    }

    pub(crate) fn lease_time_to_live(
        &self,
        id: LeaseId,
        keys: bool,
        now: Instant,
    ) -> Option<LeaseTimeToLive> {
        let left = self.leases.remaining(id, now)?;
        let keys = if keys { left.keys.iter().cloned().collect() } else { Vec::new() };
        let (header, granted) = (self.header(), left.granted_seconds);
        Some(LeaseTimeToLive::new(header, id, left.seconds, granted, keys))
    }

    /// Ends the leases whose time is over, each at a revision of its own.
    pub(crate) fn expire(&mut self, now: Instant) {
        while let Some(id) = self.leases.expired(now) {
            // The lease was found just now, so that this cannot fail.
            let _ = self.lease_revoke(id);
        }
    }

    /// When [`expire`](Self::expire) has something to do next.
    pub(crate) fn next_expiry(&self) -> Option<Instant> {
        self.leases.next_expiry()
    }

    pub(crate) fn watch(
        &mut self,
        request: WatchRequest,
        now: Instant,
    ) -> Result<WatcherId, BackendError> {
        self.cursors.open(request, self.revision, now)
    }

    pub(crate) fn unwatch(&mut self, id: WatcherId) {
        self.cursors.close(id);
    }

    /// What the watcher gets next.
    pub(crate) fn poll(&mut self, id: WatcherId, now: Instant) -> Result<Poll, BackendError> {
        let (cursors, history) = self.cursors();
        cursors.poll(id, &history, now)
    }

    pub(crate) fn request_progress(&mut self, id: WatcherId) {
        let (cursors, history) = self.cursors();
        cursors.request_progress(id, &history);
    }

    /// The watches, and what they can read.
    fn cursors(&mut self) -> (&mut Cursors, History<'_>) {
        let history = History {
            header: self.header(),
            compacted: self.compacted,
            keys: &self.keys,
            log: &self.log,
        };
        (&mut self.cursors, history)
    }
}
