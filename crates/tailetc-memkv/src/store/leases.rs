//! Leases and the keys attached to them (etcd: `server/lease/lessor.go`).

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use tailetc_core::LeaseId;
use tailetc_core::backend::BackendError;
use tokio::time::Instant;

use super::keys::KeySet;
use crate::{MemKvOptions, errors};

/// etcd's `MaxLeaseTTL`.
const MAX_TTL_SECONDS: i64 = 9_000_000_000;

#[derive(Debug)]
pub(crate) struct Leases {
    granted: BTreeMap<LeaseId, Granted>,
    /// The leases of `granted`, by when they expire.
    expiries: BTreeMap<Expiry, LeaseId>,
    min_ttl_seconds: i64,
    next_id: i64,
    /// The number of the next grant or renewal.
    next_turn: u64,
}

/// When a lease expires. Of those at one instant, which a clock that stands still can say, the one
/// that was granted or renewed first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Expiry {
    at: Moment,
    turn: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Moment {
    At(Instant),
    /// Beyond what the clock can say.
    Never,
}

#[derive(Debug)]
struct Granted {
    ttl_seconds: i64,
    expiry: Expiry,
    /// Those that are attached to it, and such as were and are deleted, of which that is still to be
    /// written down.
    keys: KeySet,
}

/// What is left of a lease.
pub(super) struct Remaining<'a> {
    /// Whole seconds, rounded down.
    pub(super) seconds: i64,
    pub(super) granted_seconds: i64,
    pub(super) keys: &'a KeySet,
}

impl Leases {
    pub(super) fn new(options: &MemKvOptions) -> Self {
        Self {
            granted: BTreeMap::new(),
            expiries: BTreeMap::new(),
            min_ttl_seconds: options.min_lease_ttl_seconds,
            next_id: options.first_lease_id,
            next_turn: 0,
        }
    }

    /// Creates a lease and returns its identifier and its time in seconds.
    pub(super) fn grant(
        &mut self,
        id: LeaseId,
        ttl_seconds: i64,
        now: Instant,
    ) -> Result<(LeaseId, i64), BackendError> {
        if ttl_seconds > MAX_TTL_SECONDS {
            return Err(errors::lease_ttl_too_large());
        }
        if self.contains(id) {
            return Err(errors::lease_exists());
        }
        let id = if id.is_none() { self.free_id() } else { id };
        let ttl_seconds = ttl_seconds.max(self.min_ttl_seconds);
        let expiry = self.expiry(ttl_seconds, now);
        self.expiries.insert(expiry, id);
        self.granted.insert(id, Granted { ttl_seconds, expiry, keys: KeySet::default() });
        Ok((id, ttl_seconds))
    }

    fn free_id(&mut self) -> LeaseId {
        loop {
            let id = LeaseId::new(self.next_id);
            self.next_id = self.next_id.checked_add(1).unwrap_or(1);
            if !id.is_none() && !self.contains(id) {
                return id;
            }
        }
    }

    fn expiry(&mut self, ttl_seconds: i64, now: Instant) -> Expiry {
        let turn = self.next_turn;
        self.next_turn += 1;
        let ttl = Duration::from_secs(ttl_seconds.unsigned_abs());
        Expiry { at: now.checked_add(ttl).map_or(Moment::Never, Moment::At), turn }
    }

    /// Restarts the time of a lease and returns it in seconds; `None` if there is no such lease.
    pub(super) fn renew(&mut self, id: LeaseId, now: Instant) -> Option<i64> {
        let ttl_seconds = self.granted.get(&id)?.ttl_seconds;
        let expiry = self.expiry(ttl_seconds, now);
        let lease = self.granted.get_mut(&id)?;
        self.expiries.remove(&lease.expiry);
        self.expiries.insert(expiry, id);
        lease.expiry = expiry;
        Some(ttl_seconds)
    }

