//! etcd as plainly as it can be said: a copy of the state and the list of changes per revision.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use tailetc_core::backend::BackendErrorKind as Kind;
use tailetc_core::backend::{
    Compare, CompareResult, CompareTarget, DeleteRequest, DeleteResponse, Event, EventKind, Header,
    KeyRange, KeyValue, PutRequest, PutResponse, RangeRequest, RangeResponse, SortOrder,
    SortTarget, TxnOp, TxnOpResponse, TxnRequest, TxnResponse,
};
use tailetc_core::{LeaseId, Revision};
use tailetc_memkv::EtcdVersion;

use crate::MAX_TXN_OPS;

pub(crate) type State = BTreeMap<Bytes, KeyValue>;

const COMPACTED: Kind = Kind::Compacted { compact_revision: Revision::ZERO };

/// All keys that the requests can name: whether two ranges meet is asked key by key.
const KEYS: [&[u8]; 4] = [b"a", b"b", b"c", b"d"];

pub(crate) struct Naive {
    pub(crate) identity: Header,
    /// By revision; the first two are those before the first write.
    pub(crate) states: Vec<State>,
    /// By revision.
    pub(crate) changes: Vec<Vec<Event>>,
    pub(crate) compacted: i64,
    leases: BTreeMap<LeaseId, Lease>,
    seconds: u64,
    turns: u64,
    version: EtcdVersion,
}

struct Lease {
    ttl: u64,
    expiry: u64,
    /// The number of its grant, or of its last renewal.
    turn: u64,
}

impl Naive {
    pub(crate) fn new(identity: Header, version: EtcdVersion) -> Self {
        Self {
            identity,
            states: vec![State::new(); 2],
            changes: vec![Vec::new(); 2],
            compacted: -1,
            leases: BTreeMap::new(),
            seconds: 0,
            turns: 0,
            version,
        }
    }

    pub(crate) fn current(&self) -> i64 {
        self.states.len() as i64 - 1
    }

    pub(crate) fn header(&self) -> Header {
        Header { revision: Revision::new(self.current()), ..self.identity }
    }

    pub(crate) fn now(&self) -> &State {
        &self.states[self.states.len() - 1]
    }

    fn commit(&mut self, state: State, changes: Vec<Event>) {
        if !changes.is_empty() {
            self.states.push(state);
            self.changes.push(changes);
        }
    }

    pub(crate) fn range(&self, request: &RangeRequest) -> Result<RangeResponse, Kind> {
        let revision = request.revision.get();
        if request.range.start().is_empty() {
            return Err(Kind::InvalidRequest);
        }
        if revision > self.current() {
            return Err(Kind::FutureRevision);
        }
        if revision > 0 && revision < self.compacted {
            return Err(COMPACTED);
        }
        let state = if revision > 0 { &self.states[revision as usize] } else { self.now() };
        Ok(look(state, request, self.header(), self.version))
    }

    pub(crate) fn compact(&mut self, revision: Revision) -> Result<Header, Kind> {
        if revision.get() <= self.compacted {
            return Err(COMPACTED);
        }
        if revision.get() > self.current() {
            return Err(Kind::FutureRevision);
        }
        self.compacted = revision.get();
        Ok(self.header())
    }

    /// The changes of a revision as somebody reads them who was not there when it happened.
    pub(crate) fn changes_left(&self, revision: i64) -> Vec<Event> {
        let changes = &self.changes[revision as usize];
        if revision != self.compacted {
            return changes.clone();
        }
        let of_key = |key: &Bytes| changes.iter().filter(|c| c.kv.key == *key).count();
        let mut seen = BTreeSet::new();
        let mut left = changes.clone();
        left.retain(|change| {
            let first = seen.insert(change.kv.key.clone());
            let overwritten = first && change.kind == EventKind::Put && of_key(&change.kv.key) > 1;
            !overwritten
        });
        left
    }

    pub(crate) fn grant(&mut self, id: LeaseId, ttl: i64) -> Result<(Header, i64), Kind> {
        if self.leases.contains_key(&id) {
            return Err(Kind::LeaseExists);
        }
        let ttl = ttl.max(2) as u64;
        self.turns += 1;
        self.leases.insert(id, Lease { ttl, expiry: self.seconds + ttl, turn: self.turns });
        Ok((self.header(), ttl as i64))
    }

    pub(crate) fn keep_alive(&mut self, id: LeaseId) -> Option<i64> {
        let lease = self.leases.get_mut(&id)?;
        self.turns += 1;
        (lease.expiry, lease.turn) = (self.seconds + lease.ttl, self.turns);
        Some(lease.ttl as i64)
    }

