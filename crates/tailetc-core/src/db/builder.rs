//! Opening a `Db`.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use crate::backend::{KeyRange, KvBackend, KvBackendExt};
use crate::db::applier::Applier;
use crate::db::observers::{Observer, Observers, call_one};
use crate::db::{Db, Handle, Shared};
use crate::schema::SchemaBuilder;
use crate::txn::Markers;
use crate::{ChangeSet, Codec, Collection, DecodePolicy, Error, Index, IndexKey, tail};

/// How a [`Db`] behaves. `Options::default()` is right for most programs.
///
/// ```
/// let mut options = tailetc_core::Options::default();
/// options.history = 100;
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// How long a commit waits for the store's answer before its outcome is unknown. The backend's
    /// own request timeout applies too (etcd: 5 s, unless its options say otherwise). Default 10 s.
    pub commit_timeout: Duration,
    /// How long [`Db::at_least`], [`Db::fresh`] and a commit that is already committed wait for
    /// this `Db` to catch up. Default 10 s.
    pub catch_up_timeout: Duration,
    /// How many bytes of keys and values a page of the load aims at. Default 32 MiB.
    pub page_bytes: usize,
    /// The most keys in a page of the load. The store counts all remaining keys for each page, so
    /// that small pages make the load quadratic. Default 100,000.
    pub page_keys: usize,
    /// How many of the last revisions stay readable with [`Db::snapshot_at`] and can be the start
    /// of [`Db::watch_from`], the present one included; of revisions that changed something below
    /// the prefix. They share unchanged data. Default 0: none but the present one.
    ///
    /// What this `Db` cannot know in full begins it anew: a resync, another history of the cluster.
    pub history: usize,
    /// How long a revision stays readable after the next one has taken its place, as far as
    /// [`history`](Self::history) allows, which must not be 0 then: whatever was the present state
    /// at some moment within this time is kept. Goes by when this `Db` applied the changes. An
    /// older revision is not readable any more, and its memory is free with the next change, the
    /// next progress of the store, or the next use of the history. Default none: no limit but
    /// `history`.
    pub history_age: Option<Duration>,
    /// The first pause before a broken connection is tried again; it doubles at each failure, and
    /// each pause is drawn between half and the whole of it. Default 50 ms.
    pub backoff_min: Duration,
    /// The longest such pause. Default 10 s.
    pub backoff_max: Duration,
    /// How often the tail looks at the store by one small linearizable read, and asks the watch for
    /// progress: so that compaction does not overtake an idle prefix, that a dead connection is
    /// noticed, and that [`Health::age`](crate::Health::age) grows no further than it and the time
    /// of one look. Where progress cannot
    /// be trusted or is not answered (etcd before 3.4.31 and 3.5.13, proxies), a look costs the
    /// server a walk over the prefix if others write elsewhere. Default 30 s.
    pub progress_interval: Duration,
    /// How long after such a look the watch may be silent, although it has something to say, before
    /// it is taken for broken and opened anew; and how long the look itself may take. Default 10 s.
    pub progress_timeout: Duration,
    /// How long one request of the tail may take, whatever the backend's own deadline: a page of a
    /// load, the opening of a watch. Default 30 s.
    pub request_timeout: Duration,
    /// How often the whole copy is compared with the store, as [`Db::self_check`] does. Default
    /// none: never.
    pub self_check_interval: Option<Duration>,
    /// The most attempts of [`Db::transact`]. Default 100.
    pub transact_attempts: u32,
    /// Seeds all jitter; none draws a seed from the system. Default none.
    pub seed: Option<u64>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            commit_timeout: Duration::from_secs(10),
            catch_up_timeout: Duration::from_secs(10),
            page_bytes: 32 << 20,
            page_keys: 100_000,
            history: 0,
            history_age: None,
            backoff_min: Duration::from_millis(50),
            backoff_max: Duration::from_secs(10),
            progress_interval: Duration::from_secs(30),
            progress_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(30),
            self_check_interval: None,
            transact_attempts: 100,
            seed: None,
        }
    }
}

