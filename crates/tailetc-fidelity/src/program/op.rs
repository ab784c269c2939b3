//! Reads and writes of keys, alone or inside a transaction.

use serde::{Deserialize, Serialize};

use super::{Key, Rev, Value, is_default};

/// An operation inside a transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::exhaustive_enums, reason = "programs are written down as literals")]
#[expect(missing_docs, reason = "named after the messages of etcd's rpc.proto")]
pub enum Op {
    /// A `RequestOp` without a request.
    Unset,
    Put(Put),
    Range(Range),
    Delete(Delete),
    Txn(Txn),
}

/// `PutRequest`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[expect(clippy::exhaustive_structs, reason = "programs are written down as literals")]
#[expect(missing_docs, reason = "named after the messages of etcd's rpc.proto")]
pub struct Put {
    pub key: Key,
    #[serde(skip_serializing_if = "is_default")]
    pub value: Value,
    #[serde(skip_serializing_if = "is_default")]
    pub lease: i64,
    #[serde(skip_serializing_if = "is_default")]
    pub prev_kv: bool,
    #[serde(skip_serializing_if = "is_default")]
    pub ignore_value: bool,
    #[serde(skip_serializing_if = "is_default")]
    pub ignore_lease: bool,
}

/// `RangeRequest`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[expect(clippy::exhaustive_structs, reason = "programs are written down as literals")]
#[expect(missing_docs, reason = "named after the messages of etcd's rpc.proto")]
pub struct Range {
    pub key: Key,
    #[serde(skip_serializing_if = "is_default")]
    pub end: Key,
    #[serde(skip_serializing_if = "is_default")]
    pub limit: i64,
    #[serde(skip_serializing_if = "is_default")]
    pub revision: Rev,
    #[serde(skip_serializing_if = "is_default")]
    pub sort_order: i32,
    #[serde(skip_serializing_if = "is_default")]
    pub sort_target: i32,
    #[serde(skip_serializing_if = "is_default")]
    pub serializable: bool,
    #[serde(skip_serializing_if = "is_default")]
    pub keys_only: bool,
    #[serde(skip_serializing_if = "is_default")]
    pub count_only: bool,
    #[serde(skip_serializing_if = "is_default")]
    pub min_mod: Rev,
    #[serde(skip_serializing_if = "is_default")]
    pub max_mod: Rev,
    #[serde(skip_serializing_if = "is_default")]
    pub min_create: Rev,
    #[serde(skip_serializing_if = "is_default")]
    pub max_create: Rev,
}

/// `DeleteRangeRequest`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[expect(clippy::exhaustive_structs, reason = "programs are written down as literals")]
#[expect(missing_docs, reason = "named after the messages of etcd's rpc.proto")]
pub struct Delete {
    pub key: Key,
    #[serde(skip_serializing_if = "is_default")]
    pub end: Key,
    #[serde(skip_serializing_if = "is_default")]
    pub prev_kv: bool,
}

/// `TxnRequest`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[expect(clippy::exhaustive_structs, reason = "programs are written down as literals")]
#[expect(missing_docs, reason = "named after the messages of etcd's rpc.proto")]
pub struct Txn {
    #[serde(skip_serializing_if = "is_default")]
    pub compare: Vec<Compare>,
    #[serde(skip_serializing_if = "is_default")]
    pub success: Vec<Op>,
    #[serde(skip_serializing_if = "is_default")]
    pub failure: Vec<Op>,
    /// So many reads of one key follow in the success branch, to reach the limit of operations.
    #[serde(skip_serializing_if = "is_default")]
    pub more_success: usize,
}

/// `Compare`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[expect(clippy::exhaustive_structs, reason = "programs are written down as literals")]
#[expect(missing_docs, reason = "named after the messages of etcd's rpc.proto")]
pub struct Compare {
    pub key: Key,
    #[serde(skip_serializing_if = "is_default")]
    pub end: Key,
    pub target: i32,
    pub result: i32,
    #[serde(skip_serializing_if = "is_default")]
    pub union: Union,
}

/// `Compare.target_union`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::exhaustive_enums, reason = "programs are written down as literals")]
#[expect(missing_docs, reason = "named after the messages of etcd's rpc.proto")]
pub enum Union {
    #[default]
    Unset,
    Version(i64),
    Create(Rev),
    Mod(Rev),
    Value(String),
    Lease(i64),
}
