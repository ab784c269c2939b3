//! What a consumer gets next, whatever its types.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use crate::db::Shared;
use crate::state::State;
use crate::watch::{Scope, Sink, WatchMode, coalesced, exact};
use crate::{ChangeSet, CloseReason, Error, Revision};

/// The consumer's end of a watch: the initial state, what follows, lagging and beginning again, the
/// end. Nothing is lost when whoever polls it stops doing so.
pub(crate) struct Feed {
    shared: Arc<Shared>,
    scope: Scope,
    mode: WatchMode,
    stage: Stage,
}

enum Stage {
    Open {
        /// The whole of this state is due first.
        initial: Option<Arc<State>>,
        source: Source,
    },
    /// The buffer overflowed, and the consumer has been told.
    Lagged,
    Ended,
}

enum Source {
    Exact(exact::Source),
    Coalesced(coalesced::Source),
}

impl Feed {
    /// A feed that begins with the present state, or with what comes after a kept revision.
    pub(crate) fn open(
        shared: &Arc<Shared>,
        scope: Scope,
        mode: WatchMode,
        after: Option<Revision>,
    ) -> Result<Self, Error> {
        mode.check()?;
        let stage = match after {
            Some(revision) => begin_after(shared, &scope, mode, revision)?,
            None => begin(shared, &scope, mode)?,
        };
        Ok(Self { shared: Arc::clone(shared), scope, mode, stage })
    }

    /// The next change set that touches the scope. After [`Error::Lagged`] it goes on; after any
    /// other error it has ended.
    pub(crate) fn poll_next(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Arc<ChangeSet>, Error>>> {
        loop {
            let (initial, source) = match &mut self.stage {
                Stage::Open { initial, source } => (initial, source),
                Stage::Lagged => match begin(&self.shared, &self.scope, self.mode) {
                    Ok(stage) => {
                        self.stage = stage;
                        continue;
                    }
                    Err(error) => return self.end(error),
                },
                Stage::Ended => return Poll::Ready(None),
            };
            if let Some(state) = initial.take() {
                return Poll::Ready(Some(Ok(Arc::new(self.scope.initial(&state)))));
            }
            match source {
                Source::Exact(source) => match ready!(source.poll(context, &self.scope)) {
                    exact::Next::Set(set) => return Poll::Ready(Some(Ok(set))),
                    exact::Next::Lagged { after } => {
                        self.shared.counters.lagged_watches(1);
                        self.stage = Stage::Lagged;
                        return Poll::Ready(Some(Err(Error::Lagged { after })));
                    }
                    exact::Next::Closed => return self.end(self.closed()),
                },
                Source::Coalesced(source) => match ready!(source.poll(context, &self.shared)) {
                    Some((before, now)) => {
                        // None if what has changed undid itself.
                        if let Some(set) = self.scope.difference(&before, &now) {
                            return Poll::Ready(Some(Ok(Arc::new(set))));
                        }
                    }
                    None => return self.end(self.closed()),
                },
            }
        }
    }

    fn end(&mut self, error: Error) -> Poll<Option<Result<Arc<ChangeSet>, Error>>> {
        self.stage = Stage::Ended;
        Poll::Ready(Some(Err(error)))
    }

    /// Why there is nothing more.
    pub(crate) fn closed(&self) -> Error {
        match self.shared.check_open() {
            Err(error) => error,
            Ok(()) => Error::Closed { reason: CloseReason::Dropped },
        }
    }
}

fn begin(shared: &Shared, scope: &Scope, mode: WatchMode) -> Result<Stage, Error> {
    shared.subscribe(scope, |state| {
        let (sink, source) = pair(mode, state.revision, state, Vec::new());
        Ok((sink, Stage::Open { initial: Some(Arc::clone(state)), source }))
    })
}

fn begin_after(
    shared: &Shared,
    scope: &Scope,
    mode: WatchMode,
    revision: Revision,
) -> Result<Stage, Error> {
    shared.subscribe(scope, |_| {
        let (base, later) = shared.states_since(revision)?;
        let (sink, source) = pair(mode, revision, &base, later);
        Ok((sink, Stage::Open { initial: None, source }))
    })
}

/// The two ends of a watch whose consumer knows `base`, which shows `revision`, and none of the
/// published states that came `later`.
fn pair(
    mode: WatchMode,
    revision: Revision,
    base: &Arc<State>,
    later: Vec<Arc<State>>,
) -> (Sink, Source) {
    let coalesced = |delay| {
        let (sink, source) = coalesced::pair(delay, base, !later.is_empty());
        (Sink::Coalesced(sink), Source::Coalesced(source))
    };
    match mode {
        WatchMode::Coalesced => coalesced(Duration::ZERO),
        WatchMode::Debounced { delay } => coalesced(delay),
        WatchMode::Exact { buffer } => {
            let (sink, source) = exact::queue(buffer, revision, base, later);
            (Sink::Exact(sink), Source::Exact(source))
        }
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        // The applier goes by whether the consumer's end still exists.
        self.stage = Stage::Ended;
        self.shared.watch_left(self.scope.clone());
    }
}

impl fmt::Debug for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feed")
            .field("scope", &self.scope)
            .field("mode", &self.mode)
            .finish_non_exhaustive()
    }
}
