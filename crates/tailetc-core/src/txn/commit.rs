//! Committing: guards and writes in one request, and what its answer means.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use crate::backend::{
    BackendError, BackendErrorKind, DeleteRequest, Header, KeyRange, KeyValue, PutRequest,
    RangeRequest, TxnOp, TxnRequest, TxnResponse,
};
use crate::db::{Arrival, Shared, check_not_observing, prefix_range};
use crate::error::Limit;
use crate::schema::AnyValue;
use crate::state::{Entry, EntryPtr, State, Token, Value};
use crate::tail::in_time;
use crate::txn::guards::ReadSet;
use crate::txn::markers::{Flight, Markers, Resolution};
use crate::txn::writes::{Pending, Put, WriteSet};
use crate::txn::{Txn, unique};
use crate::{Error, Key, LeaseId, Revision};

/// A committed transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Commit {
    token: Token,
    changed: bool,
}

impl Commit {
    /// The revision of the transaction. If it changed nothing, that of the snapshot it read.
    pub fn revision(&self) -> Revision {
        self.token.revision()
    }

    /// The same for another process: [`Db::at_least`](crate::Db::at_least).
    pub fn token(&self) -> Token {
        self.token
    }

    /// Whether the store was changed: false for a transaction without writes, and for one that only
    /// deleted keys that were absent.
    pub fn changed(&self) -> bool {
        self.changed
    }
}

impl Txn {
    /// Commits: all writes are applied at one revision, if nothing that the transaction read, wrote
    /// or deleted has changed in the store since its snapshot.
    ///
    /// When this returns `Ok`, this `Db` is at the commit's revision or past it: a snapshot taken
    /// then shows the writes. A transaction without writes asks the store nothing, unless
    /// [`validate`](Txn::validate) was called.
    ///
    /// # Cancel safety
    ///
    /// Safe at every await. Before the first poll nothing has been sent. Once the request is on its
    /// way, dropping the future leaves the outcome unknown to the caller, also with commit markers:
    /// the transaction is applied wholly or not at all, and this `Db` shows it when it is. (With
    /// commit markers it cannot arrive any more once a later commit has used its marker.)
    ///
    /// # Errors
    ///
    /// The first error of an earlier method. [`Error::Conflict`]: not applied; run it again.
    /// [`Error::OutcomeUnknown`]: sent, and no answer came within
    /// [`commit_timeout`](crate::Options::commit_timeout) (with
    /// [`Builder::commit_markers`](crate::Builder::commit_markers) only if the outcome could not be
    /// found out within as long again). [`Error::LimitExceeded`]: not sent.
    /// [`Error::Backend`]: certainly not applied. [`Error::HistoryLost`]: not applied; what it read
    /// is of a history that is gone. [`Error::NotUnique`] and [`Error::NotIndexed`]: not applied. [`Error::NotCaughtUp`] with a `committed`:
    /// applied, but this `Db` did not see it within
    /// [`catch_up_timeout`](crate::Options::catch_up_timeout). [`Error::WritesDenied`],
    /// [`Error::Closed`] and [`Error::InObserver`]: not sent.
    pub async fn commit(self) -> Result<Commit, Error> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let validates = self.validate && !self.reads.is_empty();
        if self.writes.is_empty() && !validates {
            return Ok(self.unchanged());
        }
        let attempt = Attempt { base: self.base, reads: self.reads, writes: self.writes };
        attempt.commit(self.db.shared()).await
    }

    pub(super) fn conflict(&self) -> Option<Error> {
        self.failed.clone().filter(|error| matches!(error, Error::Conflict { .. }))
    }

    fn unchanged(&self) -> Commit {
        unchanged(&self.base)
    }
}

fn unchanged(base: &State) -> Commit {
    Commit { token: base.token(), changed: false }
}

/// What of a transaction takes part in its commit.
struct Attempt {
    base: Arc<State>,
    reads: ReadSet,
    writes: WriteSet,
}

impl Attempt {
    async fn commit(mut self, shared: &Shared) -> Result<Commit, Error> {
        let violation = match unique::reserve(&self.base, &mut self.writes) {
            Ok(()) => return self.run(shared).await,
            Err(unique::Refusal::Unknown(error)) => return Err(error),
            Err(unique::Refusal::Taken(violation)) => violation,
        };
        // That an index key is taken is a read like any other: it must be so in the store.
        violation.add_to(&mut self.reads);
        for (key, _) in std::mem::take(&mut self.writes).iter() {
            self.reads.add_key(key.clone());
        }
        self.run(shared).await?;
        Err(violation.into_error())
    }

