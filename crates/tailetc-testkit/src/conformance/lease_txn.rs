//! Leases and transactions: what attaches, what detaches, and what a revocation takes with it.

use std::sync::Arc;

use bytes::Bytes;
use tailetc_core::LeaseId;
use tailetc_core::backend::{
    BackendErrorKind, Compare, CompareResult, CompareTarget, KeyRange, KvBackend, PutRequest,
    RangeRequest, TxnOp, TxnRequest,
};

use super::support::{Store, absent, delete, delete_event, exists, keys, nested, put, rev, text};

fn leased(key: &'static str, lease: LeaseId) -> TxnOp {
    PutRequest::new(key, "leased").with_lease(lease).into()
}

/// A put in the branch that does not run attaches nothing; in the one that runs, it does.
///
/// Rules: R7, T15.
pub async fn lease_in_the_branch_not_chosen_attaches_nothing(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    let lease = store.grant(0, 60).await.id;
    let txn = TxnRequest::new([leased("yes", lease)])
        .when([exists("x")])
        .otherwise([leased("no", lease)]);
    store.txn(txn).await;
    assert_eq!(store.keys_of(lease).await, ["no"]);
}

/// Puts of nested transactions attach, on every level.
///
/// Rules: R7, T7.
pub async fn lease_in_a_nested_txn_attaches(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    let lease = store.grant(0, 60).await.id;
    let third = nested([leased("c", lease)]);
    store.run([leased("a", lease), nested([leased("b", lease), third])]).await;
    assert_eq!(store.keys_of(lease).await, ["a", "b", "c"]);
    assert_eq!(store.revoke(lease).await.revision, rev(3));
    assert_eq!(store.all().await.count, 0);
}

/// A refused transaction attaches nothing and detaches nothing.
///
/// Rules: P3, R7, T8.
pub async fn lease_in_a_refused_txn_stays_as_it_was(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    let lease = store.grant(0, 60).await.id;
    store.put_with_lease("a", lease).await;
    let ops = [put("a", "bare"), leased("b", lease), leased("c", LeaseId::new(404))];
    let kind = BackendErrorKind::LeaseNotFound;
    store.refuses(TxnRequest::new(ops), kind, text::LEASE_NOT_FOUND).await;
    assert_eq!(store.keys_of(lease).await, ["a"]);
}

/// The deletion of a range detaches all its keys.
///
/// Rules: P5, R7.
pub async fn lease_loses_the_keys_of_a_deleted_range(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    let lease = store.grant(0, 60).await.id;
    for key in ["a", "b", "c"] {
        store.put_with_lease(key, lease).await;
    }
    store.delete(KeyRange::span("a", "c")).await;
    assert_eq!(store.keys_of(lease).await, ["c"]);
}

/// A key deleted and written again in one transaction is attached as its last put says.
///
/// Rules: R7, T11.
pub async fn lease_of_a_key_replaced_in_one_txn_is_that_of_its_put(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    let (old, new) = (store.grant(0, 60).await.id, store.grant(0, 60).await.id);
    store.put_with_lease("a", old).await;
    store.run([delete(KeyRange::from_key("a")), leased("a", new)]).await;
    assert_eq!((store.keys_of(old).await.len(), store.keys_of(new).await), (0, vec!["a".into()]));
    store.run([delete(KeyRange::from_key("a")), put("a", "bare")]).await;
    assert_eq!(store.keys_of(new).await.len(), 0);
    assert_eq!(store.existing("a").await.lease, LeaseId::NONE);
}

/// A lease granted anew under an identifier that was revoked has none of the old keys.
///
/// Rules: L1, L2.
pub async fn lease_granted_again_begins_without_keys(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    store.grant(7, 60).await;
    store.put_with_lease("a", LeaseId::new(7)).await;
    store.revoke(LeaseId::new(7)).await;
    store.grant(7, 60).await;
    store.put("a", "bare").await;
    assert_eq!(store.revoke(LeaseId::new(7)).await.revision, rev(4));
    assert!(store.get("a").await.is_some());
}

/// A revocation deletes in the order of the keys' bytes, whatever the order of attaching.
///
/// Rules: L2, R8.
pub async fn lease_revoked_deletes_binary_keys_bytewise(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    let lease = store.grant(0, 60).await.id;
    let sorted: [&[u8]; 6] = [b"\0", b"a", b"a\0", b"a\xff", b"b", b"\xff"];
    let puts = sorted
        .iter()
        .rev()
        .map(|key| PutRequest::new(Bytes::from_static(key), "").with_lease(lease).into());
    let written: Vec<TxnOp> = puts.collect();
    store.run(written).await;
    let mut follow = store.follow(KeyRange::all(), 3).await;
    store.revoke(lease).await;
    let expected = sorted.map(|key| delete_event(key, 3));
    assert_eq!(follow.until(rev(3)).await, expected);
}

/// After a revocation, conditions see its keys absent, and the revision before shows them.
///
/// Rules: L2, L7, T3.
pub async fn lease_revoked_leaves_its_keys_absent(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    let lease = store.grant(0, 60).await.id;
    store.put_with_lease("a", lease).await;
    let attached =
        Compare::new(KeyRange::key("a"), CompareTarget::Lease(lease), CompareResult::Equal);
    let check = TxnRequest::default().when([attached]);
    assert!(store.txn(check.clone()).await.succeeded);
    store.revoke(lease).await;
    assert!(!store.txn(check).await.succeeded);
    assert!(store.txn(TxnRequest::default().when([absent("a")])).await.succeeded);
    let before = RangeRequest::new(KeyRange::all()).with_revision(rev(2));
    assert_eq!(store.range(before).await.kvs[0].lease, lease);
}

/// Keys stay attached over a compaction.
///
/// Rules: C2, L2.
pub async fn lease_survives_a_compaction(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    let lease = store.grant(0, 60).await.id;
    store.put_with_lease("a", lease).await;
    store.put("b", "").await;
    store.compact(3).await;
    assert_eq!(store.keys_of(lease).await, ["a"]);
    store.revoke(lease).await;
    assert_eq!(keys(&store.all().await.kvs), ["b"]);
}

/// Keys alone show version and revisions; the lease is shown by etcd up to 3.6 and is 0 from 3.7
/// on, unless the pairs are sorted by value.
///
/// Rules: G7.
pub async fn lease_of_keys_only_is_shown_or_none(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    let lease = store.grant(0, 60).await.id;
    store.put_with_lease("a", lease).await;
    let request = RangeRequest::new(KeyRange::all()).with_keys_only();
    let kv = &store.range(request).await.kvs[0];
    assert!(kv.lease == lease || kv.lease == LeaseId::NONE, "{kv:?}");
    assert_eq!((kv.value.len(), kv.version, kv.mod_revision), (0, 1, rev(2)));
}
