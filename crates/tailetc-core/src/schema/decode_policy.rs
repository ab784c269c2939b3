//! What becomes of values that do not decode.

/// What a [`Db`](crate::Db) does about a value of a collection that does not decode: another
/// program, or another version of this one, wrote what this one cannot read. The same for the load,
/// the watch and a resync. See [`Builder::decode_policy`](crate::Builder::decode_policy).
///
/// Whatever the policy, a [`Txn`](crate::Txn) never reads a value that is not the store's: a read
/// of such a key is [`Error::Undecodable`](crate::Error::Undecodable). It can be overwritten and
/// deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecodePolicy {
    /// The key exists, its typed reads are [`Error::Undecodable`](crate::Error::Undecodable), and
    /// its bytes are in [`Snapshot::quarantined`](crate::Snapshot::quarantined).
    #[default]
    Quarantine,
    /// As [`Quarantine`](Self::Quarantine), but reads of snapshots, watches and observers go on
    /// giving the last value that this copy decoded since the key was created, marked by
    /// [`Item::kept_from`](crate::Item::kept_from), [`Change::kept_from`](crate::Change::kept_from)
    /// and [`Quarantined::kept_from`](crate::Quarantined::kept_from). A key that had no such value
    /// is quarantined. For readers that had rather use yesterday's configuration than none.
    KeepPrevious,
    /// The copy does not move past it: connecting fails with
    /// [`Error::Undecodable`](crate::Error::Undecodable), and a `Db` that meets it later closes with
    /// [`CloseReason::Undecodable`](crate::CloseReason::Undecodable) and goes on serving the state
    /// before the transaction that wrote it. For programs that must not act on a part of the data.
    Fail,
}