impl Options {
    fn check(&self) -> Result<(), Error> {
        let checks = [
            ("commit_timeout", self.commit_timeout.is_zero(), "must not be zero"),
            ("catch_up_timeout", self.catch_up_timeout.is_zero(), "must not be zero"),
            ("page_bytes", self.page_bytes == 0, "must be at least 1"),
            ("page_keys", self.page_keys == 0, "must be at least 1"),
            ("backoff_min", self.backoff_min.is_zero(), "must not be zero"),
            ("backoff_max", self.backoff_max < self.backoff_min, "must not be below backoff_min"),
            ("progress_interval", self.progress_interval.is_zero(), "must not be zero"),
            ("progress_timeout", self.progress_timeout.is_zero(), "must not be zero"),
            ("request_timeout", self.request_timeout.is_zero(), "must not be zero"),
            (
                "self_check_interval",
                self.self_check_interval.is_some_and(|interval| interval.is_zero()),
                "must not be zero",
            ),
            ("history_age", self.history_age.is_some_and(|age| age.is_zero()), "must not be zero"),
            (
                "history_age",
                self.history_age.is_some() && self.history == 0,
                "needs history, the most revisions to keep",
            ),
            ("transact_attempts", self.transact_attempts == 0, "must be at least 1"),
        ];
        for (option, wrong, reason) in checks {
            if wrong {
                return Err(Error::InvalidOption { option, reason: reason.into() });
            }
        }
        Ok(())
    }
}

type Connect = Pin<Box<dyn Future<Output = Result<Arc<dyn KvBackend>, Error>> + Send>>;

/// Opens a [`Db`]: names its prefix, its collections and its options.
pub struct Builder {
    backend: Connect,
    prefix: Bytes,
    bare_prefix: bool,
    schema: SchemaBuilder,
    observers: Vec<Observer>,
    options: Options,
    delete_all_on_start: bool,
    commit_markers: Option<Bytes>,
}

impl Builder {
    /// A builder whose backend is made by a future, which [`connect`](Self::connect) runs.
    pub fn new(
        backend: impl Future<Output = Result<Arc<dyn KvBackend>, Error>> + Send + 'static,
    ) -> Self {
        Self {
            backend: Box::pin(backend),
            prefix: Bytes::from_static(b"/"),
            bare_prefix: false,
            schema: SchemaBuilder::default(),
            observers: Vec::new(),
            options: Options::default(),
            delete_all_on_start: false,
            commit_markers: None,
        }
    }

