//! Status, alarms and the quota.

use tailetc_core::LeaseId;
use tailetc_core::backend::{
    BackendErrorKind, DeleteRequest, KeyRange, KvBackend, PutRequest, TxnRequest,
};
use tailetc_memkv::{EtcdVersion, MemKv};

use crate::support::{
    assert_refused, assert_txn_refused, current, delete, erase, get, imitating, lease, put, rev,
    write,
};

const NO_SPACE: &str = "etcdserver: mvcc: database space exceeded";

/// A store over its quota, not yet alarmed.
fn full(version: &str) -> MemKv {
    let store = MemKv::builder()
        .with_imitate(version.parse().unwrap())
        .with_member_id(12)
        .with_quota_backend_bytes(100_000)
        .build();
    // The last one fits by what it costs, and fills another page.
    for (key, len) in [("a", 70_000), ("b", 9_000), ("c", 1_200), ("d", 1_200), ("e", 1_200)] {
        store.plain_put(&PutRequest::new(key, vec![0; len])).unwrap();
    }
    store
}

fn alarmed(store: &MemKv) -> bool {
    !store.full_status().errors.is_empty()
}

/// How many entries of the raft log a request adds.
async fn entries<T>(store: &MemKv, request: impl AsyncFnOnce() -> T) -> u64 {
    let before = store.full_status().raft_index;
    request().await;
    let after = store.full_status();
    assert_eq!(after.raft_index, after.raft_applied_index);
    after.raft_index - before
}

// X-S
#[tokio::test]
async fn requests_that_may_write_use_up_an_index_even_if_refused_by_the_state() {
    let store = MemKv::new();
    assert_eq!(store.full_status().raft_index, 4);
    let bad_lease = PutRequest::new("a", "").with_lease(lease(404));
    assert_eq!(entries(&store, async || store.plain_put(&bad_lease)).await, 1);
    let txn = async |request: TxnRequest| store.txn(request).await;
    assert_eq!(entries(&store, async || write(&store, "a", "").await).await, 1);
    assert_eq!(entries(&store, async || txn(TxnRequest::new([bad_lease.into()])).await).await, 1);
    assert_eq!(entries(&store, async || erase(&store, "absent").await).await, 1);
    assert_eq!(entries(&store, async || store.compact(rev(99)).await).await, 1);
    assert_eq!(entries(&store, async || store.lease_grant(lease(7), 60).await).await, 1);
    assert_eq!(entries(&store, async || store.lease_grant(lease(7), 60).await).await, 1);
    assert_eq!(entries(&store, async || store.lease_revoke(lease(404)).await).await, 1);
    let nested = || TxnRequest::new([TxnRequest::default().into()]);
    assert_eq!(entries(&store, async || txn(nested()).await).await, 1);
    assert_eq!(entries(&store, async || store.alarms()).await, 1);
    assert_eq!(current(&store).await, 2);
}

// X-S
#[tokio::test]
async fn requests_that_only_read_or_are_malformed_use_up_no_index() {
    let store = MemKv::new();
    write(&store, "a", "").await;
    store.lease_grant(lease(7), 60).await.unwrap();
    let txn = async |request: TxnRequest| store.txn(request).await;
    assert_eq!(entries(&store, async || txn(TxnRequest::new([get("a")])).await).await, 0);
    assert_eq!(entries(&store, async || txn(TxnRequest::default()).await).await, 0);
    let twice = || TxnRequest::new([put("a", ""), put("a", "")]);
    assert_eq!(entries(&store, async || txn(twice()).await).await, 0);
    let empty = PutRequest::new("", "");
    assert_eq!(entries(&store, async || store.plain_put(&empty)).await, 0);
    let large = PutRequest::new("a", vec![0; 2_000_000]);
    assert_eq!(entries(&store, async || store.plain_put(&large)).await, 0);
    let nowhere = DeleteRequest::new(KeyRange::from_wire("", "z"));
    assert_eq!(entries(&store, async || store.plain_delete(&nowhere)).await, 0);
    assert_eq!(entries(&store, async || store.lease_keep_alive(lease(7)).await).await, 0);
    assert_eq!(entries(&store, async || store.lease_ids()).await, 0);
    assert_eq!(entries(&store, async || store.hash_kv(rev(0))).await, 0);
}

