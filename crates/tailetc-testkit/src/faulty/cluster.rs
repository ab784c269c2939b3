//! The store behind the clients, which can be compacted and restored.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tailetc_core::backend::{
    BackendError, BackendErrorKind, Header, KvBackend, PutRequest, TxnRequest,
};
use tailetc_core::{LeaseId, Revision};
use tokio::sync::watch;

use super::history::{History, Recorder};
use super::{FaultPlan, FaultyBackend, rebuild};

/// A store that several clients share, each with faults of its own.
///
/// A clone is another handle on the same cluster.
#[derive(Clone)]
pub struct Cluster(Arc<Inner>);

type Make = Box<dyn Fn(Identity) -> Arc<dyn KvBackend> + Send + Sync>;
type Tap = Box<dyn Fn(fmt::Arguments<'_>) + Send + Sync>;

struct Inner {
    make: Option<Make>,
    tap: Option<Tap>,
    /// The stores, one for each history; the last is the present one.
    eras: Mutex<Vec<Arc<Era>>>,
    /// The index of the present era.
    present: watch::Sender<usize>,
    /// The header with the highest revision of it that any client has seen.
    seen: watch::Sender<Header>,
    no_space: AtomicBool,
    /// The times of the leases granted through clients, for a restore.
    ttls: Mutex<BTreeMap<LeaseId, i64>>,
    clients: AtomicUsize,
}

struct Era {
    store: Arc<dyn KvBackend>,
    forked_at: Revision,
    recorder: tokio::sync::Mutex<Recorder>,
}

/// By what clients know a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "the two numbers that etcd's header has for it")]
pub struct Identity {
    /// etcd's cluster identifier, never 0.
    pub cluster_id: u64,
    /// The raft term.
    pub raft_term: u64,
}

/// How a cluster is restored from a backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "what etcd's tool asks for; tests build it")]
pub struct Restore {
    /// The last revision in the backup. What came after is lost.
    pub to: Revision,
    /// By what the restored cluster is known.
    pub identity: Identity,
    /// How many revisions are skipped and marked compacted (`etcdutl snapshot restore
    /// --bump-revision --mark-compacted`); 0 for none. They are made by as many writes to the key
    /// `\0bump`.
    pub bump: u64,
}

impl Cluster {
    /// A cluster with this store, which cannot be restored.
    pub fn new(store: Arc<dyn KvBackend>) -> Self {
        Self::build(store, None, None)
    }

    /// A cluster whose stores are made, empty, by `make`: the first one now, another one at each
    /// restore.
    pub fn rebuildable(
        identity: Identity,
        make: impl Fn(Identity) -> Arc<dyn KvBackend> + Send + Sync + 'static,
    ) -> Self {
        Self::build(make(identity), Some(Box::new(make)), None)
    }

    /// The same, calling `tap` with a line for each request, answer and watch response of all
    /// clients, when the client gets it.
    pub fn tapped(
        identity: Identity,
        make: impl Fn(Identity) -> Arc<dyn KvBackend> + Send + Sync + 'static,
        tap: impl Fn(fmt::Arguments<'_>) + Send + Sync + 'static,
    ) -> Self {
        Self::build(make(identity), Some(Box::new(make)), Some(Box::new(tap)))
    }

    fn build(store: Arc<dyn KvBackend>, make: Option<Make>, tap: Option<Tap>) -> Self {
        Self(Arc::new(Inner {
            make,
            tap,
            eras: Mutex::new(vec![Era::new(store, Revision::ZERO)]),
            present: watch::Sender::new(0),
            seen: watch::Sender::new(Header::default()),
            no_space: AtomicBool::new(false),
            ttls: Mutex::default(),
            clients: AtomicUsize::new(0),
        }))
    }

    /// Another client, with faults of its own.
    pub fn client(&self, plan: FaultPlan) -> FaultyBackend {
        let number = self.0.clients.fetch_add(1, Ordering::Relaxed);
        FaultyBackend::of(self.clone(), number, &plan)
    }

    /// The present store, without faults.
    pub fn store(&self) -> Arc<dyn KvBackend> {
        Arc::clone(&self.era().store)
    }

    /// How often the cluster was restored.
    pub fn restores(&self) -> usize {
        *self.0.present.borrow()
    }

    /// The highest revision of the present history that a client has seen in an answer.
    pub fn seen_revision(&self) -> Revision {
        self.0.seen.borrow().revision
    }

    /// Refuses transactions with puts for want of space, or does so no more.
    pub fn set_no_space(&self, no_space: bool) {
        self.0.no_space.store(no_space, Ordering::Relaxed);
    }

    /// Discards all history below the present revision, which is returned. It is kept for
    /// [`histories`](Self::histories).
    ///
    /// # Errors
    ///
    /// Those of the store; `Compacted` if there is nothing to discard.
    pub async fn compact(&self) -> Result<Revision, BackendError> {
        let present = self.record().await?;
        self.store().compact(present).await?;
        self.tap(format_args!("compacted at {present}"));
        Ok(present)
    }

    /// Replaces the store by one restored from a backup of it. All watches break; requests under
    /// way, and what is answered from now on, go to the new store.
    ///
    /// # Errors
    ///
    /// Those of the stores; `Unsupported` for a cluster that is not [rebuildable](Self::rebuildable).
    pub async fn restore(&self, restore: Restore) -> Result<(), BackendError> {
        let Some(make) = &self.0.make else {
            let message = "this cluster has no way to make a second store";
            return Err(BackendError::new(BackendErrorKind::Unsupported, message));
        };
        self.record().await?;
        let era = self.era();
        let store = make(restore.identity);
        {
            let recorder = era.recorder.lock().await;
            let kept = recorder.revisions.partition_point(|(revision, _)| *revision <= restore.to);
            let ttls = self.0.ttls.lock().unwrap_or_else(PoisonError::into_inner).clone();
            rebuild::replay(&*store, &recorder.revisions[..kept], &ttls).await?;
        }
        for _ in 0..restore.bump {
            let put = PutRequest::new(Bytes::from_static(b"\0bump"), Bytes::new());
            store.txn(TxnRequest::new([put.into()])).await?;
        }
        let era = Era::new(Arc::clone(&store), restore.to);
        if restore.bump > 0 {
            let present = era.recorder.lock().await.catch_up(&*store).await?;
            store.compact(present).await?;
        }
        let mut eras = self.0.eras.lock().unwrap_or_else(PoisonError::into_inner);
        eras.push(era);
        let index = eras.len() - 1;
        drop(eras);
        self.tap(format_args!("restored: {restore:?}"));
        self.0.seen.send_replace(Header { revision: restore.to, ..Header::default() });
        self.0.present.send_replace(index);
        Ok(())
    }

    /// All histories of the cluster, oldest first: one, and another for each restore.
    ///
    /// # Errors
    ///
    /// Those of the stores; `Compacted` if somebody else compacted history before it was read.
    pub async fn histories(&self) -> Result<Vec<History>, BackendError> {
        let eras = self.0.eras.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut histories = Vec::new();
        for era in eras {
            let mut recorder = era.recorder.lock().await;
            recorder.catch_up(&*era.store).await?;
            let revisions = recorder.revisions.clone();
            histories.push(History { forked_at: era.forked_at, revisions });
        }
        Ok(histories)
    }

    async fn record(&self) -> Result<Revision, BackendError> {
        let era = self.era();
        let mut recorder = era.recorder.lock().await;
        recorder.catch_up(&*era.store).await
    }

    /// The present store, with its number.
    pub(super) fn present(&self) -> (usize, Arc<dyn KvBackend>) {
        let eras = self.0.eras.lock().unwrap_or_else(PoisonError::into_inner);
        let index = eras.len() - 1;
        (index, Arc::clone(&eras[index].store))
    }

    fn era(&self) -> Arc<Era> {
        let eras = self.0.eras.lock().unwrap_or_else(PoisonError::into_inner);
        // Never empty: eras are only added.
        Arc::clone(&eras[eras.len() - 1])
    }

    /// Tells of restores.
    pub(super) fn eras(&self) -> watch::Receiver<usize> {
        self.0.present.subscribe()
    }

    /// Tells of revisions of the present era.
    pub(super) fn seen(&self) -> watch::Receiver<Header> {
        self.0.seen.subscribe()
    }

    /// Takes note of an answer from the store of an era.
    pub(super) fn saw(&self, era: usize, header: Header) {
        if era != self.restores() {
            return;
        }
        self.0.seen.send_if_modified(|seen| {
            let newer = header.revision > seen.revision;
            if newer {
                *seen = header;
            }
            newer
        });
    }

    pub(super) fn granted(&self, lease: LeaseId, ttl_seconds: i64) {
        let mut ttls = self.0.ttls.lock().unwrap_or_else(PoisonError::into_inner);
        ttls.insert(lease, ttl_seconds);
    }

    pub(super) fn has_no_space(&self) -> bool {
        self.0.no_space.load(Ordering::Relaxed)
    }

    pub(super) fn tap(&self, line: fmt::Arguments<'_>) {
        if let Some(tap) = &self.0.tap {
            tap(line);
        }
    }
}

impl Era {
    fn new(store: Arc<dyn KvBackend>, forked_at: Revision) -> Arc<Self> {
        Arc::new(Self { store, forked_at, recorder: tokio::sync::Mutex::default() })
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster").field("store", &self.era().store).finish_non_exhaustive()
    }
}
