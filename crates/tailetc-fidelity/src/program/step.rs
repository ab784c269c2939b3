//! One step of a program.

use serde::{Deserialize, Serialize};

use super::{Delete, Key, Put, Range, Rev, Txn, is_default};

/// What one client does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::exhaustive_structs, reason = "programs are written down as literals")]
pub struct Step {
    /// The connection that it goes over.
    #[serde(default, skip_serializing_if = "is_default")]
    pub client: u8,
    /// What is done.
    #[serde(flatten)]
    pub action: Action,
}

/// What is done in a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::exhaustive_enums, reason = "programs are written down as literals")]
#[expect(missing_docs, reason = "named after the messages of etcd's rpc.proto")]
pub enum Action {
    Put(Put),
    Range(Range),
    Delete(Delete),
    Txn(Txn),
    Compact {
        revision: Rev,
        physical: bool,
    },
    Grant {
        lease: i64,
        ttl: i64,
    },
    Revoke {
        lease: i64,
    },
    KeepAlive {
        lease: i64,
    },
    TimeToLive {
        lease: i64,
        keys: bool,
    },
    Leases,
    HashKv {
        revision: Rev,
    },
    Status,
    Watch(Watch),
    Cancel {
        stream: u8,
        id: i64,
    },
    Progress {
        stream: u8,
    },
    /// A `WatchRequest` without a request.
    EmptyWatchRequest {
        stream: u8,
    },
    /// The stream is dropped; the next step that names it opens a new one.
    EndStream {
        stream: u8,
    },
    /// So many puts of one key.
    Burst {
        key: Key,
        count: usize,
    },
    /// Time passes until all leases of a short time to live have expired.
    Expire,
}

/// `WatchCreateRequest`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[expect(clippy::exhaustive_structs, reason = "programs are written down as literals")]
#[expect(missing_docs, reason = "named after the messages of etcd's rpc.proto")]
pub struct Watch {
    pub stream: u8,
    #[serde(skip_serializing_if = "is_default")]
    pub id: i64,
    pub key: Key,
    #[serde(skip_serializing_if = "is_default")]
    pub end: Key,
    #[serde(skip_serializing_if = "is_default")]
    pub start: Rev,
    #[serde(skip_serializing_if = "is_default")]
    pub prev_kv: bool,
    #[serde(skip_serializing_if = "is_default")]
    pub progress_notify: bool,
    #[serde(skip_serializing_if = "is_default")]
    pub fragment: bool,
    #[serde(skip_serializing_if = "is_default")]
    pub filters: Vec<i32>,
}