    async fn run(&self, shared: &Shared) -> Result<Commit, Error> {
        check_not_observing(shared, "commit")?;
        self.check_permitted(shared)?;
        self.check_locally(shared)?;
        self.check_not_lost(shared)?;
        let request = self.request();
        check_limits(&request, shared)?;

        // Findable from before the store can send the event until the commit has returned.
        let _own = shared.own_writes.register(
            self.puts()
                .map(|(key, put)| (key.clone(), put.bytes.clone(), AnyValue::clone(&put.value))),
        );
        let sent = Instant::now();
        let outcome = if !self.changes() {
            validate(shared, request).await?
        } else if let Some(markers) = &shared.markers {
            self.send_marked(shared, markers, request).await?
        } else {
            send(shared, request).await?
        };
        match outcome {
            Outcome::Applied(header) => self.committed(shared, header, sent).await,
            Outcome::Unchanged(header) => {
                shared.check_history(&self.base, &header, self.base.revision)?;
                Ok(unchanged(&self.base))
            }
            Outcome::Refused(header) => Err(self.refused(shared, header).await),
        }
    }

    fn check_permitted(&self, shared: &Shared) -> Result<(), Error> {
        shared.check_open()?;
        if !self.writes.is_empty() && shared.write_denials.load(Ordering::Acquire) > 0 {
            return Err(Error::WritesDenied);
        }
        Ok(())
    }

    /// Guards of absent keys and ranges hold in a store that has lost what was read.
    fn check_not_lost(&self, shared: &Shared) -> Result<(), Error> {
        if shared.is_lost(self.base.epoch) {
            return Err(Error::HistoryLost { target: self.base.revision });
        }
        Ok(())
    }

    /// Sends the request with a marker, by which an unknown outcome is resolved.
    async fn send_marked(
        &self,
        shared: &Shared,
        markers: &Markers,
        request: TxnRequest,
    ) -> Result<Outcome, Error> {
        let backend = &*shared.backend;
        // A lease that has ended costs an attempt, which was certainly not applied.
        let mut lease_may_have_ended = true;
        loop {
            let flight = markers.take(backend).await;
            let mut flight = flight.map_err(|error| Error::backend("commit markers", error))?;
            // To ready a marker may take requests of its own.
            self.check_permitted(shared)?;
            self.check_not_lost(shared)?;
            let mut marked = request.clone();
            flight.mark(&mut marked);
            check_limits(&marked, shared).inspect_err(|_| flight.refused())?;
            match ask(shared, marked).await {
                Ok(response) if response.succeeded => {
                    flight.succeeded(response.header.revision);
                    return Ok(Outcome::of(&response));
                }
                Ok(response) => {
                    if flight.is_spoiled(&response) && lease_may_have_ended {
                        // A marker that is as it was before belongs to a backup.
                        let (header, read) = (response.header, self.base.revision);
                        shared.check_history(&self.base, &header, read)?;
                        lease_may_have_ended = false;
                        continue;
                    }
                    return Ok(Outcome::of(&response));
                }
                Err(error) if error.kind().is_outcome_unknown() => {
                    return self.resolve(shared, flight, error).await;
                }
                Err(error) => {
                    flight.refused();
                    if lease_may_have_ended
                        && error.kind() == BackendErrorKind::LeaseNotFound
                        && flight.has_lost_its_lease(backend).await
                    {
                        lease_may_have_ended = false;
                        continue;
                    }
                    return Err(Error::commit(error));
                }
            }
        }
    }

    async fn resolve(
        &self,
        shared: &Shared,
        mut flight: Flight<'_>,
        error: BackendError,
    ) -> Result<Outcome, Error> {
        let limit = shared.options.commit_timeout;
        let resolution = flight.resolve(&*shared.backend, self.base.cluster_id, limit).await;
        tracing::debug!(%error, ?resolution, "a commit was not answered");
        match resolution {
            Resolution::Applied(header) => {
                shared.counters.resolved_outcomes(1);
                Ok(Outcome::Applied(header))
            }
            Resolution::NotApplied => {
                shared.counters.resolved_outcomes(1);
                Err(Error::backend("commit", error))
            }
            Resolution::Unknown => Err(failed(shared, error)),
        }
    }

