//! Leases, and the keys that live by them.

use std::sync::Arc;
use std::time::Duration;

use tailetc_core::LeaseId;
use tailetc_core::backend::{
    BackendErrorKind, Event, EventKind, KeyRange, KvBackend, PutRequest, RangeRequest, TxnRequest,
};
use tokio::time::Instant;

use super::follow::Follow;
use super::support::{
    Store, delete_event, delete_key, keys, pair, put, refused, rev, text, with_prev,
};

/// The largest time that etcd grants, in seconds (`server/lease/lessor.go`, `MaxLeaseTTL`).
const MAX_TTL: i64 = 9_000_000_000;

/// Without a chosen identifier the store picks one, positive and new each time.
///
/// Rules: L1.
pub async fn lease_without_identifier_gets_a_positive_one(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    let first = store.grant(0, 60).await;
    let second = store.grant(0, 60).await;
    assert!(first.id.get() > 0 && second.id.get() > 0);
    assert_ne!(first.id, second.id);
    assert_eq!(first.ttl_seconds, 60);
}

/// A chosen identifier is kept, a negative one too.
///
/// Rules: L1.
pub async fn lease_with_identifier_keeps_it(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    for id in [1, 77, i64::MAX, -5] {
        let lease = store.grant(id, 60).await;
        assert_eq!((lease.id, lease.ttl_seconds), (LeaseId::new(id), 60));
        assert!(store.time_to_live(lease.id).await.is_some());
    }
}

/// An identifier in use is refused, and the first lease is left alone; after its end it is free.
///
/// Rules: L1, L2, X-B.
pub async fn lease_with_a_taken_identifier_is_refused(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    let lease = store.grant(7, 60).await.id;
    store.put_with_lease("a", lease).await;
    refused(store.try_grant(7, 90).await, BackendErrorKind::LeaseExists, text::LEASE_EXISTS);
    let left = store.time_to_live(lease).await;
    assert_eq!(left.map(|left| left.granted_ttl_seconds), Some(60));
    store.revoke(lease).await;
    assert_eq!(store.grant(7, 90).await.ttl_seconds, 90);
    assert_eq!(store.keys_of(lease).await.len(), 0, "a new lease");
}

/// The longest time is granted; a longer one is refused, before the identifier is looked at.
///
/// Rules: L1, X-B.
pub async fn lease_with_too_long_a_time_is_refused(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    assert_eq!(store.grant(7, MAX_TTL).await.ttl_seconds, MAX_TTL);
    for id in [0, 7, 8] {
        refused(
            store.try_grant(id, MAX_TTL + 1).await,
            BackendErrorKind::LeaseTtlTooLarge,
            text::LEASE_TTL,
        );
    }
    assert_eq!(store.time_to_live(LeaseId::new(8)).await, None);
}

/// Too short a time, none at all, or a negative one is raised to the store's least.
///
/// Rules: L1.
pub async fn lease_with_too_short_a_time_is_raised(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    let least = store.grant(0, 1).await.ttl_seconds;
    assert!(least >= 1);
    for ttl in [0, -1, -60] {
        assert_eq!(store.grant(0, ttl).await.ttl_seconds, least, "{ttl} s");
    }
}

/// A put attaches its key, which shows the lease and is listed by it.
///
/// Rules: R7, L5.
pub async fn lease_of_a_put_shows_on_key_and_lease(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    let lease = store.grant(0, 60).await.id;
    for key in ["b", "a"] {
        store.put_with_lease(key, lease).await;
    }
    assert_eq!(store.existing("a").await.lease, lease);
    assert_eq!(store.keys_of(lease).await, ["a", "b"]);
    let Ok(Some(left)) = store.backend().lease_time_to_live(lease, false).await else {
        panic!("the lease must exist");
    };
    assert_eq!(left.id, lease);
    assert_eq!(left.keys.len(), 0, "keys were not asked for");
    assert_eq!(left.granted_ttl_seconds, 60);
    assert!((50..=60).contains(&left.ttl_seconds), "{left:?}");
}