    /// Those that expire together do so in the order in which they were granted or renewed.
    pub(crate) fn advance(&mut self, seconds: u64) {
        self.seconds += seconds;
        let due = self.leases.iter().filter(|(_, lease)| lease.expiry <= self.seconds);
        let mut due: Vec<_> = due.map(|(id, lease)| (lease.expiry, lease.turn, *id)).collect();
        due.sort_unstable();
        for (_, _, id) in due {
            self.revoke(id).expect("it is due");
        }
    }

    pub(crate) fn revoke(&mut self, id: LeaseId) -> Result<Header, Kind> {
        if self.leases.remove(&id).is_none() {
            return Err(Kind::LeaseNotFound);
        }
        let (mut state, mut changes) = (self.now().clone(), Vec::new());
        for key in self.attached(id) {
            state.remove(&key);
            changes.push(tombstone(key, self.current() + 1));
        }
        self.commit(state, changes);
        Ok(self.header())
    }

    /// The seconds left and the keys; `None` for a lease that does not exist.
    pub(crate) fn lease(&self, id: LeaseId) -> Option<(i64, Vec<Bytes>)> {
        let lease = self.leases.get(&id)?;
        Some(((lease.expiry - self.seconds) as i64, self.attached(id)))
    }

    fn attached(&self, id: LeaseId) -> Vec<Bytes> {
        let kvs = self.now().values().filter(|kv| kv.lease == id);
        kvs.map(|kv| kv.key.clone()).collect()
    }

    pub(crate) fn put(&mut self, put: &PutRequest) -> Result<(Header, PutResponse), Kind> {
        let request = TxnRequest::new([put.clone().into()]);
        well_formed(&request, MAX_TXN_OPS)?;
        self.has_lease(put)?;
        let response = self.txn(&request)?;
        match response.responses.into_iter().next() {
            Some(TxnOpResponse::Put(answer)) => Ok((response.header, answer)),
            other => panic!("not a put: {other:?}"),
        }
    }

    pub(crate) fn delete(
        &mut self,
        delete: &DeleteRequest,
    ) -> Result<(Header, DeleteResponse), Kind> {
        let response = self.txn(&TxnRequest::new([delete.clone().into()]))?;
        match response.responses.into_iter().next() {
            Some(TxnOpResponse::Delete(answer)) => Ok((response.header, answer)),
            other => panic!("not a deletion: {other:?}"),
        }
    }

    fn has_lease(&self, put: &PutRequest) -> Result<(), Kind> {
        if !put.lease.is_none() && !self.leases.contains_key(&put.lease) {
            return Err(Kind::LeaseNotFound);
        }
        Ok(())
    }

    pub(crate) fn txn(&mut self, request: &TxnRequest) -> Result<TxnResponse, Kind> {
        well_formed(request, MAX_TXN_OPS)?;
        written(&request.success)?;
        written(&request.failure)?;
        if self.version < EtcdVersion::V3_6 {
            self.applicable(request, &|op| matches!(op, TxnOp::Put(_)))?;
            self.applicable(request, &|op| matches!(op, TxnOp::Range(_)))?;
        } else {
            self.applicable(request, &|_| true)?;
        }
        let mut run = Run {
            before: self.now(),
            states: &self.states,
            state: self.now().clone(),
            changes: Vec::new(),
            version: self.version,
        };
        let mut response = run.txn(request)?;
        let Run { state, changes, .. } = run;
        self.commit(state, changes);
        response.header = self.header();
        Ok(response)
    }

    fn applicable(
        &self,
        request: &TxnRequest,
        looks_at: &dyn Fn(&TxnOp) -> bool,
    ) -> Result<(), Kind> {
        for op in branch(self.now(), request).1 {
            match op {
                TxnOp::Txn(nested) => self.applicable(nested, looks_at)?,
                TxnOp::Range(range) if looks_at(op) => {
                    let revision = range.revision.get();
                    if revision > self.current() {
                        return Err(Kind::FutureRevision);
                    }
                    if revision != 0 && revision < self.compacted {
                        return Err(COMPACTED);
                    }
                }
                TxnOp::Put(put) if looks_at(op) => {
                    if self.version >= EtcdVersion::V3_7 {
                        self.has_lease(put)?;
                    }
                    let keeps = put.ignore_value || put.ignore_lease;
                    if keeps && !self.now().contains_key(&put.key) {
                        return Err(Kind::KeyNotFound);
                    }
                    self.has_lease(put)?;
                }
                TxnOp::Put(_) | TxnOp::Range(_) | TxnOp::Delete(_) => {}
            }
        }
        Ok(())
    }
}

/// A transaction on its way.
struct Run<'a> {
    before: &'a State,
    states: &'a [State],
    state: State,
    changes: Vec<Event>,
    version: EtcdVersion,
}