    /// A conflict that one's own copy already shows is certain: the store would refuse.
    fn check_locally(&self, shared: &Shared) -> Result<(), Error> {
        let now = shared.state();
        let Some(keys) = self.reads.conflicts(&self.base, &now, self.writes.keys()) else {
            return Ok(());
        };
        shared.counters.local_conflicts(1);
        Err(Error::Conflict { keys: keys.into(), revision: now.revision })
    }

    /// Whether the store will be changed, if the guards hold.
    fn changes(&self) -> bool {
        self.writes.iter().any(|(key, pending)| match pending {
            Pending::Put(_) => true,
            Pending::Delete => self.base.map.get(key.as_bytes()).is_some(),
        })
    }

    fn request(&self) -> TxnRequest {
        let compares = self.reads.compares(&self.base, self.writes.keys());
        let mut success = Vec::new();
        for (key, pending) in self.writes.iter() {
            let name = Bytes::copy_from_slice(key.as_bytes());
            match pending {
                Pending::Put(put) => success
                    .push(PutRequest::new(name, put.bytes.clone()).with_lease(put.lease).into()),
                // The guard says that an absent key is absent still: there is nothing to delete.
                Pending::Delete if self.base.map.get(key.as_bytes()).is_none() => {}
                Pending::Delete => success.push(DeleteRequest::new(KeyRange::key(name)).into()),
            }
        }
        let mut request = TxnRequest { compares, success, failure: Vec::new() };
        for guard in self.bumped() {
            let name = Bytes::copy_from_slice(guard.as_bytes());
            request.success.push(PutRequest::new(name, Bytes::new()).into());
        }
        if request.success.is_empty() {
            // A transaction of compares alone is answered from one member's own state, which may be
            // out of date (etcd: `server/etcdserver/txn/txn.go`, `IsTxnSerializable`). A
            // linearizable range in both branches prevents that.
            let key = KeyRange::key(prefix_range(&self.base).start().clone());
            let barrier = TxnOp::from(RangeRequest::new(key).with_limit(1).with_keys_only());
            request.success.push(barrier.clone());
            request.failure.push(barrier);
        }
        request
    }

    /// The guard keys of the guarded collections that this changes. They are put whatever they were
    /// before, so that writers do not conflict on them.
    fn bumped(&self) -> impl Iterator<Item = &Key> {
        let schema = &self.base.schema;
        schema
            .guards()
            .filter(|(slot, _)| {
                self.writes.iter().any(|(key, pending)| match pending {
                    Pending::Put(put) => put.slot == *slot,
                    Pending::Delete => {
                        self.base.map.get(key.as_bytes()).is_some_and(|entry| entry.slot == *slot)
                    }
                })
            })
            .map(|(_, guard)| guard)
    }

    fn puts(&self) -> impl Iterator<Item = (&Key, &Put)> {
        self.writes.iter().filter_map(|(key, pending)| match pending {
            Pending::Put(put) => Some((key, put)),
            Pending::Delete => None,
        })
    }

    /// Makes the copy show a transaction that the store has applied.
    async fn committed(
        &self,
        shared: &Shared,
        header: Header,
        sent: Instant,
    ) -> Result<Commit, Error> {
        shared.counters.commits(1);
        shared.heard(&header);
        let (epoch, revision) = (self.base.epoch, header.revision);
        let token = Token::new(header.cluster_id, header.raft_term, revision);
        let commit = Commit { token, changed: true };
        let not_caught_up = |waited| Err(shared.not_caught_up(revision, waited, Some(commit)));
        if !shared.is_same_history(&self.base, &header) {
            // Applied, to a store that is not the one that this copy shows.
            return not_caught_up(Duration::ZERO);
        }
        if shared.apply_answer(epoch, header, |current| self.entries(current, revision)) {
            shared.currency.prove(sent);
            return Ok(commit);
        }
        let (started, watch) = (Instant::now(), shared.suspicion.watch());
        let deadline = started + shared.options.catch_up_timeout;
        match shared.await_event(epoch, revision, deadline).await {
            Arrival::Arrived => {
                shared.currency.prove(sent);
                Ok(commit)
            }
            Arrival::TimedOut => {
                shared.suspicion.suspect(watch);
                not_caught_up(started.elapsed())
            }
            Arrival::Never => not_caught_up(started.elapsed()),
        }
    }

