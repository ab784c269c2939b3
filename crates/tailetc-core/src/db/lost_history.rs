//! Noticing that the store has lost the history that the copy shows.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::backend::Header;
use crate::db::Shared;
use crate::state::State;
use crate::{Error, Revision};

/// The epochs that are known to be lost: all below this one.
#[derive(Debug, Default)]
pub(crate) struct LostBelow(AtomicU64);

impl Shared {
    /// Whether the header of a linearizable request that was sent after `state` existed may be of
    /// the state's history. If it is not, nothing is committed from the lost one any more, and the
    /// tail looks.
    pub(crate) fn is_same_history(&self, state: &State, header: &Header) -> bool {
        let same = !state.is_of_another_history(header);
        if !same {
            self.lose(state.epoch);
            self.suspicion.raise();
        }
        same
    }

    /// The same as an error of a call that is about `target`.
    pub(crate) fn check_history(
        &self,
        state: &State,
        header: &Header,
        target: Revision,
    ) -> Result<(), Error> {
        if self.is_same_history(state, header) {
            Ok(())
        } else {
            Err(Error::HistoryLost { target })
        }
    }

    /// Takes note that the history of an epoch is gone.
    pub(crate) fn lose(&self, epoch: u64) {
        self.lost_below.0.fetch_max(epoch + 1, Ordering::AcqRel);
    }

    /// Whether it is known to be.
    pub(crate) fn is_lost(&self, epoch: u64) -> bool {
        epoch < self.lost_below.0.load(Ordering::Acquire)
    }
}
