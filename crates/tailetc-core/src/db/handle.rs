//! [`Db`]: the handle.

use std::fmt;
use std::future::ready;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::backend::{BackendError, BackendErrorKind, Header, KvBackend};
use crate::db::{Builder, Handle, Health, HealthChanges, ObserverGuard, Shared, Stats};
use crate::state::State;
use crate::{
    ChangeSet, ClonePolicy, CloseReason, Codec, Collection, Error, Index, IndexBounds, IndexKey,
    IndexWatch, KeyBounds, Quarantined, Revision, Snapshot, Token, Txn, Watch, WatchMode,
};

/// How long a copy that is cut off waits to hear that its history is still the store's, before it
/// answers for a token that it has passed.
const HISTORY_PATIENCE: Duration = Duration::from_secs(1);

/// A complete copy of an etcd key prefix in memory, kept current, with transactions.
///
/// # Clone
///
/// A clone is another handle on the same copy. When the last handle is dropped, the task that
/// follows the store ends; snapshots stay readable.
#[derive(Clone)]
pub struct Db {
    handle: Arc<Handle>,
}

impl Db {
    pub(crate) fn new(handle: Handle) -> Self {
        Self { handle: Arc::new(handle) }
    }

    /// A builder for a `Db` over this backend.
    pub fn builder(backend: impl KvBackend) -> Builder {
        let backend: Arc<dyn KvBackend> = Arc::new(backend);
        Builder::new(ready(Ok(backend)))
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.handle.shared
    }

