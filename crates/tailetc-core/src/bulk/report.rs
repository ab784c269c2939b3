//! How far a bulk is, and what it has done.

use crate::Token;

/// How far a [`Bulk`](crate::Bulk) is: see [`Bulk::on_progress`](crate::Bulk::on_progress).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BulkProgress {
    /// How many operations were given, those skipped included.
    pub given: u64,
    /// How many are known to be applied, in any order, without those skipped.
    pub applied: u64,
    /// All operations before this one are applied or were skipped, counted from 0: what a program
    /// that was killed may [`skip`](crate::Bulk::skip).
    pub prefix: u64,
    /// In how many chunks.
    pub chunks: u64,
}

/// What a [`Bulk`](crate::Bulk) has done: see [`Bulk::finish`](crate::Bulk::finish).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BulkReport {
    /// How many operations were given, those skipped included.
    pub given: u64,
    /// How many were applied: all but those skipped.
    pub applied: u64,
    /// How many of these wrote: with [`if_absent`](crate::Bulk::if_absent) not the puts of keys
    /// that were there.
    pub written: u64,
    /// In how many chunks.
    pub chunks: u64,
    /// The place in history at which everything is applied; none if nothing was given.
    pub token: Option<Token>,
}
