//! Writing keys: transactions of compares and operations.

use bytes::Bytes;

use crate::backend::{Header, KeyRange, KeyValue, RangeRequest, RangeResponse, wire_size};
use crate::{LeaseId, Revision};

/// If all compares hold, the `success` operations, else the `failure` operations; in order, at one
/// revision.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "etcd's TxnRequest is frozen")]
pub struct TxnRequest {
    /// The conditions, all of which must hold. They see the state before the transaction, those of
    /// nested transactions too.
    pub compares: Vec<Compare>,
    /// What to do if they hold.
    pub success: Vec<TxnOp>,
    /// What to do if one does not.
    pub failure: Vec<TxnOp>,
}

impl TxnRequest {
    /// The operations without any condition.
    pub fn new(success: impl IntoIterator<Item = TxnOp>) -> Self {
        Self { success: success.into_iter().collect(), ..Self::default() }
    }

    /// Adds conditions.
    #[must_use]
    pub fn when(mut self, compares: impl IntoIterator<Item = Compare>) -> Self {
        self.compares.extend(compares);
        self
    }

    /// Adds operations for the case that a condition does not hold.
    #[must_use]
    pub fn otherwise(mut self, failure: impl IntoIterator<Item = TxnOp>) -> Self {
        self.failure.extend(failure);
        self
    }

    /// The number that is held against [`Capabilities::max_txn_ops`]: the largest of the three
    /// lists (etcd: `server/etcdserver/api/v3rpc/key.go`, `checkTxnRequest`).
    ///
    /// [`Capabilities::max_txn_ops`]: crate::backend::Capabilities::max_txn_ops
    pub fn op_count(&self) -> usize {
        self.compares.len().max(self.success.len()).max(self.failure.len())
    }

    /// The size in bytes of this request in etcd's protobuf encoding.
    pub fn encoded_len(&self) -> usize {
        wire_size::txn(self)
    }
}

/// One operation of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "etcd's RequestOp is frozen")]
pub enum TxnOp {
    /// Read keys, seeing the earlier writes of this transaction.
    Range(RangeRequest),
    /// Write a key.
    Put(PutRequest),
    /// Delete keys.
    Delete(DeleteRequest),
    /// A transaction within the transaction.
    Txn(TxnRequest),
}

/// A write of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PutRequest {
    /// The key, not empty.
    pub key: Bytes,
    /// The value.
    pub value: Bytes,
    /// The lease to attach; [`LeaseId::NONE`] detaches.
    pub lease: LeaseId,
    /// Return the pair as it was.
    pub prev_kv: bool,
    /// Keep the value, which must then be empty here; the key must exist.
    pub ignore_value: bool,
    /// Keep the lease, which must then be none here; the key must exist.
    pub ignore_lease: bool,
}

impl PutRequest {
    /// Writes `value` without a lease.
    pub fn new(key: impl Into<Bytes>, value: impl Into<Bytes>) -> Self {
        Self {
            key: key.into(),
            value: value.into(),
            lease: LeaseId::NONE,
            prev_kv: false,
            ignore_value: false,
            ignore_lease: false,
        }
    }

    /// Attaches a lease.
    #[must_use]
    pub fn with_lease(mut self, lease: LeaseId) -> Self {
        self.lease = lease;
        self
    }

    /// Asks for the pair as it was.
    #[must_use]
    pub fn with_prev_kv(mut self) -> Self {
        self.prev_kv = true;
        self
    }

    /// Keeps the value that the key has.
    #[must_use]
    pub fn with_ignore_value(mut self) -> Self {
        self.ignore_value = true;
        self
    }

    /// Keeps the lease that the key has.
    #[must_use]
    pub fn with_ignore_lease(mut self) -> Self {
        self.ignore_lease = true;
        self
    }
}

impl From<PutRequest> for TxnOp {
    fn from(put: PutRequest) -> Self {
        Self::Put(put)
    }
}

/// A deletion of keys. Deleting nothing is not an error and takes no revision.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeleteRequest {
    /// The keys.
    pub range: KeyRange,
    /// Return the pairs as they were.
    pub prev_kv: bool,
}

impl DeleteRequest {
    /// Deletes the keys of `range`.
    pub fn new(range: KeyRange) -> Self {
        Self { range, prev_kv: false }
    }