    pub(super) fn remaining(&self, id: LeaseId, now: Instant) -> Option<Remaining<'_>> {
        let lease = self.granted.get(&id)?;
        let seconds = match lease.expiry.at {
            Moment::At(expiry) => expiry.saturating_duration_since(now).as_secs() as i64,
            Moment::Never => lease.ttl_seconds,
        };
        Some(Remaining { seconds, granted_seconds: lease.ttl_seconds, keys: &lease.keys })
    }

    /// Those with the least time left first.
    pub(super) fn ids(&self) -> impl Iterator<Item = LeaseId> {
        self.expiries.values().copied()
    }

    pub(super) fn contains(&self, id: LeaseId) -> bool {
        self.granted.contains_key(&id)
    }

    /// Removes a lease and returns its keys; `None` if there is no such lease.
    pub(super) fn remove(&mut self, id: LeaseId) -> Option<KeySet> {
        let lease = self.granted.remove(&id)?;
        self.expiries.remove(&lease.expiry);
        Some(lease.keys)
    }

    /// When the next lease expires.
    pub(super) fn next_expiry(&self) -> Option<Instant> {
        self.first().map(|(expiry, _)| expiry)
    }

    /// A lease whose time is over.
    pub(super) fn expired(&self, now: Instant) -> Option<LeaseId> {
        let (expiry, id) = self.first()?;
        (expiry <= now).then_some(id)
    }

    fn first(&self) -> Option<(Instant, LeaseId)> {
        match self.expiries.first_key_value()? {
            (Expiry { at: Moment::At(expiry), .. }, id) => Some((*expiry, *id)),
            (Expiry { at: Moment::Never, .. }, _) => None,
        }
    }

    /// Moves `key` from one lease to another; [`LeaseId::NONE`] and unknown ones have no keys.
    pub(super) fn move_key(&mut self, key: &Bytes, from: LeaseId, to: LeaseId) {
        if from == to {
            return;
        }
        if let Some(lease) = self.granted.get_mut(&from) {
            lease.keys.remove(key);
        }
        if let Some(lease) = self.granted.get_mut(&to) {
            lease.keys.insert(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tailetc_core::backend::BackendErrorKind;

    const A: LeaseId = LeaseId::new(7);

    fn leases() -> (Leases, Instant) {
        (Leases::new(&MemKvOptions::default()), Instant::now())
    }

    fn grant(
        leases: &mut Leases,
        id: i64,
        ttl: i64,
        now: Instant,
    ) -> Result<(i64, i64), BackendErrorKind> {
        let granted = leases.grant(LeaseId::new(id), ttl, now);
        granted.map(|(id, ttl)| (id.get(), ttl)).map_err(|error| error.kind())
    }

    // L1
    #[test]
    fn short_times_are_raised_and_too_long_ones_are_refused_before_taken_ids() {
        let (mut leases, now) = leases();
        for (id, ttl) in [(1, i64::MIN), (2, 0), (3, 1), (-4, 2)] {
            assert_eq!(grant(&mut leases, id, ttl, now), Ok((id, 2)));
        }
        assert_eq!(grant(&mut leases, 5, MAX_TTL_SECONDS, now), Ok((5, MAX_TTL_SECONDS)));
        let too_large = Err(BackendErrorKind::LeaseTtlTooLarge);
        assert_eq!(grant(&mut leases, 5, MAX_TTL_SECONDS + 1, now), too_large);
        assert_eq!(grant(&mut leases, 5, 10, now), Err(BackendErrorKind::LeaseExists));
    }

    #[test]
    fn chosen_ids_count_up_and_leave_out_those_taken() {
        let mut leases = Leases::new(&MemKvOptions::default().with_first_lease_id(1));
        let now = Instant::now();
        assert_eq!(grant(&mut leases, 2, 10, now), Ok((2, 10)));
        assert_eq!(grant(&mut leases, 0, 10, now), Ok((1, 10)));
        assert_eq!(grant(&mut leases, 0, 10, now), Ok((3, 10)));
    }

    // L3
    #[test]
    fn lease_expires_at_its_time_and_not_before() {
        let (mut leases, now) = leases();
        assert_eq!(grant(&mut leases, 7, 5, now), Ok((7, 5)));
        let at = |millis| now + Duration::from_millis(millis);
        assert_eq!(leases.expired(at(4_999)), None);
        assert_eq!(leases.expired(at(5_000)), Some(A));
        let seconds = |leases: &Leases, millis| leases.remaining(A, at(millis)).map(|r| r.seconds);
        assert_eq!(seconds(&leases, 0), Some(5));
        assert_eq!(seconds(&leases, 1), Some(4));
        assert_eq!(seconds(&leases, 4_001), Some(0));

        assert_eq!(leases.renew(A, at(4_000)), Some(5));
        assert_eq!(leases.next_expiry(), Some(at(9_000)));
        assert_eq!(leases.expired(at(8_999)), None);
        assert!(leases.remove(A).is_some());
        assert_eq!(leases.next_expiry(), None);
        assert!(leases.remove(A).is_none() && leases.renew(A, now).is_none());
    }

    // X-T
    #[test]
    fn list_begins_with_the_least_time_left_and_of_equals_with_the_first_renewed() {
        let (mut leases, now) = leases();
        for (id, ttl) in [(9, 1000), (3, 1000), (7, MAX_TTL_SECONDS), (2, 500), (-4, 1000)] {
            assert!(grant(&mut leases, id, ttl, now).is_ok());
        }
        let ids = |leases: &Leases| leases.ids().map(LeaseId::get).collect::<Vec<_>>();
        assert_eq!(ids(&leases), [2, 9, 3, -4, 7]);
        assert_eq!(leases.renew(LeaseId::new(9), now), Some(1000));
        assert_eq!(ids(&leases), [2, 3, -4, 9, 7]);
        assert_eq!(leases.renew(LeaseId::new(2), now + Duration::from_secs(501)), Some(500));
        assert_eq!(ids(&leases), [3, -4, 9, 2, 7]);
    }

    // R7
    #[test]
    fn key_has_one_lease() {
        let (mut leases, now) = leases();
        let b = LeaseId::new(8);
        for id in [A, b] {
            leases.grant(id, 5, now).expect("a fresh id");
        }
        let key = Bytes::from_static(b"k");
        leases.move_key(&key, LeaseId::NONE, A);
        leases.move_key(&key, A, A);
        assert_eq!(leases.remaining(A, now).expect("alive").keys.len(), 1);
        leases.move_key(&key, A, b);
        assert!(leases.remaining(A, now).expect("alive").keys.len() == 0);
        let left = leases.remove(b).expect("alive");
        assert!(left.iter().eq([&key]));
    }
}
