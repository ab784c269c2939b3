//! What can go wrong, in terms of what the caller can do about it.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::backend::{BackendError, BackendErrorKind};
use crate::{Commit, Key, LeaseId, Revision};

/// A boxed error of user code: codecs and transaction bodies.
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// A failure of a [`Db`](crate::Db), one of its transactions or watches.
///
/// `Display` says what failed; why is in [`source`](StdError::source). Cloning is cheap: causes are
/// shared.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The user's code gave the transaction up with [`Txn::fail`](crate::Txn::fail).
    #[error("transaction abandoned")]
    Abandoned {
        /// What the user's code said.
        source: SharedError,
    },
    /// The store refused the request or could not be reached. It was certainly not applied;
    /// [`Error::is_transient`] says whether trying again can help.
    #[error("{operation} failed")]
    Backend {
        /// What was tried.
        operation: &'static str,
        /// What the store said.
        source: Arc<BackendError>,
    },
    /// The [`Db`](crate::Db) is closed. Open another one.
    #[error("the database is closed: {reason}")]
    Closed {
        /// Why.
        reason: CloseReason,
    },
    /// Something that the transaction read or writes has changed since its snapshot. Nothing was
    /// written. Run it again, or use [`Db::transact`](crate::Db::transact), which does.
    #[error("conflict with a write at or before revision {revision}{}", list(keys))]
    Conflict {
        /// The keys that changed, as far as known. One below `.tailetc/` stands for a guarded
        /// collection that was scanned, or for an index key of a unique index.
        keys: Arc<[Key]>,
        /// A revision at which the conflict exists.
        revision: Revision,
    },
    /// The text is no [`IndexCursor`](crate::IndexCursor).
    #[error("not a cursor: {text:?}")]
    CursorSyntax {
        /// The text, cut to 64 characters.
        text: String,
    },
    /// A value could not be encoded. Nothing was written.
    #[error("cannot encode the value of {key}")]
    Encode {
        /// The whole key.
        key: Key,
        /// What the codec said.
        source: SharedError,
    },
    /// A key of a [guarded](crate::Builder::guarded) collection was to have a lease. It would end
    /// without a transaction that puts the guard key, and pass by those who rely on it.
    #[error("{key} is in a guarded collection and cannot have a lease")]
    GuardedLease {
        /// The whole key.
        key: Key,
    },
    /// The function of a unique index failed for a value that was to be put: nobody could say
    /// whether its index keys are free. Nothing was written.
    #[error("{key} cannot be placed in the unique index {index}")]
    NotIndexed {
        /// The prefix of the collection, and the name of the index: `users/#email`.
        index: Arc<str>,
        /// The whole key.
        key: Key,
        /// What the function said.
        source: SharedError,
    },
    /// [`observe`](crate::Db::observe), [`watch`](crate::Db::watch) or
    /// [`commit`](crate::Txn::commit) was called from within an observer of the same `Db`, which
    /// would wait for itself.
    #[error("{operation} cannot be called from within an observer")]
    InObserver {
        /// What was called.
        operation: &'static str,
    },
    /// The key cannot be read or written: it is empty, and etcd has no such key.
    #[error("invalid key {key}: {reason}")]
    InvalidKey {
        /// The whole key.
        key: Key,
        /// Why not.
        reason: &'static str,
    },
    /// An option or a collection of the builder cannot be used.
    #[error("invalid option {option}: {reason}")]
    InvalidOption {
        /// Its name.
        option: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The watch's consumer was slower than the changes for longer than its buffer lasted.
    ///
    /// The watch goes on: its next item is the whole state again. A consumer that would rather have
    /// the difference takes it from a snapshot that it holds, or from the history
    /// ([`Options::history`](crate::Options::history)), if that reaches back so far:
    /// [`Db::snapshot_at`](crate::Db::snapshot_at) and
    /// [`Snapshot::diff`](crate::Snapshot::diff), or [`Db::watch_from`](crate::Db::watch_from) with
    /// `after`, in the place of this watch.
    #[error("the watch lagged: changes after revision {after} were dropped")]
    Lagged {
        /// The last revision that was delivered.
        after: Revision,
    },
    /// The lease of a [`Session`](crate::Session) is lost. Nothing was written.
    #[error("the lease {lease} of the session is lost")]
    LeaseLost {
        /// The lease.
        lease: LeaseId,
        /// Whether the session is about to get another one.
        returns: bool,
    },
    /// The transaction is larger than the store takes. Nothing was sent.
    #[error("transaction too large: {actual} {what}, the store takes {limit}")]
    LimitExceeded {
        /// What is too much.
        what: Limit,
        /// How much it is.
        actual: usize,
        /// How much is allowed.
        limit: usize,
    },
    /// This `Db` has not reached the revision within the deadline. If `committed` is there, the
    /// transaction **is** committed at that revision; only the wait for one's own copy failed.
    #[error(
        "{}not at revision {target} after {waited:?}: the copy is at {applied}",
        if committed.is_some() { "committed, but " } else { "" }
    )]
    NotCaughtUp {
        /// The revision waited for.
        target: Revision,
        /// The revision reached.
        applied: Revision,
        /// How long the wait was.
        waited: Duration,
        /// The commit whose wait this is: it is committed all the same.
        committed: Option<Box<Commit>>,
    },
    /// The commit was sent and no answer came: it is applied wholly or not at all, and nobody knows
    /// which. It was not sent again. Read back before you decide.
    #[error("the outcome of the commit is unknown")]
    OutcomeUnknown {
        /// What happened instead of an answer.
        source: Arc<BackendError>,
    },
    /// The transaction would give an index key of a unique index to a second entry. Nothing was
    /// written; that the holder holds it was so at a moment between the call of
    /// [`commit`](crate::Txn::commit) and its return.
    #[error("{key} cannot have the index key {index_key} of {index}: {holder} has it")]
    NotUnique {
        /// The prefix of the collection, and the name of the index: `users/#email`.
        index: Arc<str>,
        /// The index key, for the eye: a text as it is, anything else as it is encoded.
        index_key: Box<Key>,
        /// The whole key that was to have it.
        key: Key,
        /// The whole key of the holder.
        holder: Key,
    },
    /// The key is not below the prefix of this `Db`.
    #[error("{key} is not below the prefix {prefix}")]
    OutsidePrefix {
        /// The key.
        key: Key,
        /// The prefix.
        prefix: Key,
    },
    /// Two snapshots were compared that are not of the same [`Db`](crate::Db). Mend the program.
    #[error("the snapshots are of different databases")]
    ForeignSnapshot,
    /// The cluster has lost the history that this call is about (it was restored from a backup, or
    /// replaced). A commit was not applied. Call again: the copy shows the new one soon.
    #[error("the cluster has lost the history that revision {target} is of")]
    HistoryLost {
        /// The revision that was waited for, or read.
        target: Revision,
    },
    /// The revision is not (or no longer) kept.
    #[error("revision {requested} is not kept: {oldest} to {newest} are")]
    RevisionNotKept {
        /// What was asked for.
        requested: Revision,
        /// The oldest revision kept.
        oldest: Revision,
        /// The newest.
        newest: Revision,
    },
    /// The token is of another cluster, or of a history that the cluster has lost.
    #[error("the token {token} is not of this cluster's present history")]
    TokenMismatch {
        /// The token, printed.
        token: String,
    },
    /// The text is no token.
    #[error("not a token: {text:?}")]
    TokenSyntax {
        /// The text, cut to 64 bytes.
        text: String,
    },
    /// [`Db::transact`](crate::Db::transact) met a conflict on each of its attempts.
    #[error("conflict on each of {attempts} attempts")]
    TooManyConflicts {
        /// How many attempts were made.
        attempts: u32,
        /// The last conflict.
        source: Box<Self>,
    },
    /// The copy is older than [`Staleness::MaxAge`](crate::Staleness::MaxAge) allows, and could not
    /// be brought up to date. [`Db::snapshot`](crate::Db::snapshot) gives it all the same.
    #[error("the copy is {age:?} old, {allowed:?} are allowed")]
    TooStale {
        /// The age that was allowed.
        allowed: Duration,
        /// Nothing that was committed longer ago than this is missing from the copy.
        age: Duration,
        /// Why it is not fresher.
        source: Box<Self>,
    },
    /// The collection was registered with another codec than the one it is used with, or an index
    /// with another type of keys or as one that is unique, or a raw access meets a typed collection.
    /// Mend the program.
    #[error("the keys {prefix} hold {expected}, not {found}")]
    TypeMismatch {
        /// The prefix of the collection, relative to that of the `Db`.
        prefix: String,
        /// The codec that is registered.
        expected: &'static str,
        /// The codec that was used.
        found: &'static str,
    },
    /// The stored value does not decode. Its raw bytes are in
    /// [`Snapshot::quarantined`](crate::Snapshot::quarantined).
    #[error("the value of {key} does not decode")]
    Undecodable {
        /// The whole key.
        key: Key,
        /// What the codec said.
        source: SharedError,
    },
    /// The collection was not given to the builder.
    #[error("the collection {prefix} is not registered: give it to Builder::collection")]
    UnknownCollection {
        /// The prefix of the collection, relative to that of the `Db`.
        prefix: String,
    },
    /// The index was not given to the builder.
    #[error("the index {index} is not registered: give it to Builder::index")]
    UnknownIndex {
        /// The prefix of its collection, and its name: `nodes/#zone`.
        index: String,
    },
    /// A [`deny_writes`](crate::Db::deny_writes) guard is held.
    #[error("writes are denied")]
    WritesDenied,
}

