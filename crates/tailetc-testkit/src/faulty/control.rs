//! What tests ask for by name.

use std::sync::Arc;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use tailetc_core::Revision;
use tailetc_core::backend::{BackendError, KvBackend};

use super::client::Client;
use super::cluster::{Cluster, Identity, Restore};
use super::dice::Dice;
use super::{Fault, FaultPlan, FaultyBackend};

/// What a client's watches obey.
#[derive(Clone, Debug, Default)]
pub(super) struct Control {
    /// Watches that were opened before this number changed break.
    pub(super) cuts: u64,
    /// Watches that were opened before this number changed fall silent for ever.
    pub(super) silences: u64,
    pub(super) held: bool,
    /// How many revisions watches and serializable reads are behind.
    pub(super) lag: i64,
    pub(super) disconnected: bool,
}

impl FaultyBackend {
    /// A client of this store that has no faults until it is asked for some.
    pub fn new(store: impl KvBackend) -> Self {
        Self::with_plan(store, FaultPlan::none())
    }

    /// A client of this store with the faults of `plan`.
    pub fn with_plan(store: impl KvBackend, plan: FaultPlan) -> Self {
        Cluster::new(Arc::new(store)).client(plan)
    }

    /// The store behind, to be shared with other clients.
    pub fn cluster(&self) -> &Cluster {
        &self.0.cluster
    }

    /// The next transaction is applied, and its answer is lost.
    ///
    /// ```
    /// # use tailetc_core::{Bytes, Db, Error, RAW};
    /// # use tailetc_testkit::faulty::FaultyBackend;
    /// # async fn example(faulty: FaultyBackend, db: Db) -> Result<(), Error> {
    /// faulty.lose_next_commit_reply();
    /// let outcome = db.transact(|txn| txn.put(RAW, "a", Bytes::from("1"))).await;
    /// assert!(outcome.unwrap_err().is_outcome_unknown());
    /// # Ok(())
    /// # }
    /// ```
    pub fn lose_next_commit_reply(&self) {
        self.next_commit(Fault::LoseReply);
    }

    /// The next transaction never reaches the store, and its caller gets the same error as if the
    /// answer had been lost.
    pub fn lose_next_commit(&self) {
        self.next_commit(Fault::LoseRequest);
    }

    /// The next transaction times out, and is applied up to 5 s later.
    pub fn apply_next_commit_late(&self) {
        self.next_commit(Fault::ApplyLate);
    }

    /// The leases of the next transaction's puts end just before it.
    pub fn expire_leases_before_next_commit(&self) {
        self.next_commit(Fault::ExpireLease);
    }

    /// The next transaction fails so.
    pub fn next_commit(&self, fault: Fault) {
        *self.0.next_commit.lock().unwrap_or_else(PoisonError::into_inner) = Some(fault);
    }

    /// Breaks all open watches of this client.
    ///
    /// ```
    /// # use tailetc_core::{Db, Error};
    /// # use tailetc_testkit::faulty::FaultyBackend;
    /// # async fn example(faulty: FaultyBackend, db: Db) -> Result<(), Error> {
    /// faulty.cut_watch();
    /// db.fresh().await?; // the copy finds its way back by itself
    /// # Ok(())
    /// # }
    /// ```
    pub fn cut_watch(&self) {
        self.0.control.send_modify(|control| control.cuts += 1);
    }

    /// All open watches of this client deliver nothing any more, and no error: half-open
    /// connections.
    pub fn silence_watch(&self) {
        self.0.control.send_modify(|control| control.silences += 1);
    }

    /// Watches deliver nothing until [`release_watch`](Self::release_watch).
    pub fn hold_watch(&self) {
        self.0.control.send_modify(|control| control.held = true);
    }

    /// Ends [`hold_watch`](Self::hold_watch): what has accumulated is delivered.
    pub fn release_watch(&self) {
        self.0.control.send_modify(|control| control.held = false);
    }

    /// Watches and serializable reads are `revisions` behind what the clients of this cluster have
    /// seen, as on a member that lags; 0 ends it.
    ///
    /// ```
    /// # use tailetc_core::{Db, Error};
    /// # use tailetc_testkit::faulty::FaultyBackend;
    /// # async fn example(faulty: FaultyBackend, db: Db) -> Result<(), Error> {
    /// faulty.lag(3);
    /// // .. what others write now, `db` shows three revisions later.
    /// faulty.lag(0);
    /// # Ok(())
    /// # }
    /// ```
    pub fn lag(&self, revisions: u32) {
        self.0.control.send_modify(|control| control.lag = revisions.into());
    }