impl Run<'_> {
    fn txn(&mut self, request: &TxnRequest) -> Result<TxnResponse, Kind> {
        let (succeeded, ops) = branch(self.before, request);
        let responses = ops.iter().map(|op| self.op(op)).collect::<Result<_, _>>()?;
        Ok(TxnResponse::new(Header::default(), succeeded, responses))
    }

    fn op(&mut self, op: &TxnOp) -> Result<TxnOpResponse, Kind> {
        Ok(match op {
            TxnOp::Range(range) => TxnOpResponse::Range(self.range(range)),
            TxnOp::Put(put) => TxnOpResponse::Put(self.put(put)?),
            TxnOp::Delete(delete) => {
                let mut deleted = Vec::new();
                for (key, kv) in self.state.clone() {
                    if delete.range.contains(&key) {
                        self.state.remove(&key);
                        self.changes.push(tombstone(key, self.states.len() as i64));
                        deleted.push(kv);
                    }
                }
                let count = deleted.len() as i64;
                deleted.truncate(if delete.prev_kv { usize::MAX } else { 0 });
                TxnOpResponse::Delete(DeleteResponse::new(count, deleted))
            }
            TxnOp::Txn(nested) => TxnOpResponse::Txn(self.txn(nested)?),
        })
    }

    fn range(&self, range: &RangeRequest) -> RangeResponse {
        let changed = usize::from(!self.changes.is_empty());
        let header = Header {
            revision: Revision::new((self.states.len() - 1 + changed) as i64),
            ..Header::default()
        };
        match range.revision.get() {
            revision @ 1.. => look(&self.states[revision as usize], range, header, self.version),
            _ => look(&self.state, range, header, self.version),
        }
    }

    fn put(&mut self, put: &PutRequest) -> Result<PutResponse, Kind> {
        let revision = Revision::new(self.states.len() as i64);
        let before = self.state.get(&put.key).cloned();
        let mut kv = KeyValue {
            key: put.key.clone(),
            value: put.value.clone(),
            create_revision: revision,
            mod_revision: revision,
            version: 1,
            lease: put.lease,
        };
        if let Some(before) = &before {
            kv.create_revision = before.create_revision;
            kv.version = before.version + 1;
        }
        if put.ignore_value {
            kv.value = before.as_ref().ok_or(Kind::InvalidRequest)?.value.clone();
        }
        if put.ignore_lease {
            kv.lease = before.as_ref().ok_or(Kind::InvalidRequest)?.lease;
        }
        self.state.insert(kv.key.clone(), kv.clone());
        self.changes.push(Event { kind: EventKind::Put, kv, prev_kv: None });
        Ok(PutResponse::new(before.filter(|_| put.prev_kv)))
    }
}

fn tombstone(key: Bytes, revision: i64) -> Event {
    let kv = KeyValue { key, mod_revision: Revision::new(revision), ..KeyValue::default() };
    Event { kind: EventKind::Delete, kv, prev_kv: None }
}

fn look(
    state: &State,
    request: &RangeRequest,
    header: Header,
    version: EtcdVersion,
) -> RangeResponse {
    let mut kvs: Vec<KeyValue> =
        state.values().filter(|kv| request.range.contains(&kv.key)).cloned().collect();
    let count = kvs.len() as i64;
    if request.count_only {
        return RangeResponse::new(header, Vec::new(), false, count);
    }
    let limit = if request.limit > 0 { request.limit as usize } else { usize::MAX - 1 };
    let is = |bound: Revision| bound != Revision::ZERO;
    let (min_mod, max_mod) = (request.min_mod_revision, request.max_mod_revision);
    let (min_create, max_create) = (request.min_create_revision, request.max_create_revision);
    let filtered = [min_mod, max_mod, min_create, max_create].into_iter().any(is);
    kvs.retain(|kv| {
        !(is(min_mod) && kv.mod_revision < min_mod
            || is(max_mod) && kv.mod_revision > max_mod
            || is(min_create) && kv.create_revision < min_create
            || is(max_create) && kv.create_revision > max_create)
    });
    if request.sort_order == SortOrder::None && !filtered {
        kvs.truncate(limit + 1);
    }
    kvs.sort_by(|left, right| {
        let descends = request.sort_order == SortOrder::Descend;
        let (left, right) = if descends { (right, left) } else { (left, right) };
        match request.sort_target {
            SortTarget::Key => left.key.cmp(&right.key),
            SortTarget::Version => left.version.cmp(&right.version),
            SortTarget::CreateRevision => left.create_revision.cmp(&right.create_revision),
            SortTarget::ModRevision => left.mod_revision.cmp(&right.mod_revision),
            SortTarget::Value => left.value.cmp(&right.value),
        }
    });
    let more = kvs.len() > limit;
    kvs.truncate(limit);
    if request.keys_only {
        for kv in &mut kvs {
            kv.value = Bytes::new();
            if version >= EtcdVersion::V3_7 && request.sort_target != SortTarget::Value {
                kv.lease = LeaseId::NONE;
            }
        }
    }
    RangeResponse::new(header, kvs, more, count)
}

