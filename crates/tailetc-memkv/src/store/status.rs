//! What the store says about itself (etcd: `server/etcdserver/api/v3rpc/maintenance.go`).

use tailetc_core::backend::{BackendError, Header};

use super::Store;
use crate::{EtcdVersion, rules};

/// The raft index of an etcd of one node before its first request: its own membership, an empty
/// entry, its attributes and the version of the cluster.
pub(super) const FRESH_RAFT_INDEX: u64 = 4;

/// What etcd's `Status` tells.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemKvStatus {
    /// Cluster, member, revision and raft term.
    pub header: Header,
    /// The release that is [imitated](crate::MemKvOptions::imitate).
    pub version: EtcdVersion,
    /// How large the database file would be, in bytes. An estimate: the records, each with bbolt's
    /// overhead, in full pages, which is at least half of what a server would say. It grows with
    /// what is written, and shrinks only when it is
    /// [defragmented](crate::MemKv::defragment).
    pub db_size: i64,
    /// How much of that holds something, in bytes; the same estimate. Compaction lowers it.
    pub db_size_in_use: i64,
    /// The member that leads: this one.
    pub leader: u64,
    /// How many entries the raft log would hold. Every request that may write adds one, but those
    /// that are refused for their form or for want of space; being refused for want of space adds
    /// the raising of the alarm.
    pub raft_index: u64,
    /// How many of those are applied: all of them.
    pub raft_applied_index: u64,
    /// The term of the last election.
    pub raft_term: u64,
    /// A text for every alarm.
    pub errors: Vec<String>,
}

impl Store {
    /// `None` while something is left to do.
    pub(crate) fn status(&self) -> Option<MemKvStatus> {
        if !self.is_done(self.revision) {
            return None;
        }
        let header = self.header();
        let (size, _) = self.usage.size();
        Some(MemKvStatus {
            header,
            version: self.options.imitate,
            db_size: size,
            db_size_in_use: self.usage.in_use(),
            leader: header.member_id,
            raft_index: self.raft_index,
            raft_applied_index: self.raft_index,
            raft_term: header.raft_term,
            errors: self.quota.alarms().map(|member| self.alarm_text(member)).collect(),
        })
    }

    /// An alarm as the text format of protobuf has it, to the space at its end.
    fn alarm_text(&self, member: u64) -> String {
        let end = if self.options.imitate.alarm_texts_end_in_a_space() { " " } else { "" };
        format!("memberID:{member} alarm:NOSPACE{end}")
    }

    /// Makes the estimated size of the database what is in use; `None` while something is left to
    /// do.
    pub(crate) fn defragment(&mut self) -> Option<()> {
        self.is_done(self.revision).then(|| self.usage.defragment())
    }

    /// Enters a request of `request_len` bytes into what would be the raft log.
    pub(super) fn propose(&mut self, request_len: usize) -> Result<(), BackendError> {
        rules::check_size(request_len, &self.options)?;
        self.raft_index += 1;
        Ok(())
    }
}