    /// Every request fails as unsendable and all watches break, until
    /// [`reconnect`](Self::reconnect).
    pub fn disconnect(&self) {
        self.0.control.send_modify(|control| {
            control.disconnected = true;
            control.cuts += 1;
        });
    }

    /// Ends [`disconnect`](Self::disconnect).
    pub fn reconnect(&self) {
        self.0.control.send_modify(|control| control.disconnected = false);
    }

    /// Says from now on that the store's progress cannot be trusted, as with old servers.
    pub fn distrust_progress(&self) {
        self.0.distrusted.store(true, Ordering::Relaxed);
    }

    /// Discards all history before the present revision, which is returned.
    ///
    /// ```
    /// # use tailetc_core::{Db, backend::BackendError};
    /// # use tailetc_testkit::faulty::FaultyBackend;
    /// # async fn example(faulty: FaultyBackend, db: Db) -> Result<(), BackendError> {
    /// faulty.hold_watch();
    /// // .. others write ..
    /// faulty.compact_now().await?;
    /// faulty.cut_watch();
    /// faulty.release_watch(); // `db` has lost history: it repairs itself by a difference
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`Cluster::compact`].
    pub async fn compact_now(&self) -> Result<Revision, BackendError> {
        self.0.cluster.compact().await
    }

    /// Restores the cluster from a backup taken at `revision`, under another identity. Needs a
    /// cluster that can make a second store:
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// use tailetc_core::Revision;
    /// use tailetc_core::backend::{BackendError, KvBackendExt, PutRequest};
    /// use tailetc_memkv::{MemKv, MemKvOptions};
    /// use tailetc_testkit::faulty::{Cluster, FaultPlan, Identity};
    ///
    /// # async fn example() -> Result<(), BackendError> {
    /// let first = Identity { cluster_id: 1, raft_term: 2 };
    /// let cluster = Cluster::rebuildable(first, |identity| {
    ///     let options = MemKvOptions::default()
    ///         .with_cluster_id(identity.cluster_id)
    ///         .with_raft_term(identity.raft_term);
    ///     Arc::new(MemKv::with_options(options))
    /// });
    /// let faulty = cluster.client(FaultPlan::none());
    /// let kept = faulty.put(PutRequest::new("a", "kept")).await?;
    /// faulty.put(PutRequest::new("a", "lost")).await?;
    /// faulty.restore_to(kept, Identity { cluster_id: 2, raft_term: 2 }).await?;
    /// assert_eq!(faulty.get("a".into()).await?.map(|kv| kv.value), Some("kept".into()));
    /// # Ok(())
    /// # }
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build()
    /// #     .expect("a runtime").block_on(example()).expect("restored");
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`Cluster::restore`].
    pub async fn restore_to(
        &self,
        revision: Revision,
        identity: Identity,
    ) -> Result<(), BackendError> {
        self.0.cluster.restore(Restore { to: revision, identity, bump: 0 }).await
    }

    /// Ends all faults of this client, planned or asked for: members that lag catch up. Watches that
    /// have gone silent stay so.
    pub fn heal(&self) {
        self.0.dice(Dice::heal);
        self.0.next_commit.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.0.control.send_modify(|control| {
            control.held = false;
            control.lag = 0;
            control.disconnected = false;
        });
    }

    /// The faults that were injected by chance or by script, with their turns, which
    /// [`FaultPlan::at`] takes.
    pub fn injected(&self) -> Vec<(u64, Fault)> {
        self.0.dice(|dice| dice.injected().to_vec())
    }
}

impl Client {
    /// At what revision a serializable read is answered; [`Revision::ZERO`] if by no lagging
    /// member.
    pub(super) fn lagging_revision(&self) -> Revision {
        let asked_for = self.control.borrow().lag;
        let by_chance = self.dice(|dice| match dice.roll(Fault::LagMember) {
            true => dice.millis(1..=20).as_millis().try_into().unwrap_or(0),
            false => 0,
        });
        let behind = asked_for.max(by_chance);
        if behind == 0 {
            return Revision::ZERO;
        }
        Revision::new((self.cluster.seen_revision().get() - behind).max(1))
    }
}