impl Error {
    /// Whether the same transaction, run anew, may succeed: it conflicted.
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Conflict { .. } | Self::TooManyConflicts { .. })
    }

    /// Whether a commit that failed so may have been applied all the same.
    pub fn is_outcome_unknown(&self) -> bool {
        matches!(self, Self::OutcomeUnknown { .. })
    }

    /// The commit that was applied although it is reported as an error.
    pub fn committed(&self) -> Option<Commit> {
        match self {
            Self::NotCaughtUp { committed, .. } => committed.as_deref().copied(),
            _ => None,
        }
    }

    /// Whether the same call may succeed later without anybody mending anything in it. A conflict
    /// is not transient: it needs a new snapshot.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Backend { source, .. } => source.kind().is_transient(),
            Self::NotCaughtUp { committed, .. } => committed.is_none(),
            Self::HistoryLost { .. } => true,
            Self::LeaseLost { returns, .. } => *returns,
            Self::TooStale { source, .. } => source.is_transient(),
            _ => false,
        }
    }

    /// The kind of the store's failure, if the store failed.
    pub fn backend_kind(&self) -> Option<BackendErrorKind> {
        match self {
            Self::Backend { source, .. } | Self::OutcomeUnknown { source } => Some(source.kind()),
            Self::TooStale { source, .. } => source.backend_kind(),
            _ => None,
        }
    }

    /// A failure of the store outside of a commit.
    pub fn backend(operation: &'static str, source: BackendError) -> Self {
        Self::Backend { operation, source: Arc::new(source) }
    }

    /// A failure of the store in a commit.
    pub(crate) fn commit(source: BackendError) -> Self {
        if source.kind().is_outcome_unknown() {
            return Self::OutcomeUnknown { source: Arc::new(source) };
        }
        Self::backend("commit", source)
    }
}

