//! Who is told of changes, and the lock under which they are made.

use std::mem;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::db::observers::{Observer, Observers};
use crate::watch::Subscribers;

/// What the apply lock protects besides the state.
#[derive(Default)]
pub(crate) struct Applier {
    pub(super) observers: Observers,
    pub(super) subscribers: Subscribers,
    /// Removed observers. They are dropped after the lock is released: what they own may need it.
    departed: Vec<Observer>,
    /// Whether a load runs whose difference will be applied to the present state.
    pub(super) resyncing: bool,
}

impl Applier {
    /// With observers that are there from the start.
    pub(crate) fn new(observers: Observers) -> Self {
        Self { observers, ..Self::default() }
    }

    /// Removes observers.
    pub(super) fn depart(&mut self, ids: impl IntoIterator<Item = u64>) {
        let removed = ids.into_iter().filter_map(|id| self.observers.remove(id));
        self.departed.extend(removed);
    }
}

/// The apply lock, held.
pub(crate) struct ApplierLock<'s> {
    applier: MutexGuard<'s, Applier>,
    // Invariant: declared after the guard, so that it is dropped after the lock is released.
    departed: Vec<Observer>,
}

impl<'s> ApplierLock<'s> {
    pub(super) fn new(applier: MutexGuard<'s, Applier>) -> Self {
        Self { applier, departed: Vec::new() }
    }
}

impl Deref for ApplierLock<'_> {
    type Target = Applier;

    fn deref(&self) -> &Applier {
        &self.applier
    }
}

impl DerefMut for ApplierLock<'_> {
    fn deref_mut(&mut self) -> &mut Applier {
        &mut self.applier
    }
}

impl Drop for ApplierLock<'_> {
    fn drop(&mut self) {
        self.departed = mem::take(&mut self.applier.departed);
    }
}

/// Who has left without the apply lock, which its thread may hold: for whoever takes it next.
#[derive(Debug)]
pub(crate) struct Leaving<T> {
    any: AtomicBool,
    names: Mutex<Vec<T>>,
}

impl<T> Default for Leaving<T> {
    fn default() -> Self {
        Self { any: AtomicBool::new(false), names: Mutex::default() }
    }
}

impl<T> Leaving<T> {
    pub(super) fn add(&self, name: T) {
        self.names.lock().unwrap_or_else(PoisonError::into_inner).push(name);
        self.any.store(true, Ordering::Release);
    }

    pub(super) fn take(&self) -> Vec<T> {
        if !self.any.swap(false, Ordering::AcqRel) {
            return Vec::new();
        }
        mem::take(&mut self.names.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