    /// The database as it is now: O(1), without waiting, without a lock.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::new(self.shared().state())
    }

    /// The database as it was at `revision`, a revision of the cluster's present history, if that
    /// is kept: see [`Options::history`](crate::Options::history) and
    /// [`history_age`](crate::Options::history_age).
    ///
    /// # Errors
    ///
    /// [`Error::RevisionNotKept`].
    pub fn snapshot_at(&self, revision: Revision) -> Result<Snapshot, Error> {
        self.shared().state_at(revision).map(Snapshot::new)
    }

    /// The present value of one key. For more than one, take a [`snapshot`](Self::snapshot): two
    /// calls may see two revisions.
    ///
    /// # Errors
    ///
    /// As for [`Snapshot::get`].
    pub fn get<C: Codec, P: ClonePolicy<C::Value>>(
        &self,
        collection: Collection<C, P>,
        key: impl AsRef<[u8]>,
    ) -> Result<Option<P::Out>, Error> {
        self.shared().with_state(|state| state.get(collection, key.as_ref()))
    }

    /// Looks at the present value of one key, without copying it or touching a reference count.
    /// `look` is not called for an absent key.
    ///
    /// # Errors
    ///
    /// As for [`Snapshot::get`].
    pub fn peek<C: Codec, P, R>(
        &self,
        collection: Collection<C, P>,
        key: impl AsRef<[u8]>,
        look: impl FnOnce(&C::Value) -> R,
    ) -> Result<Option<R>, Error> {
        self.shared().with_state(|state| Ok(state.peek(collection, key.as_ref())?.map(look)))
    }

    /// Begins a transaction on the present snapshot. It holds no resource: dropping it is free.
    pub fn txn(&self) -> Txn {
        Txn::new(self.clone())
    }

    /// A snapshot that shows at least what the token speaks of: what another process wrote before
    /// it made the token. Returns at once if this `Db` is already there. If it is not, or its watch
    /// is broken, the store is asked first whether its history is that of the copy and can be that
    /// of the token; of a store that does not answer within a second, a copy that is already there
    /// takes it for granted.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    ///
    /// # Errors
    ///
    /// [`Error::TokenMismatch`] if the token is of another cluster, or provably of a history that
    /// the cluster has lost (see [`Token`]); [`Error::NotCaughtUp`] after
    /// [`catch_up_timeout`](crate::Options::catch_up_timeout); [`Error::HistoryLost`];
    /// [`Error::Backend`] if the store cannot be asked; [`Error::Closed`].
    pub async fn at_least(&self, token: &Token) -> Result<Snapshot, Error> {
        self.reach(token).await.map(Snapshot::new)
    }

    pub(crate) async fn reach(&self, token: &Token) -> Result<Arc<State>, Error> {
        let mismatch = || Error::TokenMismatch { token: token.to_string() };
        let started = Instant::now();
        let state = self.shared().state();
        if token.cluster_id() != state.cluster_id {
            return Err(mismatch());
        }
        if self.shared().is_lost(state.epoch) {
            return Err(Error::HistoryLost { target: token.revision() });
        }
        // A lower term may be of an older token, or of a history that began anew from a backup and
        // that this copy does not know of yet.
        let is_there = token.revision() <= state.revision && token.raft_term() == state.raft_term;
        // So may a token that this copy has passed, while nothing tells it of the store.
        let header = match is_there {
            true if !self.shared().is_cut_off() => None,
            true => self.header("at_least", started, HISTORY_PATIENCE).await.ok(),
            false => Some(self.header("at_least", started, self.patience()).await?),
        };
        if let Some(header) = header {
            if token.revision() > header.revision || token.raft_term() > header.raft_term {
                return Err(mismatch());
            }
            self.shared().check_history(&state, &header, token.revision())?;
        }
        self.catch_up(state.epoch, token.revision(), started).await
    }

    /// A snapshot that shows everything that was committed, by anybody, before this call: a
    /// linearizable read of the whole prefix for the price of one small request.
    ///
    /// Works on an idle prefix and with every server version. Where the server's progress
    /// notifications cannot be trusted (etcd before 3.4.31 and 3.5.13), an idle prefix costs the
    /// server a walk over its keys.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    ///
    /// # Errors
    ///
    /// [`Error::Backend`] if the store cannot be asked; [`Error::NotCaughtUp`] after
    /// [`catch_up_timeout`](crate::Options::catch_up_timeout); [`Error::HistoryLost`] if the store
    /// turns out to be another one; [`Error::Closed`].
    pub async fn fresh(&self) -> Result<Snapshot, Error> {
        self.shared().check_open()?;
        let started = Instant::now();
        let state = self.shared().state();
        let header = self.header("fresh", started, self.patience()).await?;
        self.shared().check_history(&state, &header, state.revision)?;
        let fresh = self.catch_up(state.epoch, header.revision, started).await?;
        self.shared().currency.prove(started);
        Ok(Snapshot::new(fresh))
    }

    /// How long a call waits for the store, and for the copy.
    fn patience(&self) -> Duration {
        self.shared().options.catch_up_timeout
    }

    async fn header(
        &self,
        operation: &'static str,
        started: Instant,
        patience: Duration,
    ) -> Result<Header, Error> {
        let header = timeout_at(started + patience, self.shared().current_header()).await;
        let header = header.unwrap_or_else(|_| {
            Err(BackendError::new(BackendErrorKind::Timeout, "the store does not answer"))
        });
        let header = header.map_err(|error| Error::backend(operation, error))?;
        self.shared().heard(&header);
        Ok(header)
    }

    async fn catch_up(
        &self,
        epoch: u64,
        target: Revision,
        started: Instant,
    ) -> Result<Arc<State>, Error> {
        let shared = self.shared();
        let watch = shared.suspicion.watch();
        let deadline = started + shared.options.catch_up_timeout;
        let arrival = shared.await_progress(epoch, target, deadline, || false).await;
        shared.not_arrived(arrival, target, started.elapsed(), watch)?;
        let state = shared.state();
        if state.epoch == epoch { Ok(state) } else { Err(Error::HistoryLost { target }) }
    }

    /// Calls `observer` with the present state (as one change set of kind
    /// [`Initial`](crate::ChangeKind::Initial), before this returns) and then with every change,
    /// one call for each etcd transaction, in the order of revisions, before any reader can see it.
    ///
    /// Observers run while the change is applied: a slow one delays the copy. They may read the
    /// `Db`, which still shows the state before the change, but not call `observe`, `watch` or
    /// `commit` on it. A panic is counted and contained; the observer stays registered. An observer
    /// that owns a `Db` keeps it open for as long as its guard lives.
    ///
    /// An index that is kept outside of the `Db` takes each value before a change out and each
    /// value after it in; it is then never behind what anybody can read:
    ///
    /// ```
    /// # use std::collections::BTreeMap;
    /// # use std::sync::{Arc, Mutex};
    /// # use tailetc_core::{ChangeKind, Db, Error, ObserverGuard, RAW};
    /// # fn count_by_size(db: &Db) -> Result<ObserverGuard, Error> {
    /// let keys_by_size = Arc::new(Mutex::new(BTreeMap::<usize, usize>::new()));
    /// let index = Arc::clone(&keys_by_size);
    /// let guard = db.observe(move |set| {
    ///     let Ok(mut index) = index.lock() else { return };
    ///     if set.kind() == ChangeKind::Initial {
    ///         index.clear();
    ///     }
    ///     // What does not decode is in no index, before as after.
    ///     for change in set.of(RAW).into_iter().flatten() {
    ///         if let Ok(Some(before)) = change.before() {
    ///             *index.entry(before.len()).or_default() -= 1;
    ///         }
    ///         if let Ok(Some(after)) = change.after() {
    ///             *index.entry(after.len()).or_default() += 1;
    ///         }
    ///     }
    /// })?;
    /// # Ok(guard)
    /// # }
    /// ```
    ///
    /// The whole recipe, with its use in transactions, is in `docs/observers.md`.
    ///
    /// # Blocking
    ///
    /// Waits for a change that is being applied.
    ///
    /// # Errors
    ///
    /// [`Error::InObserver`] when called from within an observer.
    pub fn observe(
        &self,
        observer: impl FnMut(&ChangeSet) + Send + 'static,
    ) -> Result<ObserverGuard, Error> {
        self.shared().observe(Box::new(observer))
    }

    /// Streams the keys of a range: first their present state, then every change, with no gap and
    /// no duplicate. [`WatchMode`] says what happens to a consumer that is slower than the changes.
    ///
    /// # Blocking
    ///
    /// Waits for a change that is being applied.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownCollection`], [`Error::TypeMismatch`], [`Error::InObserver`],
    /// [`Error::Closed`], and [`Error::InvalidOption`] for a buffer or a delay of zero.
    pub fn watch<C: Codec, P: ClonePolicy<C::Value>>(
        &self,
        collection: Collection<C, P>,
        bounds: impl KeyBounds,
        mode: WatchMode,
    ) -> Result<Watch<C, P>, Error> {
        Watch::open(self.shared(), collection, bounds, mode, None)
    }

    /// Streams what changes in a range after `revision`, without its state then: for a consumer
    /// that has seen that revision already. The revision must be kept ([`Options::history`]); the
    /// present one always is.
    ///
    /// An exact watch gives each transaction since, then the new ones, with no gap and no
    /// duplicate; those of the past do not count for its buffer. In the coalesced modes the first
    /// item is the difference, at once, if there is one. A watch that lags goes on like any other.
    ///
    /// A revision does not say which history it is of: a consumer that has not been told of a
    /// [`Resync`](crate::ChangeKind::Resync) since it saw the revision, because its watch had ended or
    /// lagged, must know that the cluster has not been restored in between, or begin anew
    /// ([`at_least`](Self::at_least) with a token of the revision refuses what is provably lost).
    ///
    /// [`Options::history`]: crate::Options::history
    ///
    /// # Blocking
    ///
    /// Waits for a change that is being applied.
    ///
    /// # Errors
    ///
    /// [`Error::RevisionNotKept`]; those of [`watch`](Self::watch).
    pub fn watch_from<C: Codec, P: ClonePolicy<C::Value>>(
        &self,
        collection: Collection<C, P>,
        bounds: impl KeyBounds,
        mode: WatchMode,
        revision: Revision,
    ) -> Result<Watch<C, P>, Error> {
        Watch::open(self.shared(), collection, bounds, mode, Some(revision))
    }

    /// Streams the entries of a range of an index, as [`watch`](Self::watch) those of a range of
    /// keys: by index key, with `Only(key)`, or several of them.
    ///
    /// # Blocking
    ///
    /// Waits for a change that is being applied.
    ///
    /// # Errors
    ///
    /// As for [`watch`](Self::watch); [`Error::UnknownIndex`].
    pub fn watch_index<C: Codec, K: IndexKey, P: ClonePolicy<C::Value>>(
        &self,
        index: Index<C, K, P>,
        bounds: impl IndexBounds<K>,
        mode: WatchMode,
    ) -> Result<IndexWatch<C, K, P>, Error> {
        IndexWatch::open(self.shared(), &index, bounds, mode, None)
    }

    /// As [`watch_index`](Self::watch_index), after a kept revision, as
    /// [`watch_from`](Self::watch_from).
    ///
    /// # Blocking
    ///
    /// Waits for a change that is being applied.
    ///
    /// # Errors
    ///
    /// As for [`watch_from`](Self::watch_from); [`Error::UnknownIndex`].
    pub fn watch_index_from<C: Codec, K: IndexKey, P: ClonePolicy<C::Value>>(
        &self,
        index: Index<C, K, P>,
        bounds: impl IndexBounds<K>,
        mode: WatchMode,
        revision: Revision,
    ) -> Result<IndexWatch<C, K, P>, Error> {
        IndexWatch::open(self.shared(), &index, bounds, mode, Some(revision))
    }

    /// Refuses every write through this `Db` until the guard is dropped, for tests of code that
    /// must only read. Guards nest.
    pub fn deny_writes(&self) -> WriteDenial {
        self.shared().write_denials.fetch_add(1, Ordering::AcqRel);
        WriteDenial { shared: Arc::clone(self.shared()) }
    }

    /// The store below: the raw way in. Writes made there come back through the watch like those
    /// of other programs.
    pub fn backend(&self) -> &Arc<dyn KvBackend> {
        &self.shared().backend
    }

    /// All keys whose values do not decode now, in key order: those of
    /// [`Snapshot::quarantined`].
    pub fn quarantined(&self) -> Vec<Quarantined> {
        self.snapshot().quarantined().collect()
    }

    /// How the mirror is doing.
    pub fn health(&self) -> Health {
        self.shared().health()
    }

    /// The health now, and then whenever its phase changes: for readiness probes and alarms.
    pub fn health_changes(&self) -> HealthChanges {
        HealthChanges::new(Arc::clone(self.shared()))
    }

    /// What has been counted since this `Db` was opened.
    pub fn stats(&self) -> Stats {
        self.shared().counters.read()
    }

    /// Ends the task that follows the store, all watches, and everything that waits. Reads still
    /// give the last state; commits fail with [`Error::Closed`].
    pub fn close(&self) {
        self.shared().close(CloseReason::Requested);
        self.handle.tail.abort();
    }
}

impl fmt::Debug for Db {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shared().fmt(f)
    }
}

/// Denies writes until it is dropped: see [`Db::deny_writes`].
#[derive(Debug)]
#[must_use = "dropping the guard allows writes again"]
pub struct WriteDenial {
    shared: Arc<Shared>,
}

impl Drop for WriteDenial {
    fn drop(&mut self) {
        self.shared.write_denials.fetch_sub(1, Ordering::AcqRel);
    }
}
