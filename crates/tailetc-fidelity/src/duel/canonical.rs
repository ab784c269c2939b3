//! What etcd leaves open is made equal, and only that: each thing in one place, with its reason.

use etcd_client::proto::{
    PbKeyValue, PbRangeRequest, PbRangeResponse, PbResponseHeader, PbStatusResponse,
    PbTxnOpRequest, PbTxnOpResponse, PbTxnRequest, PbTxnRequestOp, PbTxnResponse, PbWatchResponse,
};

use super::side::{Identity, Side};
use crate::wire::{Answer, Call};
use tailetc_memkv::EtcdVersion;

/// How much less than what was granted a lease has left within a run, in seconds.
const ELAPSED: i64 = 300;

impl Side {
    /// The answer as all servers of this version would give it.
    pub(super) fn canonical(&self, call: &Call, mut answer: Answer) -> Answer {
        header(&self.identity, answer.header_mut());
        match (call, &mut answer) {
            (Call::Range(request), Answer::Range(answer)) => ties(request, answer, self.stable),
            (Call::Txn(request), Answer::Txn(answer)) => txn(request, answer, self.stable),
            (_, Answer::TimeToLive(answer)) => {
                // What is left of a lease depends on the time between two requests.
                if (answer.granted_ttl - ELAPSED..answer.granted_ttl).contains(&answer.ttl) {
                    answer.ttl = answer.granted_ttl;
                }
                // etcd keeps the keys of a lease in a hash map.
                answer.keys.sort();
            }
            (_, Answer::Status(answer)) => self.status(answer),
            _ => {}
        }
        answer
    }

    /// The same of a response of a watch.
    pub(super) fn canonical_watch(&self, mut response: PbWatchResponse) -> PbWatchResponse {
        header(&self.identity, response.header.as_mut());
        response
    }

    fn status(&self, status: &mut PbStatusResponse) {
        // A release that is still to come is imitated by the newest one, but for its name.
        if status.version.contains('-') {
            status.version = EtcdVersion::NEWEST.to_string();
            status.storage_version = EtcdVersion::NEWEST.cluster().to_string();
        }
        // The size of a database on disk is not in the contract.
        status.db_size = 0;
        status.db_size_in_use = 0;
        status.leader = u64::from(status.leader == self.identity.member);
        status.raft_term = status.raft_term.wrapping_sub(self.identity.term);
        // A server answers a request before it notes that its entry was applied.
        if status.raft_applied_index + 1 == status.raft_index {
            status.raft_applied_index = status.raft_index;
        }
        // Servers begin with a few entries of their own.
        status.raft_index = status.raft_index.wrapping_sub(self.raft_base);
        status.raft_applied_index = status.raft_applied_index.wrapping_sub(self.raft_base);
    }
}

/// Every server has a cluster, a member and a term of its own: 1 stands for these.
fn header(identity: &Identity, header: Option<&mut PbResponseHeader>) {
    let Some(header) = header else {
        return;
    };
    for (own, value) in [
        (identity.cluster, &mut header.cluster_id),
        (identity.member, &mut header.member_id),
        (identity.term, &mut header.raft_term),
    ] {
        if *value == own {
            *value = 1;
        }
    }
}

fn txn(request: &PbTxnRequest, answer: &mut PbTxnResponse, stable: usize) {
    let branch = if answer.succeeded { &request.success } else { &request.failure };
    for (op, answer) in branch.iter().zip(&mut answer.responses) {
        let PbTxnRequestOp { request: Some(op) } = op else {
            continue;
        };
        match (op, &mut answer.response) {
            (PbTxnOpRequest::RequestRange(op), Some(PbTxnOpResponse::ResponseRange(answer))) => {
                ties(op, answer, stable);
            }
            (PbTxnOpRequest::RequestTxn(op), Some(PbTxnOpResponse::ResponseTxn(answer))) => {
                txn(op, answer, stable);
            }
            _ => {}
        }
    }
}

/// Where pairs are equal in what they are sorted by, the order of more than so many is open, and with
/// a limit also which of the last equals are in.
fn ties(request: &PbRangeRequest, answer: &mut PbRangeResponse, stable: usize) {
    const VALUE: i32 = 4;
    if request.sort_target == 0 || at_most_sorted(request, answer) <= stable {
        return;
    }
    // Sorted by what is not shown, all may be equal.
    let hidden = request.keys_only && request.sort_target == VALUE;
    let target = |kv: &PbKeyValue| match request.sort_target {
        1 => (kv.version, Vec::new()),
        2 => (kv.create_revision, Vec::new()),
        3 => (kv.mod_revision, Vec::new()),
        _ if hidden => (0, Vec::new()),
        _ => (0, kv.value.clone()),
    };
    let mut rest = answer.kvs.as_mut_slice();
    while let Some(first) = rest.first() {
        let first = target(first);
        let equal = rest.iter().take_while(|kv| target(kv) == first).count();
        let (equals, others) = rest.split_at_mut(equal);
        equals.sort_by(|a, b| a.key.cmp(&b.key));
        if others.is_empty() && answer.more {
            for kv in equals {
                let mut blank = PbKeyValue::default();
                match request.sort_target {
                    1 => blank.version = kv.version,
                    2 => blank.create_revision = kv.create_revision,
                    3 => blank.mod_revision = kv.mod_revision,
                    _ => std::mem::swap(&mut blank.value, &mut kv.value),
                }
                *kv = blank;
            }
        }
        rest = others;
    }
}

/// How many pairs the server sorted, or more.
fn at_most_sorted(request: &PbRangeRequest, answer: &PbRangeResponse) -> usize {
    if !answer.more {
        return answer.kvs.len();
    }
    let filters = [
        request.min_mod_revision,
        request.max_mod_revision,
        request.min_create_revision,
        request.max_create_revision,
    ];
    if request.sort_order == 0 && filters.iter().all(|revision| *revision == 0) {
        // Without an order, the pair after those of the limit is the last that is looked at.
        return answer.kvs.len() + 1;
    }
    usize::try_from(answer.count).unwrap_or(usize::MAX)
}
