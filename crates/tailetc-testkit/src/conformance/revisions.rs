//! The store's counter, and what it leaves on keys.

use std::sync::Arc;

use tailetc_core::Revision;
use tailetc_core::backend::{
    BackendErrorKind, KeyRange, KvBackend, PutRequest, TxnRequest, WatchResponse,
};

use super::support::{
    Store, delete, delete_key, keys, pair, put, read, refused, rev, text, within,
};

/// A fresh store is at revision 1, holds no key, and says so in every answer.
///
/// Rules: R1.
pub async fn fresh_store_is_at_revision_one(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    let all = store.all().await;
    assert_eq!((all.header.revision, all.count, all.kvs), (rev(1), 0, vec![]));
    assert_eq!(store.run([]).await.header.revision, rev(1));
    let status = within("a status", store.backend().status()).await;
    assert_eq!(status.map(|s| s.header.revision).ok(), Some(rev(1)));
}

/// The limits that the store states are limits.
///
/// Rules: B1.
pub async fn capabilities_state_limits_that_admit_a_write(backend: Arc<dyn KvBackend>) {
    let capabilities = backend.capabilities();
    assert!(capabilities.max_txn_ops >= 1, "{capabilities:?}");
    assert!(capabilities.max_request_bytes >= 1024, "{capabilities:?}");
}

/// Every answer comes from the same cluster, whose identifier is not zero.
///
/// Rules: R9.
pub async fn header_of_every_answer_names_the_same_cluster(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    let cluster = store.all().await.header.cluster_id;
    assert_ne!(cluster, 0);
    let written = store.run([put("a", "1")]).await.header;
    let granted = store.grant(7, 60).await;
    let revoked = store.revoke(granted.id).await;
    let compacted = store.compact(2).await;
    let status = within("a status", store.backend().status()).await;
    let status = status.map(|s| s.header.cluster_id).ok();
    for header in [written, granted.header, revoked, compacted] {
        assert_eq!(header.cluster_id, cluster);
    }
    assert_eq!(status, Some(cluster));
}

/// The status names a version and the revision of the last write.
///
/// Rules: R9, X-R.
pub async fn status_names_version_and_revision(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    store.put("a", "1").await;
    match within("a status", store.backend().status()).await {
        Ok(status) => {
            assert_eq!(status.header.revision, rev(2));
            assert!(!status.version.is_empty());
        }
        Err(error) => panic!("status failed: {error}"),
    }
}

/// Each writing request takes the next revision and names it in its header.
///
/// Rules: R2.
pub async fn write_takes_the_next_revision(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    for expected in 2..6 {
        assert_eq!(store.put("a", "1").await, rev(expected));
        assert_eq!(store.revision().await, rev(expected));
    }
    assert_eq!(store.delete(KeyRange::key("a")).await, (1, rev(6)));
}

/// A transaction of many writes takes one revision, which all its keys show.
///
/// Rules: R2, R5.
pub async fn txn_of_many_writes_takes_one_revision(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    store.put("old", "").await;
    let ops = [put("a", "1"), put("b", "2"), delete_key("old"), put("c", "3")];
    assert_eq!(store.run(ops).await.header.revision, rev(3));
    let all = store.all().await;
    assert_eq!(all.header.revision, rev(3));
    assert_eq!(
        all.kvs,
        [pair("a", "1", 3, 3, 1), pair("b", "2", 3, 3, 1), pair("c", "3", 3, 3, 1)]
    );
}

/// A deletion of many keys takes one revision.
///
/// Rules: R2.
pub async fn deletion_of_many_keys_takes_one_revision(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    store.run([put("a", ""), put("b", ""), put("c", "")]).await;
    assert_eq!(store.delete(KeyRange::all()).await, (3, rev(3)));
    assert_eq!(store.revision().await, rev(3));
}

/// A deletion that meets no key takes no revision.
///
/// Rules: R3.
pub async fn deletion_of_nothing_takes_no_revision(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    store.put("a", "1").await;
    assert_eq!(store.delete(KeyRange::key("b")).await, (0, rev(2)));
    assert_eq!(store.delete(KeyRange::prefix("x/")).await, (0, rev(2)));
    assert_eq!(store.revision().await, rev(2));
}

/// A transaction that only reads, or does nothing, or deletes nothing, takes no revision.
///
/// Rules: R3, T13.
pub async fn txn_without_change_takes_no_revision(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    store.put("a", "1").await;
    for ops in [vec![], vec![read("a")], vec![delete_key("b")], vec![read("a"), delete_key("b")]] {
        assert_eq!(store.run(ops).await.header.revision, rev(2));
    }
    assert_eq!(store.revision().await, rev(2));
}

/// Leases without keys, renewals and compactions take no revision.
///
/// Rules: R3, C4, L1, L4.
pub async fn lease_and_compaction_take_no_revision(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    store.put("a", "1").await;
    let lease = store.grant(0, 60).await;
    assert_eq!(lease.header.revision, rev(2));
    let renewed = store.keep_alive(lease.id).await;
    assert_eq!(renewed.map(|lease| lease.header.revision), Some(rev(2)));
    assert_eq!(store.revoke(lease.id).await.revision, rev(2));
    assert_eq!(store.compact(2).await.revision, rev(2));
    assert_eq!(store.put("a", "2").await, rev(3));
}

