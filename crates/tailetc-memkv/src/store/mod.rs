//! The store proper: synchronous, single-threaded, told the time.

mod change;
mod compact;
mod hash;
mod keys;
mod late;
mod leases;
mod lifetimes;
mod log;
mod pieces;
mod plain;
mod quota;
mod range;
mod status;
#[cfg(test)]
mod tests;
mod txn;
mod unwritten;
mod usage;
mod watch;
mod work;
mod write;

use std::collections::VecDeque;
use std::sync::Arc;

use tailetc_core::Revision;
use tailetc_core::backend::{BackendError, Header, RangeRequest, RangeResponse};

use self::change::Change;
use self::compact::Cleaning;
pub use self::hash::HashKv;
use self::hash::Hashes;
use self::keys::Keys;
pub(crate) use self::late::{Deletions, Unfinished};
use self::leases::Leases;
use self::log::Log;
use self::quota::Quota;
use self::range::View;
pub use self::status::MemKvStatus;
use self::unwritten::Unwritten;
use self::usage::Usage;
use self::watch::Watches;
pub(crate) use self::watch::{
    CreateRequest, Poll, Signals, StreamId, StreamRequest, StreamResponse,
};
pub(crate) use self::work::SLICE;
use crate::{MemKvOptions, rules};

/// What etcd is at before the first write.
const FRESH: Revision = Revision::new(1);

/// etcd's compaction revision before the first compaction.
const NEVER_COMPACTED: Revision = Revision::new(-1);

#[derive(Debug)]
pub(crate) struct Store {
    options: MemKvOptions,
    /// A header with everything but the revision.
    identity: Header,
    /// The revision of the last change.
    revision: Revision,
    /// The lowest revision that can be read.
    compacted: Revision,
    /// The revisions of which something is left to write down.
    unwritten: VecDeque<Unwritten>,
    /// The compactions of which something is left to do.
    cleanings: VecDeque<Cleaning>,
    /// What is left to free.
    waste: Vec<Vec<Arc<Change>>>,
    /// The last revision that left something to write down, until somebody asks.
    unfinished: Option<Unfinished>,
    keys: Keys,
    log: Log,
    /// Deletions that wait for a revision, which they do only by a fault.
    held: Vec<Arc<Change>>,
    hashes: Hashes,
    leases: Leases,
    quota: Quota,
    usage: Usage,
    /// The number of entries in what would be the raft log.
    raft_index: u64,
    watches: Watches,
}

impl Store {
    pub(crate) fn new(options: &MemKvOptions) -> Self {
        Self {
            options: options.clone(),
            identity: Header {
                cluster_id: options.cluster_id,
                member_id: options.member_id,
                revision: Revision::ZERO,
                raft_term: options.raft_term,
            },
            revision: FRESH,
            compacted: NEVER_COMPACTED,
            unwritten: VecDeque::new(),
            cleanings: VecDeque::new(),
            waste: Vec::new(),
            unfinished: None,
            keys: Keys::default(),
            log: Log::after(FRESH),
            held: Vec::new(),
            hashes: Hashes::default(),
            leases: Leases::new(options),
            quota: Quota::new(options),
            usage: Usage::new(),
            raft_index: status::FRESH_RAFT_INDEX,
            watches: Watches::new(options),
        }
    }

    pub(crate) fn header(&self) -> Header {
        Header { revision: self.revision, ..self.identity }
    }

    pub(crate) fn range(&self, request: &RangeRequest) -> Result<RangeResponse, BackendError> {
        rules::check_key(&request.range)?;
        self.view().read(self.header(), request)
    }

    /// The last revision since the call before that left something to write down.
    pub(crate) fn take_unfinished(&mut self) -> Option<Unfinished> {
        self.unfinished.take()
    }

    fn view(&self) -> View<'_> {
        View {
            keys: &self.keys,
            current: self.revision,
            compacted: self.compacted,
            options: &self.options,
        }
    }
}
