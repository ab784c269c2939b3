//! How far a bulk came that failed.

use std::error::Error as StdError;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use crate::Error;

/// The first failure of a [`Bulk`](crate::Bulk), and what was applied all the same.
///
/// Operations are counted from 0, in the order in which they were given, those skipped included.
/// What is neither applied nor of unknown outcome was certainly not applied.
#[derive(Clone, Debug)]
pub struct BulkError(Arc<Failure>);

#[derive(Debug)]
struct Failure {
    applied: u64,
    beyond: Vec<Range<u64>>,
    unknown: Vec<Range<u64>>,
    operation: u64,
    source: Error,
}

impl BulkError {
    pub(super) fn new(
        applied: u64,
        beyond: Vec<Range<u64>>,
        unknown: Vec<Range<u64>>,
        operation: u64,
        source: Error,
    ) -> Self {
        Self(Arc::new(Failure { applied, beyond, unknown, operation, source }))
    }

    /// How many operations from the first on are certainly applied, all of them, or were skipped:
    /// what to [`skip`](crate::Bulk::skip) when they are given again.
    pub fn applied(&self) -> u64 {
        self.0.applied
    }

    /// The operations after these that are certainly applied, too, in order. To apply them again
    /// overwrites what others have written to their keys since.
    pub fn applied_beyond(&self) -> &[Range<u64>] {
        &self.0.beyond
    }

    /// The operations of which is not known whether they are applied, in order: each chunk of them
    /// wholly or not at all.
    pub fn unknown(&self) -> &[Range<u64>] {
        &self.0.unknown
    }

    /// The first operation of the transaction that failed; or the operation that could not be
    /// encoded.
    pub fn operation(&self) -> u64 {
        self.0.operation
    }

    /// Why it failed.
    pub fn reason(&self) -> &Error {
        &self.0.source
    }
}

impl fmt::Display for BulkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Failure { applied, operation, .. } = &*self.0;
        write!(f, "failed at operation {operation}, after the first {applied} were applied")
    }
}

impl StdError for BulkError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&self.0.source)
    }
}