/// A refused request takes no revision.
///
/// Rules: R3.
pub async fn refused_request_takes_no_revision(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    let unknown = PutRequest::new("a", "").with_ignore_value();
    let refusal = store.try_run([put("b", "1"), unknown.into()]).await;
    refused(refusal, BackendErrorKind::KeyNotFound, text::KEY_NOT_FOUND);
    assert_eq!(store.revision().await, rev(1));
    assert_eq!(store.put("a", "1").await, rev(2));
}

/// Writing the value that a key already has is a change like any other.
///
/// Rules: R4.
pub async fn put_of_the_same_value_takes_a_revision(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    store.put("a", "1").await;
    assert_eq!(store.put("a", "1").await, rev(3));
    assert_eq!(store.get("a").await, Some(pair("a", "1", 2, 3, 2)));
}

/// A new key has its revision as create and mod revision and is at version 1; each update raises
/// mod revision and version only.
///
/// Rules: R5.
pub async fn metadata_counts_the_writes_of_a_key(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    store.put("a", "1").await;
    store.put("b", "1").await;
    assert_eq!(store.get("a").await, Some(pair("a", "1", 2, 2, 1)));
    store.put("a", "2").await;
    store.put("a", "3").await;
    assert_eq!(store.get("a").await, Some(pair("a", "3", 2, 5, 3)));
    assert_eq!(store.get("b").await, Some(pair("b", "1", 3, 3, 1)));
}

/// A key that is created again after its deletion begins anew.
///
/// Rules: R6.
pub async fn metadata_of_a_key_created_again_begins_anew(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    store.put("a", "1").await;
    store.put("a", "2").await;
    store.delete(KeyRange::key("a")).await;
    assert_eq!(store.get("a").await, None);
    store.put("a", "3").await;
    assert_eq!(store.get("a").await, Some(pair("a", "3", 5, 5, 1)));
}

/// A key deleted and created again within one transaction begins anew. (etcd's check for
/// duplicate keys does not see a deletion of everything from a key on.)
///
/// Rules: R6, T11.
pub async fn metadata_of_a_key_replaced_in_one_txn_begins_anew(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    store.put("a", "1").await;
    store.put("a", "2").await;
    let replaced = store.run([delete(KeyRange::from_key("a")), put("a", "3")]).await;
    assert_eq!(replaced.header.revision, rev(4));
    assert_eq!(store.get("a").await, Some(pair("a", "3", 4, 4, 1)));
}

/// A key created and deleted within one transaction is absent, and the revision is taken.
///
/// Rules: R2, T11.
pub async fn key_created_and_deleted_in_one_txn_is_absent(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    let ops = [put("a", "1"), delete(KeyRange::from_key("a"))];
    assert_eq!(store.run(ops).await.header.revision, rev(2));
    assert_eq!(store.all().await.count, 0);
    store.put("a", "2").await;
    assert_eq!(store.get("a").await, Some(pair("a", "2", 3, 3, 1)));
}

/// A transaction whose condition does not hold and which then does nothing takes no revision.
///
/// Rules: R3, T15.
pub async fn txn_with_failed_condition_takes_no_revision(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    store.put("a", "1").await;
    let guarded = TxnRequest::new([put("a", "2")]).when([super::support::absent("a")]);
    let response = store.txn(guarded).await;
    assert!(!response.succeeded);
    assert_eq!(response.header.revision, rev(2));
    assert_eq!(keys(&store.all().await.kvs), ["a"]);
    assert_eq!(store.revision().await, rev(2));
}

/// Revisions of answers to one caller never go back.
///
/// Rules: R9, B5.
pub async fn revision_of_later_answers_never_goes_back(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    let mut last = Revision::ZERO;
    for round in 0..30 {
        let answer = match round % 3 {
            0 => store.put("a", "1").await,
            1 => store.revision().await,
            _ => store.delete(KeyRange::key("b")).await.1,
        };
        assert!(answer >= last, "{answer} after {last}");
        last = answer;
    }
    assert_eq!(last, rev(11));
}

/// Every answer names a member and a raft term, neither of which is zero, and the same cluster.
///
/// Rules: R9.
pub async fn header_of_every_answer_names_member_and_term(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    let mut follow = store.follow(KeyRange::all(), 2).await;
    let cluster = store.all().await.header.cluster_id;
    let mut headers = vec![
        store.all().await.header,
        store.run([put("a", "1")]).await.header,
        store.run([read("a")]).await.header,
        store.run([delete_key("b")]).await.header,
        store.run([]).await.header,
        store.compact(2).await,
    ];
    match follow.next().await {
        Ok(WatchResponse::Events { header, .. }) => headers.push(header),
        other => panic!("events: {other:?}"),
    }
    for header in headers {
        assert_ne!(header.member_id, 0, "{header:?}");
        assert_ne!(header.raft_term, 0, "{header:?}");
        assert_eq!(header.cluster_id, cluster, "{header:?}");
    }
}
