//! The states that stay readable.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::db::Options;
use crate::state::State;
use crate::{Error, Revision};

/// The last published states, oldest first, all of one epoch, with nothing missing between them.
#[derive(Debug)]
pub(crate) struct History {
    kept: VecDeque<Kept>,
    most: usize,
    age: Option<Duration>,
}

#[derive(Debug)]
struct Kept {
    state: Arc<State>,
    /// When it took the place of the one before.
    since: Instant,
}

impl History {
    pub(super) fn new(options: &Options, state: &Arc<State>) -> Self {
        let (most, age) = (options.history, options.history_age);
        let mut history = Self { kept: VecDeque::new(), most, age };
        history.remember(state);
        history
    }

    /// Keeps a state, which follows on the last one.
    pub(super) fn remember(&mut self, state: &Arc<State>) {
        if self.most == 0 {
            return;
        }
        if self.kept.back().is_some_and(|last| last.state.epoch != state.epoch) {
            self.kept.clear();
        }
        self.kept.push_back(Kept { state: Arc::clone(state), since: Instant::now() });
        self.let_go();
    }

    /// Lets go what is too much or too old. The last state is neither.
    pub(super) fn let_go(&mut self) {
        while self.kept.len() > self.most {
            self.kept.pop_front();
        }
        let Some(age) = self.age else { return };
        let now = Instant::now();
        // A state is as old as the one that took its place: until then it was the present.
        while self.kept.get(1).is_some_and(|next| now.duration_since(next.since) > age) {
            self.kept.pop_front();
        }
    }

    /// Forgets everything: the revisions between the last state and the next are not known.
    pub(super) fn forget(&mut self) {
        self.kept.clear();
    }

    /// The state that shows `revision`. `newest` is the published one.
    pub(super) fn at(
        &mut self,
        revision: Revision,
        newest: &Arc<State>,
    ) -> Result<Arc<State>, Error> {
        self.let_go();
        let oldest = self.kept.front().map_or(newest.revision, |kept| kept.state.revision);
        if revision == newest.revision {
            return Ok(Arc::clone(newest));
        }
        if revision < oldest || revision > newest.revision {
            let newest = newest.revision;
            return Err(Error::RevisionNotKept { requested: revision, oldest, newest });
        }
        let after = self.kept.partition_point(|kept| kept.state.revision <= revision);
        // Nothing changed below the prefix between a kept state and the next. One of another history
        // is about to be published.
        let shown = after.checked_sub(1).map(|at| &self.kept[at].state);
        let shown = shown.filter(|state| state.epoch == newest.epoch);
        Ok(Arc::clone(shown.unwrap_or(newest)))
    }

    /// The state that shows `revision`, and each one after it up to what `newest` shows. Nothing may
    /// be applied meanwhile.
    pub(super) fn since(
        &mut self,
        revision: Revision,
        newest: &Arc<State>,
    ) -> Result<(Arc<State>, Vec<Arc<State>>), Error> {
        let base = self.at(revision, newest)?;
        let after = self.kept.partition_point(|kept| kept.state.revision <= revision);
        let later = self.kept.range(after..).map(|kept| Arc::clone(&kept.state));
        Ok((base, later.collect()))
    }
}