    /// Asks for the pairs as they were.
    #[must_use]
    pub fn with_prev_kv(mut self) -> Self {
        self.prev_kv = true;
        self
    }
}

impl From<DeleteRequest> for TxnOp {
    fn from(delete: DeleteRequest) -> Self {
        Self::Delete(delete)
    }
}

impl From<RangeRequest> for TxnOp {
    fn from(range: RangeRequest) -> Self {
        Self::Range(range)
    }
}

impl From<TxnRequest> for TxnOp {
    fn from(txn: TxnRequest) -> Self {
        Self::Txn(txn)
    }
}

/// One condition: what every key of `range` must satisfy. A range without keys counts as one
/// absent key.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "etcd's Compare is frozen")]
pub struct Compare {
    /// The keys.
    pub range: KeyRange,
    /// How the key's value stands to the given one.
    pub result: CompareResult,
    /// What is compared, and with what.
    pub target: CompareTarget,
}

impl Compare {
    /// A condition.
    pub fn new(range: KeyRange, target: CompareTarget, result: CompareResult) -> Self {
        Self { range, result, target }
    }

    /// `key` was last written at exactly `revision`; [`Revision::ZERO`]: is absent.
    pub fn mod_revision(key: impl Into<Bytes>, revision: Revision) -> Self {
        let target = CompareTarget::ModRevision(revision);
        Self::new(KeyRange::key(key), target, CompareResult::Equal)
    }

    /// No key of `range` was written after `revision`. Deletions go unnoticed.
    pub fn unwritten_since(range: KeyRange, revision: Revision) -> Self {
        Self::new(range, CompareTarget::ModRevision(revision.next()), CompareResult::Less)
    }
}

/// The relation that a [`Compare`] demands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "etcd's Compare.CompareResult is frozen")]
pub enum CompareResult {
    /// The key's is equal to the given one.
    Equal,
    /// The key's is greater.
    Greater,
    /// The key's is less.
    Less,
    /// The key's differs. False for the value of an absent key.
    NotEqual,
}

/// What a [`Compare`] looks at, with the operand. An absent key has 0 everywhere, and no value:
/// every comparison of its value is false.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "etcd's Compare.CompareTarget is frozen")]
pub enum CompareTarget {
    /// How often the key was written since it was created.
    Version(i64),
    /// When the key was created.
    CreateRevision(Revision),
    /// When the key was last written.
    ModRevision(Revision),
    /// The value, bytewise.
    Value(Bytes),
    /// The lease.
    Lease(LeaseId),
}

/// The answer to a [`TxnRequest`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TxnResponse {
    /// The header; its revision is the transaction's own if it changed anything.
    pub header: Header,
    /// Whether all compares held.
    pub succeeded: bool,
    /// One answer for each operation of the branch that ran.
    pub responses: Vec<TxnOpResponse>,
}

impl TxnResponse {
    /// A response.
    pub fn new(header: Header, succeeded: bool, responses: Vec<TxnOpResponse>) -> Self {
        Self { header, succeeded, responses }
    }
}

/// The answer to one [`TxnOp`]. Headers within carry only the revision.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "etcd's ResponseOp is frozen")]
pub enum TxnOpResponse {
    /// To a range.
    Range(RangeResponse),
    /// To a put.
    Put(PutResponse),
    /// To a deletion.
    Delete(DeleteResponse),
    /// To a nested transaction.
    Txn(TxnResponse),
}

/// The answer to a [`PutRequest`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PutResponse {
    /// The pair before this operation, if asked for and there was one.
    pub prev_kv: Option<KeyValue>,
}

impl PutResponse {
    /// A response.
    pub fn new(prev_kv: Option<KeyValue>) -> Self {
        Self { prev_kv }
    }
}

/// The answer to a [`DeleteRequest`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeleteResponse {
    /// How many keys were deleted.
    pub deleted: i64,
    /// The pairs as they were, if asked for, in key order.
    pub prev_kvs: Vec<KeyValue>,
}

impl DeleteResponse {
    /// A response.
    pub fn new(deleted: i64, prev_kvs: Vec<KeyValue>) -> Self {
        Self { deleted, prev_kvs }
    }
}
