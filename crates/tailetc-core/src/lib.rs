//! The mirror: snapshots, transactions, watches, and the backend trait.

pub mod backend;
mod revision;

pub use crate::revision::{LeaseId, Revision};