    /// What all keys of the `Db` begin with. Must end with `/`, so that `/app/` never takes the
    /// keys of `/app2/`; empty is the whole store. Default `/`.
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<Bytes>) -> Self {
        self.prefix = prefix.into();
        self.bare_prefix = false;
        self
    }

    /// Like [`prefix`](Self::prefix), for a prefix that does not end with `/`.
    #[must_use]
    pub fn bare_prefix(mut self, prefix: impl Into<Bytes>) -> Self {
        self.prefix = prefix.into();
        self.bare_prefix = true;
        self
    }

    /// Registers a collection whose codec needs no data of its own and is made with `Default`. One
    /// that has data (a key, a schema) is given to [`collection_with`](Self::collection_with);
    /// deriving `Default` for it would compile, and use the wrong data.
    #[must_use]
    pub fn collection<C: Codec + Default, P>(self, collection: Collection<C, P>) -> Self {
        self.collection_with(collection, C::default())
    }

    /// Registers a collection with its codec.
    #[must_use]
    pub fn collection_with<C: Codec, P>(mut self, collection: Collection<C, P>, codec: C) -> Self {
        self.schema.add(collection, codec);
        self
    }

    /// Keeps an index over a registered collection: [`Collection::index`].
    #[must_use]
    pub fn index<C: Codec, K: IndexKey, P>(mut self, index: Index<C, K, P>) -> Self {
        self.schema.add_index(index);
        self
    }

    /// Guards a registered collection as a whole: a transaction that has read a range of it, or an
    /// index, needs one guard for that, whatever the number of keys; without it, one for each key
    /// that was found (etcd: of 128).
    ///
    /// Each transaction that writes to the collection also puts its *guard key*, which is below
    /// `.tailetc/guard/` under the prefix of the `Db`; that takes one operation. Writers do not
    /// conflict on it. A transaction that has scanned conflicts with every write to the
    /// collection since its snapshot, wherever in it.
    ///
    /// Every writer must guard the collection so. What others write to it without its guard key is
    /// shown, counted ([`Stats::unguarded_writes`](crate::Stats::unguarded_writes)), and not
    /// guarded against. Leases are refused in it, because keys that expire do so without a
    /// transaction.
    #[must_use]
    pub fn guarded<C, P>(mut self, collection: Collection<C, P>) -> Self {
        self.schema.guard(collection);
        self
    }

    /// What becomes of a collection's values that do not decode. Default
    /// [`DecodePolicy::Quarantine`].
    #[must_use]
    pub fn decode_policy<C, P>(mut self, of: Collection<C, P>, policy: DecodePolicy) -> Self {
        self.schema.set_policy(of, policy);
        self
    }

    /// Registers an observer that stays for the life of the `Db` and sees the initial load too, as
    /// its first change set, before [`connect`](Self::connect) returns. See [`Db::observe`].
    #[must_use]
    pub fn observer(mut self, observer: impl FnMut(&ChangeSet) + Send + 'static) -> Self {
        self.observers.push(Box::new(observer));
        self
    }

    /// Replaces the options.
    #[must_use]
    pub fn options(mut self, options: Options) -> Self {
        self.options = options;
        self
    }

    /// Keeps the last `revisions` revisions readable: [`Options::history`].
    #[must_use]
    pub fn history(mut self, revisions: usize) -> Self {
        self.options.history = revisions;
        self
    }

    /// Turns unknown outcomes of commits into known ones, by a small key that each commit writes
    /// along: its marker, below `place`, which ends with `/` and is outside of the prefix of the
    /// `Db`, such as `/app-commits/` for `/app/`. Several processes may share it.
    ///
    /// When no answer to a commit comes, its marker tells whether it was applied; if it was not,
    /// the marker is changed so that it cannot be applied any more, should it still be on its way.
    /// An outcome stays unknown only if the store cannot be reached for another
    /// [`commit_timeout`](Options::commit_timeout), or has lost the marker with the history that it
    /// was in. To ready a marker may take requests before the commit (a lease, or to settle what a
    /// commit that was given up has left), each within a `commit_timeout` of its own.
    ///
    /// The price: a marker takes one guard and one operation of each transaction that writes
    /// (etcd: of 128) and about 100 bytes. There are as many markers as commits were ever under way
    /// at once. They hang on a lease of 60 s (or four times the commit timeout), which the `Db`
    /// renews, so that they go away by themselves when it is closed.
    #[must_use]
    pub fn commit_markers(mut self, place: impl Into<Bytes>) -> Self {
        self.commit_markers = Some(place.into());
        self
    }

    /// Deletes every key below the prefix before loading. For tests.
    #[must_use]
    pub fn delete_all_on_start(mut self) -> Self {
        self.delete_all_on_start = true;
        self
    }

    /// Connects, loads every key below the prefix at one revision, and follows the store from there
    /// on, with a task on the present tokio runtime.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves nothing behind, but for the lease of commit markers, which ends
    /// by itself.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidOption`] before anything is sent; [`Error::Backend`] if the store cannot be
    /// reached or refuses; [`Error::Undecodable`] for a value of a collection whose policy is
    /// [`DecodePolicy::Fail`].
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime. The runtime's timer must be enabled (`enable_all`): without it,
    /// the first wait with a deadline panics.
    pub async fn connect(self) -> Result<Db, Error> {
        self.options.check()?;
        check_prefix(&self.prefix, self.bare_prefix)?;
        let schema = Arc::new(self.schema.build(&self.prefix)?);
        let backend = self.backend.await?;
        if self.delete_all_on_start {
            let all = KeyRange::prefix(self.prefix.clone());
            backend.delete(all).await.map_err(|e| Error::backend("delete all on start", e))?;
        }
        let markers = match self.commit_markers {
            Some(place) => {
                Some(Markers::open(&*backend, place, &self.prefix, &self.options).await?)
            }
            None => None,
        };
        let loaded = Instant::now();
        let state = tail::load_first(&backend, &self.options, schema).await?;
        let quarantined = state.quarantined.len() as u64;
        let mut observers = Observers::default();
        let all = KeyRange::prefix(self.prefix);
        let initial = (!self.observers.is_empty()).then(|| ChangeSet::initial(&state, &all));
        let mut panics = 0;
        for mut observer in self.observers {
            if let Some(initial) = &initial {
                panics += u64::from(!call_one(None, &mut observer, initial));
            }
            observers.add(observer);
        }
        let shared =
            Shared::new(backend, self.options, state, Applier::new(observers), loaded, markers);
        shared.counters.observer_panics(panics);
        shared.counters.undecodable(quarantined);
        let shared = Arc::new(shared);
        let watcher = tail::open_watch(&shared).await;
        // A watch that could not be opened is the tail's to mend, like one that breaks.
        let tail = tokio::spawn(tail::run(Arc::clone(&shared), watcher)).abort_handle();
        Ok(Db::new(Handle { shared, tail }))
    }
}

fn check_prefix(prefix: &[u8], bare: bool) -> Result<(), Error> {
    if bare || prefix.is_empty() || prefix.ends_with(b"/") {
        return Ok(());
    }
    let reason = "must end with '/' (bare_prefix takes any)".into();
    Err(Error::InvalidOption { option: "prefix", reason })
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("prefix", &self.prefix)
            .field("collections", &self.schema)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}
