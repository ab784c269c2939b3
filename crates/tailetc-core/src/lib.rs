//! The mirror at the heart of tailetc: snapshots, transactions, watches, and the trait that
//! backends implement.
//!
//! A [`Db`] holds a complete copy of an etcd key prefix in memory, as decoded values, kept current
//! by following an etcd watch. Reading is a memory access. Writing is an optimistic transaction
//! that returns when this copy shows it. Behind a `Db` is a [`KvBackend`](backend::KvBackend).
//!
//! Programs use the crate `tailetc`, which adds the backends; this crate is for those who write
//! one.
//!
//! # Transactions
//!
//! A [`Txn`] reads from one [`Snapshot`]. Its commit succeeds only if nothing that it read, wrote
//! or deleted has changed since; [`Db::transact`] runs it again on a conflict. A commit has three
//! outcomes: committed, [conflict](Error::Conflict), or [unknown](Error::OutcomeUnknown).
//!
//! # Types
//!
//! A [`Collection`] names the keys below a prefix and how their values are encoded ([`Codec`]). Its
//! [`ClonePolicy`] says what a read gives: by default an `Arc` of the cached value. Keys outside of
//! collections are [`RAW`].
//!
//! # Indexes
//!
//! A [`Collection`] may have any number of ordered [`Index`]es, declared as constants
//! ([`Collection::index`]) and registered with [`Builder::index`]. They change in the same step as
//! the collection and are read at a snapshot's revision ([`Snapshot::index`]) or, guarded, in a
//! transaction ([`Txn::index_get`], [`Txn::index_range`]). A [`Collection::unique_index`] gives each
//! of its keys to one entry at most, whichever processes write. A collection that is
//! [guarded](Builder::guarded) takes one guard of a transaction for reads of any size.
//!
//! # Changes
//!
//! [`Db::observe`] calls a function with every change before readers see it; [`Db::watch`] and
//! [`Db::watch_index`] give streams. All begin with the present state. One etcd transaction is one
//! [`ChangeSet`]; a [`WatchMode`] says whether a watch gives each, or what is different when its
//! consumer is ready.
//!
//! # History
//!
//! The last revisions stay readable if asked for ([`Options::history`], [`Options::history_age`]):
//! [`Db::snapshot_at`], and [`Db::watch_from`] for those who have seen one of them already.
//! [`Snapshot::diff`] tells two snapshots apart in time proportional to what differs. A [`Token`]
//! carries a place in history to another process ([`Db::at_least`], [`Db::transact_after`]).
//!
//! # Sessions
//!
//! A [`Session`] keeps a lease alive for as long as the program lives; its keys go with it, and come
//! back after an outage if asked for ([`OnLoss`]). Its loss is told.
//!
//! # Many writes
//!
//! [`Db::bulk`] writes more than fits into one transaction, in chunks that do.
//!
//! # Errors
//!
//! All are [`Error`], which says what the caller can do. Nothing that comes from the store makes
//! the library panic: a value that does not decode is quarantined ([`Snapshot::quarantined`]), or
//! what the collection's [`DecodePolicy`] says.
//!
//! # Features
//!
//! - `json`: the codec `Json<T>`.

pub mod backend;
mod bulk;
mod db;
mod error;
mod key;
mod revision;
mod schema;
mod session;
mod state;
mod tail;
mod txn;
mod watch;

/// What raw values and encoded ones are: a cheaply cloned slice of bytes.
#[doc(no_inline)]
pub use bytes::Bytes;

pub use crate::bulk::{Bulk, BulkError, BulkProgress, BulkReport};
pub use crate::db::{
    Builder, Db, Duplicate, Health, HealthChanges, ObserverGuard, Options, Phase, Reservation,
    SelfCheck, Staleness, Stats, UniqueCheck, WriteDenial,
};
pub use crate::error::{BoxError, CloseReason, Error, Limit, SharedError};
pub use crate::key::{Key, KeyRef};
pub use crate::revision::{LeaseId, Revision};
#[cfg(feature = "json")]
pub use crate::schema::Json;
pub use crate::schema::{
    AsIndexKey, ClonePolicy, Cloned, Codec, Collection, DecodePolicy, Index, IndexKey, IndexKeys,
    IndexPrefix, IndexReader, IndexWriter, RAW, Raw, Shared,
};
pub use crate::session::{LeaseLoss, OnLoss, Session, SessionBuilder, SessionState, SessionStates};
pub use crate::state::{
    Change, ChangeKind, ChangeSet, Changes, IndexBounds, IndexCursor, IndexItem, IndexPage,
    IndexRange, IndexView, Item, KeyBounds, Metadata, Only, Prefix, Quarantined, Range, Scan,
    Snapshot, Token, Unplaced,
};
pub use crate::txn::{Commit, Txn};
pub use crate::watch::{IndexChange, IndexUpdate, IndexWatch, Reflect, Update, Watch, WatchMode};