/// A put replaces the lease: by another, by the same, by none. A deletion detaches.
///
/// Rules: R7.
pub async fn lease_of_a_key_is_replaced_by_each_write(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    let first = store.grant(0, 60).await.id;
    let second = store.grant(0, 60).await.id;
    store.put_with_lease("a", first).await;
    store.put_with_lease("a", first).await;
    assert_eq!(store.keys_of(first).await, ["a"]);
    store.put_with_lease("a", second).await;
    assert_eq!(store.keys_of(first).await.len(), 0);
    assert_eq!(store.keys_of(second).await, ["a"]);
    store.put("a", "bare").await;
    assert_eq!(store.keys_of(second).await.len(), 0);
    assert_eq!(store.existing("a").await.lease, LeaseId::NONE);
    store.put_with_lease("a", second).await;
    store.delete(KeyRange::key("a")).await;
    assert_eq!(store.keys_of(second).await.len(), 0);
    store.put("a", "again").await;
    store.revoke(second).await;
    assert!(store.get("a").await.is_some(), "not attached any more");
}

/// A put with an unknown lease is refused and changes nothing.
///
/// Rules: P3, X-B.
pub async fn lease_unknown_to_the_store_is_refused_in_a_put(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    store.put("a", "1").await;
    let ended = store.grant(9, 60).await.id;
    store.revoke(ended).await;
    for id in [LeaseId::new(404), LeaseId::new(-1), ended] {
        let txn = TxnRequest::new([PutRequest::new("a", "2").with_lease(id).into()]);
        store.refuses(txn, BackendErrorKind::LeaseNotFound, text::LEASE_NOT_FOUND).await;
    }
}

/// A revocation deletes the keys in one revision and in key order, by ordinary deletions.
///
/// Rules: L2, L7.
pub async fn lease_revoked_deletes_its_keys_in_one_revision(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    let lease = store.grant(0, 60).await.id;
    for key in ["c", "a", "b"] {
        store.put_with_lease(key, lease).await;
    }
    store.put("stays", "").await;
    let mut follow = store.follow(KeyRange::all(), 6).await;
    assert_eq!(store.revoke(lease).await.revision, rev(6));
    let expected = ["a", "b", "c"].map(|key| delete_event(key, 6));
    assert_eq!(follow.until(rev(6)).await, expected);
    assert_eq!(keys(&store.all().await.kvs), ["stays"]);
    let before = RangeRequest::new(KeyRange::all()).with_revision(rev(5));
    assert_eq!(store.range(before).await.count, 4, "history stays readable");
}

/// The deletions of a revocation carry the pairs before if asked for.
///
/// Rules: L2, W12.
pub async fn lease_revoked_shows_the_pairs_before_its_deletions(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    let lease = store.grant(0, 60).await.id;
    store.put_with_lease("a", lease).await;
    let request = tailetc_core::backend::WatchRequest::new(KeyRange::all(), rev(3)).with_prev_kv();
    let mut follow = store.follow_request(request).await;
    store.revoke(lease).await;
    let mut before = pair("a", "leased", 2, 2, 1);
    before.lease = lease;
    let expected = [with_prev(delete_event("a", 3), before)];
    assert_eq!(follow.until(rev(3)).await, expected);
}

/// A lease that is not there cannot be revoked, nor revoked twice.
///
/// Rules: L2, X-B.
pub async fn lease_unknown_to_the_store_is_refused_in_a_revocation(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    let ended = store.grant(0, 60).await.id;
    store.revoke(ended).await;
    for id in [LeaseId::new(404), LeaseId::NONE, ended] {
        refused(store.try_revoke(id).await, BackendErrorKind::LeaseNotFound, text::LEASE_NOT_FOUND);
    }
}

/// A renewal gives the full time again; of an unknown lease there is none, without an error.
///
/// Rules: L4.
pub async fn lease_renewed_has_its_full_time(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    let lease = store.grant(0, 60).await.id;
    let renewed = store.keep_alive(lease).await;
    assert_eq!(renewed.map(|l| (l.id, l.ttl_seconds)), Some((lease, 60)));
    assert_eq!(store.keep_alive(LeaseId::new(404)).await, None);
    store.revoke(lease).await;
    assert_eq!(store.keep_alive(lease).await, None);
}

/// An unknown lease has no time left, without an error.
///
/// Rules: L5.
pub async fn lease_unknown_to_the_store_has_no_time_to_live(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    assert_eq!(store.time_to_live(LeaseId::new(404)).await, None);
    let ended = store.grant(0, 60).await.id;
    store.revoke(ended).await;
    assert_eq!(store.time_to_live(ended).await, None);
}

