#![doc = include_str!("../README.md")]
//!
//! # Where to look
//!
//! - [`open`] and [`Builder`]: from a URL to a [`Db`].
//! - [`Db`], [`Snapshot`], [`Txn`]: reading and writing.
//! - [`Collection`], [`Codec`], [`ClonePolicy`]: types.
//! - [`Collection::index`], [`Collection::unique_index`], [`Builder::guarded`]: finding entries by
//!   what is in them.
//! - [`Db::observe`], [`Db::watch`], [`Db::watch_index`], [`ChangeSet`]: following changes.
//! - [`Options::history`], [`Db::snapshot_at`], [`Snapshot::diff`], [`Token`]: places in history.
//! - [`Session`]: keys that live as long as the program. [`Bulk`]: imports and migrations.
//! - [`Error`]: what can go wrong, and what to do about it.
//! - [`backend`]: what stands below, and how to write another one.

mod open;

/// The programs in the page are run.
#[cfg(doctest)]
#[doc = include_str!("../docs/observers.md")]
mod observers {}

pub use tailetc_core::*;
pub use tailetc_memkv as memkv;

#[cfg(feature = "etcd")]
pub use tailetc_etcd as etcd;

pub use crate::open::open;

/// The pages whose code is compiled and run.
#[cfg(all(doctest, feature = "json"))]
#[doc = include_str!("../docs/cookbook.md")]
mod cookbook {}
