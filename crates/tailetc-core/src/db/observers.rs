//! Synchronous observers: user code that sees every change before any reader does.

use std::cell::Cell;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Weak};

use crate::db::Shared;
use crate::{ChangeSet, Error};

pub(crate) type Observer = Box<dyn FnMut(&ChangeSet) + Send>;

thread_local! {
    /// The `Db` whose observer this thread is running, and whose apply lock it so holds: the
    /// address of its `Shared`, 0 for none.
    static OBSERVED: Cell<usize> = const { Cell::new(0) };
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
    pub(crate) fn call(&mut self, of: &Shared, set: &ChangeSet) -> u64 {
        let observers = self.registered.iter_mut();
        observers.map(|(_, observer)| u64::from(!call_one(Some(of), observer, set))).sum()
    }
}

/// Calls one observer, of a `Db` or of none yet; false if it panicked.
pub(crate) fn call_one(of: Option<&Shared>, observer: &mut Observer, set: &ChangeSet) -> bool {
    let outer = OBSERVED.replace(of.map_or(0, address));
    let outcome = catch_unwind(AssertUnwindSafe(|| observer(set)));
    OBSERVED.set(outer);
    if outcome.is_err() {
        tracing::error!(revision = %set.revision(), "an observer panicked; the mirror goes on");
    }
    outcome.is_ok()
}

/// Whether this thread runs an observer of this `Db`, and so holds its apply lock.
pub(crate) fn is_observing(of: &Shared) -> bool {
    OBSERVED.get() == address(of)
}

/// Refuses what would wait for the observer that it is called from.
pub(crate) fn check_not_observing(of: &Shared, operation: &'static str) -> Result<(), Error> {
    if is_observing(of) { Err(Error::InObserver { operation }) } else { Ok(()) }
}

fn address(of: &Shared) -> usize {
    std::ptr::from_ref(of).addr()
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
        if is_observing(&shared) {
            // The apply lock is held by this very thread.
            shared.remove_observer_later(self.id);
        } else {
            shared.remove_observer(self.id);
        }
    }
}