// X-R
#[tokio::test]
async fn status_names_its_member_as_the_leader() {
    let store = MemKv::builder().with_member_id(12).with_raft_term(3).build();
    let status = store.full_status();
    assert_eq!((status.leader, status.raft_term, status.header.member_id), (12, 3, 12));
    assert_eq!(status.version, EtcdVersion::NEWEST);
    assert_eq!(store.status().await.unwrap().version, EtcdVersion::NEWEST.to_string());
}

// X-R
#[tokio::test]
async fn size_grows_with_writes_and_shrinks_by_compaction_and_defragmentation() {
    let store = MemKv::new();
    let empty = store.full_status();
    store.plain_put(&PutRequest::new("a", vec![0; 100_000])).unwrap();
    let full = store.full_status();
    assert!(full.db_size >= empty.db_size + 80_000);
    assert!(full.db_size_in_use >= empty.db_size_in_use + 100_000);
    erase(&store, "a").await;
    let revision = write(&store, "b", "").await;
    store.compact(rev(revision)).await.unwrap();
    let compacted = store.full_status();
    assert_eq!(compacted.db_size, full.db_size);
    assert!(compacted.db_size_in_use < empty.db_size_in_use + 10_000);
    store.defragment();
    assert_eq!(store.full_status().db_size, compacted.db_size_in_use);
}

// T17, X-A
#[tokio::test]
async fn full_store_refuses_puts_and_leases_before_anything_else_and_raises_the_alarm() {
    for version in ["3.4.23", "3.5.1", "3.5.30", "3.6", "3.7"] {
        let store = full(version);
        let malformed = PutRequest::new("", "");
        assert_refused(store.plain_put(&malformed), BackendErrorKind::NoSpace, NO_SPACE);
        assert!(alarmed(&store));
        let twice = TxnRequest::new([put("a", ""), put("a", "")]);
        assert_txn_refused(&store, twice, BackendErrorKind::NoSpace).await;
        let not_chosen = TxnRequest::new([get("a")]).otherwise([put("a", "")]);
        assert_txn_refused(&store, not_chosen, BackendErrorKind::NoSpace).await;
        let granted = store.lease_grant(LeaseId::NONE, i64::MAX).await;
        assert_refused(granted, BackendErrorKind::NoSpace, NO_SPACE);
        assert_eq!(entries(&store, async || store.plain_put(&malformed)).await, 1);
    }
}

// T17
#[tokio::test]
async fn full_store_lets_pass_what_makes_room() {
    let store = full("3.6");
    assert!(store.txn(TxnRequest::new([get("a")])).await.is_ok());
    assert!(store.txn(TxnRequest::new([delete(KeyRange::key("absent"))])).await.is_ok());
    assert!(!alarmed(&store));
    let cleared = store.plain_delete(&DeleteRequest::new(KeyRange::all())).unwrap().0.revision;
    store.compact(cleared).await.unwrap();
    let refused = store.plain_put(&PutRequest::new("a", ""));
    assert_refused(refused, BackendErrorKind::NoSpace, NO_SPACE);
    store.defragment();
    // There is room now, but the alarm stays.
    let refused = store.plain_put(&PutRequest::new("a", ""));
    assert_refused(refused, BackendErrorKind::NoSpace, NO_SPACE);
    assert!(store.disarm(12).1);
    assert!(store.plain_put(&PutRequest::new("a", "")).is_ok());
}

