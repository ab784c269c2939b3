//! What etcd offers outside of the trait: single writes, and the service `Maintenance`.

use tailetc_core::backend::{
    BackendError, DeleteRequest, DeleteResponse, Header, PutRequest, PutResponse,
};
use tailetc_core::{LeaseId, Revision};

use crate::{HashKv, MemKv, MemKvStatus, rules};

/// What is not in the trait [`KvBackend`](tailetc_core::backend::KvBackend).
impl MemKv {
    /// Writes a key in a request of its own, etcd's `Put`. It differs from a transaction of one put
    /// in what is refused first: an unknown lease before an absent key.
    ///
    /// # Errors
    ///
    /// Those of [`txn`](tailetc_core::backend::KvBackend::txn).
    pub fn plain_put(&self, put: &PutRequest) -> Result<(Header, PutResponse), BackendError> {
        self.shared.with(|store, _| store.put(put, rules::put_len(put)))
    }

    /// Deletes keys in a request of its own, etcd's `DeleteRange`.
    ///
    /// # Blocking
    ///
    /// Until every deletion is written down. Others come in between, for whom they have happened
    /// before.
    ///
    /// # Errors
    ///
    /// Those of [`txn`](tailetc_core::backend::KvBackend::txn).
    pub fn plain_delete(
        &self,
        delete: &DeleteRequest,
    ) -> Result<(Header, DeleteResponse), BackendError> {
        self.shared.block_written(|store, _| store.delete_range(delete, rules::delete_len(delete)))
    }

    /// The leases that there are, those with the least time left first: etcd's `LeaseLeases`. Those
    /// with the same time left are in the order in which they were granted or renewed.
    pub fn lease_ids(&self) -> (Header, Vec<LeaseId>) {
        self.shared.with(|store, _| store.lease_leases())
    }

    /// Everything that etcd's `Status` tells.
    ///
    /// # Blocking
    ///
    /// Until all is done that compactions and deletions of very many keys left to do. Others come in
    /// between.
    pub fn full_status(&self) -> MemKvStatus {
        self.shared.block_until(|store, _| store.status())
    }

    /// The hash of the history up to `revision`, the same as a server's for the same requests:
    /// etcd's `HashKV`. [`Revision::ZERO`] is the current one. Linear in the number of keys and
    /// changes.
    ///
    /// Servers since 3.5.5 have, for the last ten compactions, the hash of what was compacted; so
    /// has this store for those after [`keep_hashes`](Self::keep_hashes).
    ///
    /// # Errors
    ///
    /// [`Compacted`](tailetc_core::backend::BackendErrorKind::Compacted) below the compaction
    /// revision, or at it up to 3.4.26 and 3.5.9;
    /// [`FutureRevision`](tailetc_core::backend::BackendErrorKind::FutureRevision) above the
    /// current one.
    ///
    /// # Blocking
    ///
    /// As [`full_status`](Self::full_status).
    pub fn hash_kv(&self, revision: Revision) -> Result<HashKv, BackendError> {
        self.shared.block_until(|store, _| store.hash_kv(revision))
    }

    /// Makes every later compaction leave its hash behind, where the version that is imitated does.
    /// What it leaves to do takes time by the number of keys then, and not only by what it forgets.
    pub fn keep_hashes(&self) {
        self.shared.with(|store, _| store.keep_hashes());
    }

    /// The members that have the alarm `NOSPACE`. As with the next two, 3.4 tells no header.
    pub fn alarms(&self) -> (Option<Header>, Vec<u64>) {
        self.shared.with(|store, _| store.alarms())
    }

    /// Gives `member` the alarm `NOSPACE`: puts and grants are refused from then on.
    pub fn raise_alarm(&self, member: u64) -> Option<Header> {
        self.shared.with(|store, _| store.raise_alarm(member))
    }

    /// Takes the alarm `NOSPACE` from `member`, and says whether it had it.
    pub fn disarm(&self, member: u64) -> (Option<Header>, bool) {
        self.shared.with(|store, _| store.disarm(member))
    }

    /// Makes the estimated size of the database what is in use, as etcd's `Defragment` would.
    ///
    /// # Blocking
    ///
    /// As [`full_status`](Self::full_status).
    pub fn defragment(&self) {
        self.shared.block_until(|store, _| store.defragment());
    }
}
