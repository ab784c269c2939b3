//! `etcdctl` cannot tell the binary `memkv` from the server that it imitates: each command runs
//! against both, and what it prints and how it ends must be equal but for ids, addresses, times and
//! sizes.
//!
//! The messages that `etcdctl` does not send are in [`odd`].
//!
//! `TAILETC_ETCD` names the server, and the `etcdctl` beside it is the one that is used. Without it
//! every test fails: none is skipped.

#![expect(clippy::expect_used, clippy::panic, reason = "a failure is what these tests are for")]

mod chunks;
mod compressed;
mod full;
mod get;
mod lease;
mod maintenance;
mod normal;
mod odd;
mod pages;
mod pair;
mod txn;
mod watch;
mod watching;
#[path = "../wire/mod.rs"]
mod wire;
mod write;
