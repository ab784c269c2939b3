//! Differential tests: a program of requests runs on two servers, and every response and every
//! watch event is compared, field by field; errors by code and text.
//!
//! A [`Hunt`] runs many generated programs. What it knows of etcd, to find out when all has come
//! that a watch is owed, comes from the answers of the servers and not from the code under test.
//! What etcd leaves open is made equal before it is compared, in one place: `duel/canonical.rs`,
//! and for leases that end together `duel/expiry.rs`. The order between the watchers of a stream
//! is open too: each watcher's responses are compared on their own.

mod duel;
mod hunt;
pub mod program;
mod wire;

pub use self::duel::Kind;
pub use self::hunt::{Finding, Hunt, HuntError, Report, load, store};
