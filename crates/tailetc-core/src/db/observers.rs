//! Synchronous observers: user code that sees every change before any reader does.

use std::cell::Cell;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Weak};

use crate::db::Shared;
use crate::{ChangeSet, Error};

pub(crate) type Observer = Box<dyn FnMut(&ChangeSet) + Send>;

thread_local! {
    /// Whether this thread is running an observer, and so holds the apply lock.
    static OBSERVING: Cell<bool> = const { Cell::new(false) };
}

/// The registered observers. Lives under the apply lock.
#[derive(Default)]
pub(crate) struct Observers {
    next_id: u64,
    registered: Vec<(u64, Observer)>,
}

impl Observers {
    pub(crate) fn is_empty(&self) -> bool {
        self.registered.is_empty()
    }

    pub(crate) fn add(&mut self, observer: Observer) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        self.registered.push((id, observer));
        id
    }

    pub(crate) fn remove(&mut self, id: u64) -> Option<Observer> {
        let index = self.registered.iter().position(|(registered, _)| *registered == id)?;
        Some(self.registered.remove(index).1)
    }

    /// Calls every observer, in the order of registration. Returns how many panicked.
    pub(crate) fn call(&mut self, set: &ChangeSet) -> u64 {
        self.registered.iter_mut().map(|(_, observer)| u64::from(!call_one(observer, set))).sum()
    }
}

/// Calls one observer; false if it panicked.
pub(crate) fn call_one(observer: &mut Observer, set: &ChangeSet) -> bool {
    OBSERVING.set(true);
    let outcome = catch_unwind(AssertUnwindSafe(|| observer(set)));
    OBSERVING.set(false);
    if outcome.is_err() {
        tracing::error!(revision = %set.revision(), "an observer panicked; the mirror goes on");
    }
    outcome.is_ok()
}

/// Refuses what would wait for the observer that it is called from.
pub(crate) fn check_not_observing(operation: &'static str) -> Result<(), Error> {
    if OBSERVING.get() { Err(Error::InObserver { operation }) } else { Ok(()) }
}

impl fmt::Debug for Observers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Observers").field("len", &self.registered.len()).finish_non_exhaustive()
    }
}

/// Keeps an observer registered; dropping it removes the observer, which is not called again once
/// the drop has returned (unless it is dropped from within an observer).
#[derive(Debug)]
#[must_use = "dropping the guard removes the observer"]
pub struct ObserverGuard {
    shared: Weak<Shared>,
    id: u64,
}

impl ObserverGuard {
    pub(crate) fn new(shared: &Arc<Shared>, id: u64) -> Self {
        Self { shared: Arc::downgrade(shared), id }
    }
}

impl Drop for ObserverGuard {
    fn drop(&mut self) {
        let Some(shared) = self.shared.upgrade() else {
            return;
        };
        if OBSERVING.get() {
            // The apply lock is held by this very thread.
            shared.remove_observer_later(self.id);
        } else {
            drop(shared.remove_observer(self.id));
        }
    }
}