    /// What the written keys are after the commit, which follows directly on `current`.
    fn entries(&self, current: &State, revision: Revision) -> Vec<(Key, Option<EntryPtr>)> {
        let schema = &self.base.schema;
        let entry = |key: &Key, slot, lease, value: &AnyValue| {
            let before = current.map.get(key.as_bytes()).map(|entry| entry.meta);
            let kv = KeyValue {
                create_revision: before.map_or(revision, |before| before.create_revision),
                mod_revision: revision,
                version: before.map_or(1, |before| before.version + 1),
                lease,
                ..KeyValue::default()
            };
            EntryPtr::new(Entry::new(&kv, slot, Value::Decoded(AnyValue::clone(value))))
        };
        let entries = self.writes.iter().map(|(key, pending)| match pending {
            Pending::Put(put) => (key.clone(), Some(entry(key, put.slot, put.lease, &put.value))),
            Pending::Delete => (key.clone(), None),
        });
        let empty: AnyValue = Arc::new(Bytes::new());
        let bumped = self.bumped().map(|guard| {
            let slot = schema.slot_of(guard.as_bytes());
            (guard.clone(), Some(entry(guard, slot, LeaseId::NONE, &empty)))
        });
        entries.chain(bumped).collect()
    }

    /// The error for a transaction that the store has refused, once the copy shows why, so that
    /// the next attempt does not meet the same conflict.
    async fn refused(&self, shared: &Shared, header: Header) -> Error {
        if let Err(lost) = shared.check_history(&self.base, &header, self.base.revision) {
            return lost;
        }
        shared.counters.conflicts(1);
        let visible = || {
            let now = shared.state();
            self.reads.conflicts(&self.base, &now, self.writes.keys())
        };
        let deadline = Instant::now() + shared.options.catch_up_timeout;
        let target = header.revision;
        // Looked at where positions are announced: only what takes no time. Whatever ends the wait,
        // the answer is the same conflict; only its keys may be unknown.
        let is_visible = || !self.reads.searches() && visible().is_some();
        let _ = shared.await_progress(self.base.epoch, target, deadline, is_visible).await;
        Error::Conflict { keys: visible().unwrap_or_default().into(), revision: target }
    }
}

/// What the store made of the request.
enum Outcome {
    Applied(Header),
    /// The guards hold, and there was nothing to write.
    Unchanged(Header),
    Refused(Header),
}

impl Outcome {
    /// Of a request that changes something.
    fn of(response: &TxnResponse) -> Self {
        let header = response.header;
        if response.succeeded { Self::Applied(header) } else { Self::Refused(header) }
    }
}

/// Asks whether the guards hold, and changes nothing: no outcome can be unknown.
async fn validate(shared: &Shared, request: TxnRequest) -> Result<Outcome, Error> {
    let response = ask(shared, request).await;
    let response = response.map_err(|error| Error::backend("commit", error))?;
    let header = response.header;
    Ok(if response.succeeded { Outcome::Unchanged(header) } else { Outcome::Refused(header) })
}

async fn send(shared: &Shared, request: TxnRequest) -> Result<Outcome, Error> {
    let response = ask(shared, request).await;
    let response = response.map_err(|error| failed(shared, error))?;
    Ok(Outcome::of(&response))
}

async fn ask(shared: &Shared, request: TxnRequest) -> Result<TxnResponse, BackendError> {
    in_time(shared.options.commit_timeout, shared.backend.txn(request)).await
}

fn failed(shared: &Shared, error: BackendError) -> Error {
    let error = Error::commit(error);
    shared.counters.unknown_outcomes(u64::from(error.is_outcome_unknown()));
    error
}

/// What etcd adds to a request when it puts it into its log: the limit counts that too. Run against
/// 3.4.23 to 3.5.30: 17 or 18 bytes, by the size of the request's identifier.
const LOG_ENVELOPE: usize = 18;

/// Refuses what the store would refuse, with the numbers, before anything is sent.
fn check_limits(request: &TxnRequest, shared: &Shared) -> Result<(), Error> {
    let store = shared.backend.capabilities();
    let checks = [
        (Limit::Operations, request.success.len(), store.max_txn_ops),
        (Limit::Guards, request.compares.len(), store.max_txn_ops),
        (Limit::RequestBytes, request.encoded_len() + LOG_ENVELOPE, store.max_request_bytes),
    ];
    for (what, actual, limit) in checks {
        if actual > limit {
            return Err(Error::LimitExceeded { what, actual, limit });
        }
    }
    Ok(())
}