fn branch<'a>(state: &State, request: &'a TxnRequest) -> (bool, &'a [TxnOp]) {
    let succeeded = request.compares.iter().all(|compare| holds(state, compare));
    let ops = if succeeded { &request.success } else { &request.failure };
    (succeeded, ops)
}

fn holds(state: &State, compare: &Compare) -> bool {
    let mut kvs: Vec<Option<&KeyValue>> =
        state.values().filter(|kv| compare.range.contains(&kv.key)).map(Some).collect();
    if kvs.is_empty() {
        kvs.push(None);
    }
    kvs.into_iter().all(|kv| {
        let number = |of: fn(&KeyValue) -> i64| kv.map_or(0, of);
        match &compare.target {
            CompareTarget::Version(operand) => {
                related(&number(|kv| kv.version), compare.result, operand)
            }
            CompareTarget::CreateRevision(operand) => {
                let created = number(|kv| kv.create_revision.get());
                related(&created, compare.result, &operand.get())
            }
            CompareTarget::ModRevision(operand) => {
                let modified = number(|kv| kv.mod_revision.get());
                related(&modified, compare.result, &operand.get())
            }
            CompareTarget::Lease(operand) => {
                let lease = number(|kv| kv.lease.get());
                related(&lease, compare.result, &operand.get())
            }
            CompareTarget::Value(operand) => {
                kv.is_some_and(|kv| related(&kv.value, compare.result, operand))
            }
        }
    })
}

fn related<T: Ord>(left: &T, result: CompareResult, right: &T) -> bool {
    match result {
        CompareResult::Equal => left == right,
        CompareResult::NotEqual => left != right,
        CompareResult::Greater => left > right,
        CompareResult::Less => left < right,
    }
}

fn well_formed(request: &TxnRequest, max: usize) -> Result<(), Kind> {
    let longest = [request.compares.len(), request.success.len(), request.failure.len()];
    let longest = longest.into_iter().max().unwrap_or(0);
    if longest > max {
        return Err(Kind::TooManyOps);
    }
    let has_key = |range: &KeyRange| {
        if range.start().is_empty() { Err(Kind::InvalidRequest) } else { Ok(()) }
    };
    for compare in &request.compares {
        has_key(&compare.range)?;
    }
    for op in request.success.iter().chain(&request.failure) {
        match op {
            TxnOp::Range(range) => has_key(&range.range)?,
            TxnOp::Delete(delete) => has_key(&delete.range)?,
            TxnOp::Put(put) => {
                let value = put.ignore_value && !put.value.is_empty();
                let lease = put.ignore_lease && !put.lease.is_none();
                if put.key.is_empty() || value || lease {
                    return Err(Kind::InvalidRequest);
                }
            }
            TxnOp::Txn(nested) => well_formed(nested, max - longest)?,
        }
    }
    Ok(())
}

/// The keys put and the keys deleted at this level and below.
type Written = (BTreeSet<Bytes>, BTreeSet<Bytes>);

fn written(ops: &[TxnOp]) -> Result<Written, Kind> {
    let (mut puts, mut deletes) = Written::default();
    let mut this_level = Vec::new();
    for op in ops {
        match op {
            TxnOp::Delete(delete) if !delete.range.is_from_key() => {
                let keys = KEYS.iter().filter(|key| delete.range.contains(key));
                deletes.extend(keys.map(|key| Bytes::from_static(key)));
            }
            TxnOp::Put(put) => this_level.push(put.key.clone()),
            _ => {}
        }
    }
    for op in ops {
        let TxnOp::Txn(nested) = op else { continue };
        let (then_puts, then_deletes) = written(&nested.success)?;
        let (else_puts, else_deletes) = written(&nested.failure)?;
        let nested_puts: BTreeSet<Bytes> = &then_puts | &else_puts;
        if !nested_puts.is_disjoint(&puts) || !nested_puts.is_disjoint(&deletes) {
            return Err(Kind::DuplicateKey);
        }
        puts.extend(nested_puts);
        deletes.extend(then_deletes);
        deletes.extend(else_deletes);
    }
    for key in this_level {
        if deletes.contains(&key) || !puts.insert(key) {
            return Err(Kind::DuplicateKey);
        }
    }
    Ok((puts, deletes))
}