/// Which limit of the store a transaction exceeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Limit {
    /// Guards: one for each key read or written, each key in a range that was read or found through
    /// an index, and each such range. Read less in one transaction, or have the collection
    /// [guarded](crate::Builder::guarded): one guard then covers all ranges and indexes of it.
    Guards,
    /// Writes. Split the transaction.
    Operations,
    /// Bytes of the request. Split the transaction or write smaller values.
    RequestBytes,
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Guards => {
                "guards (keys and ranges read or written; a guarded collection takes one for all)"
            }
            Self::Operations => "operations",
            Self::RequestBytes => "bytes",
        })
    }
}

/// Why a [`Db`](crate::Db) is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CloseReason {
    /// The last handle was dropped.
    Dropped,
    /// [`Db::close`](crate::Db::close) was called.
    Requested,
    /// The task that follows the store ended, because its runtime shut down.
    TailEnded,
    /// The store holds a value that does not decode, in a collection whose policy is
    /// [`DecodePolicy::Fail`](crate::DecodePolicy::Fail). [`Health::last_error`] names the key.
    ///
    /// [`Health::last_error`]: crate::Health::last_error
    Undecodable {
        /// The revision that wrote it.
        revision: Revision,
    },
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Undecodable { revision } => {
                return write!(f, "the value written at revision {revision} does not decode");
            }
            Self::Dropped => "its last handle was dropped",
            Self::Requested => "close was called",
            Self::TailEnded => "the runtime that followed the store has shut down",
        })
    }
}

/// An error of user code, shared so that it can be reported more than once.
#[derive(Clone, Debug)]
pub struct SharedError(Arc<dyn StdError + Send + Sync>);

impl SharedError {
    /// The error itself, for a downcast.
    pub fn get(&self) -> &(dyn StdError + Send + Sync + 'static) {
        &*self.0
    }
}

impl From<BoxError> for SharedError {
    fn from(error: BoxError) -> Self {
        Self(error.into())
    }
}

impl fmt::Display for SharedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl StdError for SharedError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source()
    }
}

fn list(keys: &[Key]) -> String {
    const SHOWN: usize = 3;
    let mut text = String::new();
    for (i, key) in keys.iter().take(SHOWN).enumerate() {
        text.push_str(if i == 0 { " on " } else { ", " });
        text.push_str(&key.to_string());
    }
    if keys.len() > SHOWN {
        text.push_str(&format!(" and {} more", keys.len() - SHOWN));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_is_small_enough_to_return_everywhere() {
        assert!(size_of::<Error>() <= 64, "{}", size_of::<Error>());
    }

    #[test]
    fn conflict_names_its_first_keys() {
        let keys: Vec<Key> = ["a", "b", "c", "d"].map(|k| k.as_bytes().into()).into();
        let error = Error::Conflict { keys: keys.into(), revision: Revision::new(7) };
        assert_eq!(
            error.to_string(),
            "conflict with a write at or before revision 7 on a, b, c and 1 more"
        );
    }

    #[test]
    fn lost_answer_is_an_unknown_outcome_and_a_refusal_is_not() {
        let lost = BackendError::new(BackendErrorKind::Timeout, "no answer");
        assert!(Error::commit(lost).is_outcome_unknown());
        let refused = BackendError::new(BackendErrorKind::NoSpace, "no space");
        let refused = Error::commit(refused);
        assert!(!refused.is_outcome_unknown() && refused.is_transient());
    }
}