// T17
/// 3.5.1's oddity, and that of nested puts.
#[tokio::test]
async fn full_store_refuses_transactions_without_puts_and_nested_puts_by_version() {
    let nested = || TxnRequest::new([TxnRequest::new([put("a", "")]).into()]);
    for (version, without_puts_passes, nested_passes) in [
        ("3.4.19", false, false),
        ("3.4.23", true, true),
        ("3.5.1", false, false),
        ("3.5.30", true, true),
        ("3.5.33", true, false),
        ("3.6.13", true, true),
        ("3.6.14", true, false),
        ("3.7.0", true, true),
        ("3.7.1", true, false),
    ] {
        for without_puts in [get("a"), delete(KeyRange::key("a"))] {
            let store = full(version);
            let txn = store.txn(TxnRequest::new([without_puts])).await;
            assert_eq!(txn.is_ok(), without_puts_passes, "{version}");
        }
        let store = full(version);
        assert_eq!(store.txn(nested()).await.is_ok(), nested_passes, "{version}");
    }
}

// T17, X-A
/// An alarm without a full store is looked at behind the log, after validation.
#[tokio::test]
async fn alarm_alone_refuses_what_costs_space_after_validation() {
    let store = MemKv::builder().with_member_id(12).build();
    store.raise_alarm(12);
    store.raise_alarm(12);
    assert_eq!(store.alarms().1, [12]);
    let refused = store.plain_put(&PutRequest::new("", ""));
    assert_refused(refused, BackendErrorKind::InvalidRequest, "etcdserver: key is not provided");
    let put_a = PutRequest::new("a", "").with_lease(lease(404));
    assert_refused(store.plain_put(&put_a), BackendErrorKind::NoSpace, NO_SPACE);
    assert_txn_refused(&store, TxnRequest::new([put_a.into()]), BackendErrorKind::NoSpace).await;
    let granted = store.lease_grant(lease(7), 60).await;
    assert_refused(granted, BackendErrorKind::NoSpace, NO_SPACE);
    assert!(store.txn(TxnRequest::new([get("a"), delete(KeyRange::all())])).await.is_ok());
    assert!(!store.disarm(13).1);
    assert!(alarmed(&store));
    assert!(store.disarm(12).1 && !store.disarm(12).1);
    assert!(store.lease_grant(lease(7), 60).await.is_ok());
}

// R9
#[tokio::test]
async fn answers_about_alarms_have_a_header_since_3_5() {
    for (version, has) in [("3.4", false), ("3.5.1", true), ("3.6", true)] {
        let store = imitating(version);
        let headers = [store.alarms().0, store.raise_alarm(1), store.disarm(1).0];
        assert!(headers.iter().all(|header| header.is_some() == has), "{version}");
    }
}

// X-R
#[tokio::test]
async fn alarm_in_the_status_ends_in_a_space_before_3_7() {
    for (version, end) in [("3.4.23", " "), ("3.5.1", " "), ("3.6.16", " "), ("3.7.0", "")] {
        let store = full(version);
        store.plain_put(&PutRequest::new("k", "v")).unwrap_err();
        let status = store.full_status();
        let text = format!("memberID:{} alarm:NOSPACE{end}", status.header.member_id);
        assert_eq!(status.errors, [text], "{version}");
    }
}

// X-T
#[tokio::test]
async fn leases_are_listed_by_the_time_left() {
    let store = MemKv::new();
    for (id, ttl) in [(7, 60), (-3, 60), (5, 90), (9, 30)] {
        store.lease_grant(lease(id), ttl).await.unwrap();
    }
    let listed = |ids: [i64; 4]| (rev(1), ids.map(lease).to_vec());
    let ids = || {
        let (header, ids) = store.lease_ids();
        (header.revision, ids)
    };
    assert_eq!(ids(), listed([9, 7, -3, 5]));
    store.lease_keep_alive(lease(7)).await.unwrap();
    assert_eq!(ids(), listed([9, -3, 7, 5]));
}
