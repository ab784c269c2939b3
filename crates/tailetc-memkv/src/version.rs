//! Which etcd a store imitates, and where its releases differ.

use std::fmt;
use std::str::FromStr;

/// A release of etcd, from 3.4 on.
///
/// Parses from a minor version, which means its newest patch that was looked at (`3.5`), or from a
/// whole one (`3.5.1`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EtcdVersion {
    minor: u16,
    patch: u16,
}

impl EtcdVersion {
    /// 3.4.45.
    pub const V3_4: Self = Self::new(4, 45);
    /// 3.5.33.
    pub const V3_5: Self = Self::new(5, 33);
    /// 3.6.16.
    pub const V3_6: Self = Self::new(6, 16);
    /// 3.7.3.
    pub const V3_7: Self = Self::new(7, 3);
    /// The newest release that is imitated.
    pub const NEWEST: Self = Self::V3_7;

    const fn new(minor: u16, patch: u16) -> Self {
        Self { minor, patch }
    }

    /// Whether this is at least `minor`.`patch` for the first of `since` with this minor version
    /// (a change that was carried back), or newer than all of them.
    fn since(self, since: &[(u16, u16)]) -> bool {
        match since.iter().find(|(minor, _)| *minor == self.minor) {
            Some((_, patch)) => self.patch >= *patch,
            None => since.iter().all(|(minor, _)| *minor < self.minor),
        }
    }
}

/// Where transactions and ranges differ.
impl EtcdVersion {
    /// Whether a range with an unknown sort order is refused, instead of ignoring the order
    /// (`server/etcdserver/api/v3rpc/key.go`, `checkRangeRequest`).
    #[cfg_attr(
        not(any(test, feature = "grpc")),
        expect(dead_code, reason = "nothing but the wire can say it")
    )]
    pub(crate) fn refuses_unknown_order(self) -> bool {
        self.since(&[(6, 0)])
    }

    /// Whether the puts and ranges of a transaction are checked in one pass in the order of the
    /// request, instead of all puts before all ranges (`server/etcdserver/txn/txn.go`, `checkTxn`;
    /// before: `server/etcdserver/apply.go`, `checkRequests`).
    pub(crate) fn checks_txn_in_one_pass(self) -> bool {
        self.since(&[(6, 0)])
    }

    /// Whether a put within a transaction is checked for its lease before its key, as a plain put
    /// always is (`server/etcdserver/txn/put.go`, `checkPut`).
    pub(crate) fn checks_lease_before_key_in_txn(self) -> bool {
        self.since(&[(7, 0)])
    }

    /// Whether keys without values come without their leases too, unless they are sorted by value
    /// (`server/storage/mvcc/kvstore_txn.go`, `rangeKeys`).
    pub(crate) fn keys_only_has_no_lease(self) -> bool {
        self.since(&[(7, 0)])
    }
}

/// Where compaction and its hashes differ.
impl EtcdVersion {
    /// Whether a deletion at the very revision of a compaction outlasts it
    /// (`server/storage/mvcc/key_index.go`, `doCompact`).
    pub(crate) fn keeps_deletions_when_compacted(self) -> bool {
        self.since(&[(4, 34), (5, 16), (6, 0)])
    }

    /// Whether the history can be hashed up to the very revision of a compaction
    /// (`server/storage/mvcc/kvstore.go`, `hashByRev`).
    pub(crate) fn hashes_at_compaction(self) -> bool {
        self.since(&[(4, 27), (5, 10), (6, 0)])
    }

    /// Whether a compaction leaves behind the hash of what it compacts
    /// (`server/storage/mvcc/hash.go`, `hashStorage`).
    pub(crate) fn stores_compaction_hashes(self) -> bool {
        self.since(&[(5, 5), (6, 0)])
    }

    /// Whether the answer to a request for a hash says up to which revision it goes
    /// (`server/etcdserver/api/v3rpc/maintenance.go`, `HashKV`).
    pub(crate) fn tells_hash_revision(self) -> bool {
        self.since(&[(6, 0)])
    }
}

/// Where the quota differs.
impl EtcdVersion {
    /// Whether a transaction without puts passes a full store (`server/etcdserver/quota.go`,
    /// `Available`).
    pub(crate) fn quota_passes_what_costs_nothing(self) -> bool {
        self.since(&[(4, 20), (5, 7), (6, 0)])
    }

