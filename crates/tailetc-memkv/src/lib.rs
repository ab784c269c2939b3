//! An etcd of one node, in process and in memory: the store behind `memory://`.
//!
//! [`MemKv`] is a [`KvBackend`](tailetc_core::backend::KvBackend) that answers as an etcd server
//! answers: the same revisions, the same order of events, the same refusals in the same words. It
//! is made for tests that would otherwise need a server, and for programs that need no durability.
//!
//! ```
//! use tailetc_core::Revision;
//! use tailetc_core::backend::{
//!     Compare, KeyRange, KvBackend, KvBackendExt, PutRequest, TxnRequest, WatchRequest,
//!     WatchResponse,
//! };
//! use tailetc_memkv::MemKv;
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
//! let store = MemKv::new();
//! let start = Revision::new(2);
//! let mut watcher = store.watch(WatchRequest::new(KeyRange::prefix("a/"), start)).await?;
//!
//! let create = TxnRequest::new([PutRequest::new("a/1", "one").into()])
//!     .when([Compare::mod_revision("a/1", Revision::ZERO)]);
//! assert!(store.txn(create.clone()).await?.succeeded);
//! assert!(!store.txn(create).await?.succeeded);
//!
//! let pair = store.get("a/1".into()).await?.expect("it was put");
//! assert_eq!((pair.mod_revision, pair.version), (start, 1));
//!
//! let WatchResponse::Events { events, .. } = watcher.next().await? else {
//!     panic!("nobody asked for progress");
//! };
//! assert_eq!(events[0].kv, pair);
//! # Ok::<(), tailetc_core::backend::BackendError>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is as in etcd
//!
//! - **Revisions.** A fresh store is at 1. A request that changes something takes one revision; one
//!   that changes nothing takes none. Every version of every key, deletions included, is kept until
//!   [`compact`](tailetc_core::backend::KvBackend::compact).
//! - **Transactions.** Nested ones, conditions on ranges, conditions decided before anything runs,
//!   operations that see earlier ones. Refusals come in the server's order: number of operations,
//!   keys, duplicates, size, and then what the state forbids, in the branches that run.
//! - **Watches.** Whole revisions, from any revision that is not compacted. One that is up to date
//!   gets a response per revision under that revision; one that catches up gets up to 1,000
//!   revisions at once, under the store's. A watch that was up to date survives a compaction if no
//!   more than [128](MemKvOptions::watch_buffer_revisions) revisions wait for it.
//! - **Progress.** A request is answered behind the events that it covers, and dropped while the
//!   watch catches up or before its start.
//! - **Leases.** Short times are raised to 2 s. Every lease that expires or is revoked takes its
//!   keys with it, in order, at a revision of its own.
//!
//! - **Space.** A [quota](MemKvOptions::quota_backend_bytes) on an estimate of the database, with
//!   the server's alarm.
//! - **Versions.** Where releases from 3.4 to 3.7 differ, the store does as the one that it is told
//!   to [imitate](MemKvOptions::imitate). The tests compare it with
//!   servers of each of the four.
//!
//! # What is not
//!
//! - There is one member, which never fails: no elections, no stale reads, no lost answers, no
//!   authentication, no compaction that nobody asked for.
//! - What etcd does not name, and keeping something of a key that the same transaction deletes, is
//!   refused as [`InvalidRequest`](tailetc_core::backend::BackendErrorKind::InvalidRequest).
//! - A lease expires exactly at its time; a server takes up to half a second more.
//! - A watch that begins in the past catches up when it is asked for, not in the background.
//! - Unsolicited progress comes without the server's jitter.
//! - The limit of gRPC on a message, 512 KiB above
//!   [`max_request_bytes`](MemKvOptions::max_request_bytes), is that of the gRPC face alone.
//!
//! # What it costs
//!
//! With n keys that were not compacted, a put, a point read, and the count of a range take
//! O(log n), a range and a deletion O(log n) and what they return or delete, also when a limit cuts
//! the range, whose count is not walked; at an old revision as at the current one. What takes more:
//!
//! - A range that is filtered or sorted looks at all its keys.
//! - A condition on a range looks at the keys up to the first that does not satisfy it.
//! - A compaction, and a deletion of more than some hundred keys by a range or with their lease,
//!   takes effect at once. What it leaves to do takes O(log n) for every change since the compaction
//!   before, and for every deletion. That is done some hundred versions at a time, between which
//!   others get their turn: by the one who asked for it, which is answered in the end, and by every
//!   other operation until it is done. What needs it waits: watches, the keys of a lease,
//!   [`hash_kv`](MemKv::hash_kv), [`full_status`](MemKv::full_status).
//! - [`hash_kv`](MemKv::hash_kv) takes O(n log n), and so does what a compaction leaves to do after
//!   [`keep_hashes`](MemKv::keep_hashes).
//!
//! A version of a key is allocated once, whatever shows it, and shares the bytes of the key with
//! all others.
//!
//! # Time and order
//!
//! The store has no thread and no task, knows no time but that of its [`Clock`], which is
//! [`tokio::time`]'s by default, and leaves nothing to chance: the same calls in the same order give
//! the same answers. Leases that are due expire when the store is next asked for anything, before
//! the answer; a waiting watch wakes for them. With tokio's clock paused, or with a [`ManualClock`],
//! all of it happens in simulated time.
//!
//! Waiting on a watch while there are leases, or with
//! [`progress_notify`](tailetc_core::backend::WatchRequest::progress_notify), needs a tokio runtime
//! with its timer enabled. Nothing else needs a runtime.

mod clock;
mod errors;
mod fault;
#[cfg(feature = "grpc")]
pub mod grpc;
mod memkv;
mod options;
mod outside;
mod request;
mod rules;
mod store;
mod stream;
mod version;
mod watcher;

pub use crate::clock::{Clock, ManualClock};
#[cfg(any(test, feature = "faults"))]
#[doc(hidden)]
pub use crate::fault::Fault;
pub use crate::memkv::MemKv;
pub use crate::options::MemKvOptions;
pub use crate::store::{HashKv, MemKvStatus};
pub use crate::version::{EtcdVersion, UnknownVersion};
