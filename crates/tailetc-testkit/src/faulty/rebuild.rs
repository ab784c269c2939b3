//! A store made anew from the history of another: what restoring a backup does.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use tailetc_core::LeaseId;
use tailetc_core::Revision;
use tailetc_core::backend::{
    BackendError, BackendErrorKind, DeleteRequest, Event, EventKind, KeyRange, KvBackend,
    PutRequest, TxnOp, TxnRequest,
};

/// The time of leases that were granted by others than the clients of the cluster.
const UNKNOWN_TTL_SECONDS: i64 = 60;

/// Plays `revisions` into an empty store. Leases begin anew with their full time.
pub(super) async fn replay(
    store: &dyn KvBackend,
    revisions: &[(Revision, Vec<Event>)],
    ttls: &BTreeMap<LeaseId, i64>,
) -> Result<(), BackendError> {
    let mut granted = BTreeSet::new();
    for (revision, events) in revisions {
        for lease in events.iter().map(|event| event.kv.lease) {
            if !lease.is_none() && granted.insert(lease) {
                let ttl = ttls.get(&lease).copied().unwrap_or(UNKNOWN_TTL_SECONDS);
                store.lease_grant(lease, ttl).await?;
            }
        }
        let header = store.txn(TxnRequest::new(operations(events))).await?.header;
        if header.revision != *revision {
            let message = format!("revision {revision} became {} in the replay", header.revision);
            return Err(BackendError::new(BackendErrorKind::Unknown, message));
        }
    }
    Ok(())
}

/// A transaction with these events. A key may occur in several: put and then deleted, by nested
/// transactions; or deleted by an open range and then put. etcd's check for duplicate keys misses
/// both.
fn operations(events: &[Event]) -> Vec<TxnOp> {
    let distinct: BTreeSet<&Bytes> = events.iter().map(|event| &event.kv.key).collect();
    if distinct.len() == events.len() {
        return events.iter().map(operation).collect();
    }
    let mut operations = Vec::new();
    let mut rest = events;
    while let Some(first) = rest.first() {
        let run = rest.iter().take_while(|event| event.kind == EventKind::Delete).count();
        let (deletions, others) = rest.split_at(run);
        let put_again = |event: &Event| {
            others.iter().any(|o| o.kind == EventKind::Put && o.kv.key == event.kv.key)
        };
        if deletions.iter().any(put_again) {
            let open = KeyRange::from_key(first.kv.key.clone());
            operations.push(DeleteRequest::new(open).into());
            rest = others;
        } else {
            operations.push(TxnRequest::new([operation(first)]).into());
            rest = &rest[1..];
        }
    }
    operations
}

fn operation(event: &Event) -> TxnOp {
    let kv = &event.kv;
    match event.kind {
        EventKind::Put => {
            PutRequest::new(kv.key.clone(), kv.value.clone()).with_lease(kv.lease).into()
        }
        EventKind::Delete => DeleteRequest::new(KeyRange::key(kv.key.clone())).into(),
    }
}