    /// Whether answers about alarms have a header (`server/etcdserver/api/v3rpc/maintenance.go`,
    /// `Alarm`).
    pub(crate) fn alarms_have_header(self) -> bool {
        self.since(&[(5, 0)])
    }

    /// Whether the text of an alarm ends in a space: it is printed by another library since, which
    /// puts spaces between fields alone (`api/etcdserverpb/rpc.pb.go`, `AlarmMember.String`).
    pub(crate) fn alarm_texts_end_in_a_space(self) -> bool {
        !self.since(&[(7, 0)])
    }

    /// Whether the puts of nested transactions cost (`server/storage/quota.go`, `costTxnReq`).
    pub(crate) fn quota_counts_nested_puts(self) -> bool {
        self.since(&[(5, 33), (6, 14), (7, 1)])
    }
}

/// Where the answers of the services differ.
#[cfg(feature = "grpc")]
impl EtcdVersion {
    /// Whether ranges can be read in chunks (`server/etcdserver/v3_server.go`, `RangeStream`).
    pub(crate) fn has_range_stream(self) -> bool {
        self.since(&[(7, 0)])
    }

    /// Whether nothing happens when an alarm of no kind is raised (`server/etcdserver/apply.go`,
    /// `Alarm`).
    pub(crate) fn passes_over_alarms_of_no_kind(self) -> bool {
        self.since(&[(5, 0)])
    }

    /// Whether statuses tell of the storage and its quota, and of downgrades
    /// (`server/etcdserver/api/v3rpc/maintenance.go`).
    pub(crate) fn tells_of_storage(self) -> bool {
        self.since(&[(6, 0)])
    }

    /// Whether the answer to `/health` has a reason
    /// (`server/etcdserver/api/etcdhttp/health.go`).
    pub(crate) fn health_has_a_reason(self) -> bool {
        self.since(&[(5, 0)])
    }

    /// Whether `/health` leaves out the alarms that it is asked to leave out (up to 3.4.28 and
    /// 3.5.10 `etcdhttp/metrics.go`).
    pub(crate) fn health_excludes_alarms(self) -> bool {
        self.since(&[(4, 16), (5, 0)])
    }

    /// Whether there are `/livez` and `/readyz` (`server/etcdserver/api/etcdhttp/health.go`).
    pub(crate) fn has_livez(self) -> bool {
        self.since(&[(4, 29), (5, 11), (6, 0)])
    }

    /// Whether a learner is not ready (`server/etcdserver/api/etcdhttp/health.go`).
    pub(crate) fn checks_learners(self) -> bool {
        self.since(&[(5, 19), (6, 0)])
    }

    /// Whether messages may be compressed: what exports traces brings gzip along
    /// (`server/embed/etcd.go` of 3.5.0, `setupTracingExporter`).
    pub(crate) fn has_gzip(self) -> bool {
        self.since(&[(5, 0)])
    }

    /// The version of a cluster of members of this release: its minor version, at patch 0.
    pub fn cluster(self) -> Self {
        Self { patch: 0, ..self }
    }
}

impl fmt::Display for EtcdVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "3.{}.{}", self.minor, self.patch)
    }
}

/// A text that names no release of etcd that can be imitated.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnknownVersion {
    /// The text.
    pub text: String,
}

impl fmt::Display for UnknownVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is not a release of etcd between 3.4 and 3.7", self.text)
    }
}

impl std::error::Error for UnknownVersion {}

impl FromStr for EtcdVersion {
    type Err = UnknownVersion;

    fn from_str(text: &str) -> Result<Self, UnknownVersion> {
        let newest = [Self::V3_4, Self::V3_5, Self::V3_6, Self::V3_7];
        let parse = || {
            let (minor, patch) = match text.strip_prefix("3.")?.split_once('.') {
                Some((minor, patch)) => (minor, Some(patch)),
                None => (text.strip_prefix("3.")?, None),
            };
            let minor: u16 = minor.parse().ok()?;
            let newest = newest.into_iter().find(|version| version.minor == minor)?;
            let patch = match patch {
                Some(patch) => patch.parse().ok()?,
                None => newest.patch,
            };
            Some(Self { minor, patch })
        };
        parse().ok_or_else(|| UnknownVersion { text: text.to_owned() })
    }
}

