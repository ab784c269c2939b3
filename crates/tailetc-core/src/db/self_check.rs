//! Asking for a comparison of the copy with the store.

use crate::tail::self_check;
use crate::{Db, Error, Revision};

/// What [`Db::self_check`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SelfCheck {
    /// The revision at which copy and store were compared.
    pub revision: Revision,
    /// How many keys the copy had.
    pub keys: usize,
    /// How many keys differed: missing, left over, or at another `mod_revision`.
    pub mismatches: usize,
}

impl Db {
    /// Compares this copy with the store, at one revision, by each key's `mod_revision`, which
    /// names its value. Against defects of servers, proxies and this library: some etcd versions
    /// have dropped events. A copy that differs is loaded anew, and observers and watches get the
    /// difference as a change of kind [`Resync`](crate::ChangeKind::Resync).
    ///
    /// Costs the store a read of all keys below the prefix, without their values, in pages; reads
    /// and changes go on. [`Options::self_check_interval`](crate::Options::self_check_interval)
    /// does it by itself.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    ///
    /// # Errors
    ///
    /// [`Error::Backend`] if the store could not be asked, or shows another history;
    /// [`Error::Closed`].
    pub async fn self_check(&self) -> Result<SelfCheck, Error> {
        self.shared().check_open()?;
        let checked = self_check(self.shared()).await;
        checked.map_err(|error| Error::backend("self-check", error))
    }
}
