//! How full the store may become (etcd: `server/storage/quota.go`,
//! `server/etcdserver/api/v3rpc/quota.go`, `server/etcdserver/apply/apply.go`).
//!
//! There are two doors. The first looks at the size, before anything else is looked at, and whoever
//! it stops raises the alarm. The second stands behind the raft log and looks at the alarm, which
//! stays until somebody takes it back.

use std::collections::BTreeSet;

use tailetc_core::backend::{BackendError, Header, PutRequest};

use super::Store;
use crate::request::{Op, Txn};
use crate::{EtcdVersion, MemKvOptions, errors};

/// etcd's `DefaultQuotaBytes`.
const DEFAULT_BYTES: i64 = 2 * 1024 * 1024 * 1024;

/// etcd's estimate of what a key needs beside itself and its value.
const KEY_OVERHEAD: i64 = 256;

const LEASE_OVERHEAD: i64 = 64;

/// What etcd says that a request adds to the size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Cost(i64);

impl Cost {
    pub(super) const LEASE: Self = Self(LEASE_OVERHEAD);

    pub(super) fn of_put(put: &PutRequest) -> Self {
        Self(KEY_OVERHEAD + (put.key.len() + put.value.len()) as i64)
    }

    /// That of the more expensive branch.
    pub(super) fn of_txn(txn: &Txn, version: EtcdVersion) -> Self {
        let of_op = |op: &Op| match op {
            Op::Put(put) => Self::of_put(put).0,
            Op::Txn(nested) if version.quota_counts_nested_puts() => {
                Self::of_txn(nested, version).0
            }
            Op::Txn(_) | Op::Range(_) | Op::Delete(_) | Op::Malformed(_) => 0,
        };
        let of_branch = |ops: &[Op]| ops.iter().map(of_op).sum();
        let (success, failure): (i64, i64) = (of_branch(&txn.success), of_branch(&txn.failure));
        Self(success.max(failure))
    }
}

/// The limit, and what follows from exceeding it.
#[derive(Debug)]
pub(super) struct Quota {
    /// `None`: there is none.
    limit: Option<i64>,
    version: EtcdVersion,
    /// The members with an alarm. Any number can be told to have one.
    alarms: BTreeSet<u64>,
}

impl Quota {
    pub(super) fn new(options: &MemKvOptions) -> Self {
        let limit = match options.quota_backend_bytes {
            0 => Some(DEFAULT_BYTES),
            bytes => (bytes > 0).then_some(bytes),
        };
        Self { limit, version: options.imitate, alarms: BTreeSet::new() }
    }

    pub(super) fn alarms(&self) -> impl Iterator<Item = u64> {
        self.alarms.iter().copied()
    }

    fn has_room(&self, size: i64, cost: Cost) -> bool {
        let Some(limit) = self.limit else {
            return true;
        };
        let passes = cost.0 == 0 && self.version.quota_passes_what_costs_nothing();
        passes || size.saturating_add(cost.0) < limit
    }
}

impl Store {
    /// The first door.
    pub(super) fn check_quota(&mut self, cost: Cost) -> Result<(), BackendError> {
        let (least, most) = self.usage.size();
        if self.quota.has_room(most, cost) {
            return Ok(());
        }
        if least < most {
            // It depends on what is still to be done.
            self.finish();
            return self.check_quota(cost);
        }
        self.raise_alarm(self.identity.member_id);
        Err(errors::no_space())
    }

    /// The second door.
    pub(super) fn check_alarm(&self, cost: Cost) -> Result<(), BackendError> {
        if cost.0 > 0 && !self.quota.alarms.is_empty() {
            return Err(errors::no_space());
        }
        Ok(())
    }

    /// Whether any member has the alarm `NOSPACE`.
    #[cfg(feature = "grpc")]
    pub(crate) fn has_alarm(&self) -> bool {
        !self.quota.alarms.is_empty()
    }

    /// The members that have the alarm `NOSPACE`.
    pub(crate) fn alarms(&mut self) -> (Option<Header>, Vec<u64>) {
        self.raft_index += 1;
        (self.alarm_header(), self.quota.alarms().collect())
    }

    /// Gives `member` the alarm `NOSPACE`, which it may have already.
    pub(crate) fn raise_alarm(&mut self, member: u64) -> Option<Header> {
        self.raft_index += 1;
        self.quota.alarms.insert(member);
        self.alarm_header()
    }

    /// Takes the alarm `NOSPACE` from `member`, and says whether it had it.
    pub(crate) fn disarm(&mut self, member: u64) -> (Option<Header>, bool) {
        self.raft_index += 1;
        let disarmed = self.quota.alarms.remove(&member);
        (self.alarm_header(), disarmed)
    }

    fn alarm_header(&self) -> Option<Header> {
        self.options.imitate.alarms_have_header().then(|| self.header())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tailetc_core::backend::TxnRequest;

    fn quota(limit: i64, version: &str) -> Quota {
        let version = version.parse().expect("a version");
        Quota::new(&MemKvOptions::default().with_quota_backend_bytes(limit).with_imitate(version))
    }

    // T17
    #[test]
    fn limit_is_exclusive_with_a_default_and_an_off_position() {
        assert!(quota(1000, "3.6").has_room(899, Cost(100)));
        assert!(!quota(1000, "3.6").has_room(900, Cost(100)));
        assert!(quota(0, "3.6").has_room(DEFAULT_BYTES - 2, Cost(1)));
        assert!(!quota(0, "3.6").has_room(DEFAULT_BYTES - 1, Cost(1)));
        assert!(quota(-1, "3.6").has_room(i64::MAX, Cost(i64::MAX)));
    }

    // T17
    #[test]
    fn what_costs_nothing_passes_but_in_some_old_versions() {
        for (version, passes) in
            [("3.4.19", false), ("3.4.20", true), ("3.5.6", false), ("3.5.7", true)]
        {
            assert_eq!(quota(1, version).has_room(1000, Cost(0)), passes, "{version}");
        }
    }

    // T17
    #[test]
    fn transaction_costs_its_dearer_branch_and_newly_what_is_nested() {
        let put = |value: &'static str| PutRequest::new("k", value).into();
        let request = TxnRequest::new([put("a")]).otherwise([
            put("a"),
            put("bc"),
            TxnRequest::new([put("nested")]).into(),
        ]);
        let txn = Txn::from(request);
        let cost = |version: &str| Cost::of_txn(&txn, version.parse().expect("a version"));
        for old in ["3.4", "3.5.32", "3.6.13", "3.7.0"] {
            assert_eq!(cost(old), Cost(2 * 257 + 3), "{old}");
        }
        for new in ["3.5.33", "3.6.14", "3.7.1"] {
            assert_eq!(cost(new), Cost(3 * 257 + 9), "{new}");
        }
    }
}