/// How a request for progress is answered (`server/etcdserver/api/v3rpc/watch.go`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SolicitedProgress {
    /// At once, whatever the watchers have seen, even if there are none.
    AtOnce,
    /// When all watchers are up to date; if they are not, tried again behind every response.
    Deferred,
    /// If all watchers are up to date; else never.
    Synchronised,
}

/// Watches (`server/etcdserver/api/v3rpc/watch.go`, `server/storage/mvcc/watchable_store.go`).
impl EtcdVersion {
    pub(crate) fn solicited_progress(self) -> SolicitedProgress {
        if self.since(&[(4, 31), (5, 13)]) {
            SolicitedProgress::Synchronised
        } else if self.since(&[(4, 25), (5, 8)]) {
            SolicitedProgress::Deferred
        } else {
            SolicitedProgress::AtOnce
        }
    }

    /// Whether there is no progress below the revision that a watch begins at.
    pub(crate) fn progress_waits_for_watch_start(self) -> bool {
        self.since(&[(4, 38), (5, 22), (6, 2)])
    }

    /// Whether a watch that is not created stops the one with the id -1.
    pub(crate) fn refusals_withhold_from_watch_minus_one(self) -> bool {
        !self.since(&[(4, 22), (5, 6)])
    }

    /// Whether a watch that begins below zero is not created.
    pub(crate) fn refuses_negative_watch_starts(self) -> bool {
        self.since(&[(4, 38), (5, 24), (6, 6)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_names_a_minor_version_or_a_release() {
        assert_eq!("3.5".parse(), Ok(EtcdVersion::V3_5));
        assert_eq!("3.5.1".parse(), Ok(EtcdVersion::new(5, 1)));
        assert_eq!(EtcdVersion::new(4, 23).to_string(), "3.4.23");
        for text in ["", "3", "3.", "3.3", "3.8", "4.5", "3.5.", "3.5.x", "v3.5", "3.5.1.1"] {
            assert_eq!(text.parse::<EtcdVersion>(), Err(UnknownVersion { text: text.to_owned() }));
        }
    }

    #[test]
    fn rules_begin_with_their_release() {
        type Rule = fn(EtcdVersion) -> bool;
        let rules: [(Rule, &[(u16, u16)]); 11] = [
            (EtcdVersion::refuses_unknown_order, &[(6, 0)]),
            (EtcdVersion::checks_txn_in_one_pass, &[(6, 0)]),
            (EtcdVersion::checks_lease_before_key_in_txn, &[(7, 0)]),
            (EtcdVersion::keys_only_has_no_lease, &[(7, 0)]),
            (EtcdVersion::keeps_deletions_when_compacted, &[(4, 34), (5, 16), (6, 0)]),
            (EtcdVersion::hashes_at_compaction, &[(4, 27), (5, 10), (6, 0)]),
            (EtcdVersion::stores_compaction_hashes, &[(5, 5), (6, 0)]),
            (EtcdVersion::tells_hash_revision, &[(6, 0)]),
            (|version| !version.alarm_texts_end_in_a_space(), &[(7, 0)]),
            (EtcdVersion::quota_passes_what_costs_nothing, &[(4, 20), (5, 7), (6, 0)]),
            (EtcdVersion::quota_counts_nested_puts, &[(5, 33), (6, 14), (7, 1)]),
        ];
        for (rule, since) in rules {
            for minor in 4..=7 {
                let first = since.iter().find(|(m, _)| *m == minor).map(|(_, patch)| *patch);
                let newer = since.iter().all(|(m, _)| *m < minor);
                assert_eq!(rule(EtcdVersion::new(minor, u16::MAX)), first.is_some() || newer);
                if let Some(patch) = first {
                    assert!(rule(EtcdVersion::new(minor, patch)));
                    assert!(patch == 0 || !rule(EtcdVersion::new(minor, patch - 1)));
                }
            }
        }
    }

    #[test]
    fn change_carried_back_holds_in_each_line_from_its_patch_on() {
        let since = [(4, 34), (5, 16), (6, 0)];
        let has = |minor, patch| EtcdVersion::new(minor, patch).since(&since);
        assert!(has(4, 34) && has(5, 16) && has(6, 0) && has(7, 0));
        assert!(!has(4, 33) && !has(5, 15));
    }
}