/// Keys are attached and detached by a transaction as a whole.
///
/// Rules: R7, L2.
pub async fn lease_in_a_txn_follows_its_operations(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    let lease = store.grant(0, 60).await.id;
    store.put_with_lease("gone", lease).await;
    let leased = |key: &'static str| PutRequest::new(key, "").with_lease(lease).into();
    store.run([leased("a"), delete_key("gone"), leased("b"), put("c", "")]).await;
    assert_eq!(store.keys_of(lease).await, ["a", "b"]);
    assert_eq!(store.revoke(lease).await.revision, rev(4));
    assert_eq!(keys(&store.all().await.kvs), ["c"]);
}

async fn next_deletion(follow: &mut Follow) -> Vec<Event> {
    let events = follow.events(1).await;
    assert_eq!(events[0].kind, EventKind::Delete, "{events:?}");
    events
}

/// A lease of 2 s ends by itself, not before its time: its keys are deleted in a revision of their
/// own, and it is unknown from then on. (etcd notices within half a second.)
///
/// Rules: L3, L4, L5.
pub async fn lease_expired_deletes_its_keys(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    let granted = Instant::now();
    let lease = store.grant(0, 2).await;
    let least = Duration::from_secs(lease.ttl_seconds.unsigned_abs());
    for key in ["b", "a"] {
        store.put_with_lease(key, lease.id).await;
    }
    let mut follow = store.follow(KeyRange::all(), 4).await;
    let events = follow.until(rev(4)).await;
    assert!(granted.elapsed() >= least, "{:?}", granted.elapsed());
    assert_eq!(events, [delete_event("a", 4), delete_event("b", 4)]);
    assert_eq!(store.all().await.count, 0);
    assert_eq!(store.time_to_live(lease.id).await, None);
    assert_eq!(store.keep_alive(lease.id).await, None);
    refused(
        store.try_revoke(lease.id).await,
        BackendErrorKind::LeaseNotFound,
        text::LEASE_NOT_FOUND,
    );
}

/// Leases that expire together take a revision each, in no order.
///
/// Rules: L3.
pub async fn leases_expired_together_take_a_revision_each(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    for key in ["a", "b", "c"] {
        let lease = store.grant(0, 2).await.id;
        store.put_with_lease(key, lease).await;
    }
    let mut follow = store.follow(KeyRange::all(), 5).await;
    let mut events = follow.until(rev(7)).await;
    let revisions: Vec<_> = events.iter().map(|event| event.revision().get()).collect();
    assert_eq!(revisions, [5, 6, 7]);
    events.sort_by(|left, right| left.kv.key.cmp(&right.kv.key));
    assert!(events.iter().map(|event| &event.kv.key).eq(["a", "b", "c"]));
    assert!(events.iter().all(|event| event.kind == EventKind::Delete));
}

/// A lease renewed in time outlives its time; one granted at the same moment and not renewed does
/// not.
///
/// Rules: L3, L4.
pub async fn lease_renewed_in_time_outlives_one_that_is_not(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    let kept = store.grant(0, 2).await.id;
    let left = store.grant(0, 2).await.id;
    store.put_with_lease("kept", kept).await;
    store.put_with_lease("left", left).await;
    let mut follow = store.follow(KeyRange::all(), 4).await;
    let renewals = async {
        let mut every = tokio::time::interval(Duration::from_millis(400));
        loop {
            every.tick().await;
            assert!(store.keep_alive(kept).await.is_some(), "it is renewed");
        }
    };
    tokio::select! {
        events = next_deletion(&mut follow) => assert_eq!(events, [delete_event("left", 4)]),
        () = renewals => {}
    }
    assert_eq!(store.time_to_live(left).await, None);
    assert_eq!(store.keys_of(kept).await, ["kept"]);
    assert_eq!(next_deletion(&mut follow).await, [delete_event("kept", 5)]);
}

/// A key detached from its lease survives the lease's expiry, which then takes no revision.
///
/// Rules: R7, L3.
pub async fn lease_expired_leaves_detached_keys_alone(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    let empty = store.grant(0, 2).await.id;
    store.put_with_lease("a", empty).await;
    store.put("a", "bare").await;
    let marker = store.grant(0, 3).await.id;
    store.put_with_lease("marker", marker).await;
    let mut follow = store.follow(KeyRange::all(), 5).await;
    assert_eq!(next_deletion(&mut follow).await, [delete_event("marker", 5)]);
    assert_eq!(store.time_to_live(empty).await, None);
    assert_eq!(keys(&store.all().await.kvs), ["a"]);
}
