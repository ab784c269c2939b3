//! Putting the keys of a session again, with another lease.

use std::collections::BTreeSet;

use super::Inner;
use crate::backend::BackendErrorKind;
use crate::txn::{Prepared, Room, is_too_large};
use crate::{Db, Error, Key, LeaseId};

impl Inner {
    /// Puts everything that does not hang on `lease` again with it, where the key is absent or
    /// still the session's. A key that cannot be put, now or later, is given up: it must not keep
    /// the others back.
    pub(super) async fn restore(&self, db: &Db, lease: LeaseId) -> Result<(), Error> {
        // What a transaction has room for, and what is left of it while one is searched for a key
        // that the store refuses.
        let (mut fits, mut most) = (usize::MAX, usize::MAX);
        // Keys that exchange index keys of a unique index: possible in one transaction only.
        let mut together = BTreeSet::new();
        loop {
            let _writing = self.writing.lock().await;
            together.retain(|key| self.keys().is_stale(lease, key));
            let batch = self.keys().stale(lease, &together, Room::new(db.shared(), most));
            let Some(first) = batch.first() else { return Ok(()) };
            let Err(error) = self.put_again(db, &batch, lease).await else { continue };
            match &error {
                Error::NotUnique { key, holder, .. } if self.keys().is_stale(lease, key) => {
                    let is_ours = self.keys().is_stale(lease, holder);
                    if is_ours && !together.contains(holder) {
                        together.extend([key.clone(), holder.clone()]);
                    } else {
                        self.give_up(key, &error);
                    }
                }
                _ if is_too_large(&error) && batch.len() > 1 => {
                    fits = smaller(batch.len(), together.len());
                    most = fits;
                }
                _ if is_for_good(&error) && batch.len() > 1 => {
                    most = smaller(batch.len(), together.len());
                }
                _ if is_for_good(&error) => {
                    self.give_up(&first.key, &error);
                    most = fits;
                }
                _ => return Err(error),
            }
        }
    }

    /// Puts some keys again, in one transaction.
    async fn put_again(&self, db: &Db, batch: &[Prepared], lease: LeaseId) -> Result<(), Error> {
        let (mut taken, mut written) = (Vec::new(), Vec::new());
        let run = db.transact(|txn| {
            taken.clear();
            for put in batch {
                match txn.lease_of(&put.key) {
                    Some(other) if !self.keys().are_ours(other) => taken.push(put.key.clone()),
                    _ => txn.write_prepared(put, lease)?,
                }
            }
            written = txn.prepared();
            Ok::<_, Error>(())
        });
        if let Err(error) = run.await
            && error.committed().is_none()
        {
            return Err(error);
        }
        let mut keys = self.keys();
        keys.remember(lease, written);
        keys.give_up(taken);
        Ok(())
    }

    fn give_up(&self, key: &Key, why: &Error) {
        tracing::warn!(%key, error = %why, "a key of a session cannot be put again");
        self.keys().give_up([key.clone()]);
    }
}

/// A smaller batch, which still has all keys that must be together, if the larger one had others.
fn smaller(batch: usize, together: usize) -> usize {
    let half = batch / 2;
    if batch > together { half.max(together) } else { half }
}

/// Whether the same transaction will be refused again, because of what it writes.
fn is_for_good(error: &Error) -> bool {
    use BackendErrorKind::{Closed, LeaseNotFound};
    match error {
        Error::Backend { operation: "commit", source } => {
            let kind = source.kind();
            !kind.is_transient() && !matches!(kind, Closed | LeaseNotFound)
        }
        Error::LimitExceeded { .. }
        | Error::NotIndexed { .. }
        | Error::GuardedLease { .. }
        | Error::InvalidKey { .. }
        | Error::UnknownCollection { .. }
        | Error::TypeMismatch { .. } => true,
        _ => false,
    }
}
