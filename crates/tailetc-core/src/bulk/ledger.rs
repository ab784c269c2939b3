//! Which operations are applied.

use std::collections::BTreeMap;
use std::ops::Range;

use super::chunk::Done;
use super::{BulkError, BulkProgress, BulkReport};
use crate::{Error, Token};

/// What is known of every operation that was sent.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// Those before it are applied, all of them.
    prefix: u64,
    /// Applied after the prefix, by their beginnings. They do not touch it, nor each other.
    beyond: BTreeMap<u64, u64>,
    /// Sent, and not heard of: by their beginnings.
    under_way: BTreeMap<u64, u64>,
    unknown: Vec<Range<u64>>,
    applied: u64,
    written: u64,
    chunks: u64,
    token: Option<Token>,
    /// The failure of the lowest operation.
    failure: Option<(u64, Error)>,
}

impl Ledger {
    pub(super) fn beginning_at(operation: u64) -> Self {
        Self { prefix: operation, ..Self::default() }
    }

    pub(super) fn begin(&mut self, operations: Range<u64>) {
        self.under_way.insert(operations.start, operations.end);
    }

    pub(super) fn settle(&mut self, done: Done) {
        self.under_way.remove(&done.operations.start);
        for piece in done.pieces {
            self.applied += piece.operations.end - piece.operations.start;
            self.written += piece.written;
            self.chunks += 1;
            let token = piece.commit.token();
            if self.token.is_none_or(|last| last.revision() < token.revision()) {
                self.token = Some(token);
            }
            self.apply(piece.operations);
        }
        if let Some(failed) = done.failed {
            if failed.error.is_outcome_unknown() {
                self.unknown.push(failed.operations.clone());
            }
            self.fail(failed.operations.start, failed.error);
        }
    }

    fn apply(&mut self, operations: Range<u64>) {
        self.beyond.insert(operations.start, operations.end);
        while let Some(end) = self.beyond.remove(&self.prefix) {
            self.prefix = end;
        }
    }

    pub(super) fn fail(&mut self, operation: u64, error: Error) {
        if self.failure.as_ref().is_none_or(|(first, _)| operation < *first) {
            self.failure = Some((operation, error));
        }
    }

    pub(super) fn has_failed(&self) -> bool {
        self.failure.is_some()
    }

    /// The failure, once nothing is under way any more: of what is still said to be, nobody will
    /// ever hear.
    pub(super) fn failure(&self) -> Option<BulkError> {
        let (operation, source) = self.failure.clone()?;
        let mut unknown = self.unknown.clone();
        unknown.extend(self.under_way.iter().map(|(start, end)| *start..*end));
        unknown.sort_by_key(|range| range.start);
        let beyond = self.beyond.iter().map(|(start, end)| *start..*end).collect();
        Some(BulkError::new(self.prefix, beyond, unknown, operation, source))
    }

    pub(super) fn progress(&self, given: u64) -> BulkProgress {
        BulkProgress { given, applied: self.applied, prefix: self.prefix, chunks: self.chunks }
    }

    pub(super) fn report(&self, given: u64) -> BulkReport {
        BulkReport {
            given,
            applied: self.applied,
            written: self.written,
            chunks: self.chunks,
            token: self.token,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefix_grows_over_what_was_applied_out_of_order() {
        let mut ledger = Ledger::beginning_at(10);
        for (range, prefix) in [(20..30, 10), (40..50, 10), (10..20, 30), (30..40, 50)] {
            ledger.apply(range);
            assert_eq!(ledger.prefix, prefix);
        }
        assert!(ledger.beyond.is_empty());
    }

    #[test]
    fn failure_is_that_of_the_lowest_operation_and_silence_is_unknown() {
        let mut ledger = Ledger::default();
        for range in [0..5, 5..9, 9..12] {
            ledger.begin(range);
        }
        ledger.under_way.remove(&9);
        ledger.apply(9..12);
        ledger.fail(5, Error::WritesDenied);
        ledger.fail(7, Error::WritesDenied);
        let failure = ledger.failure().expect("it has failed");
        assert_eq!((failure.applied(), failure.operation()), (0, 5));
        assert_eq!(failure.applied_beyond(), std::slice::from_ref(&(9..12)));
        assert_eq!(failure.unknown(), [0..5, 5..9]);
    }
}
