//! Which refusal comes first, of those that need the store's state
//! (etcd: `server/etcdserver/txn/txn.go`, `checkTxnReqs...`).

use std::sync::Arc;

use tailetc_core::LeaseId;
use tailetc_core::backend::{
    BackendErrorKind, KeyRange, KvBackend, PutRequest, RangeRequest, TxnOp, TxnRequest,
    WatchRequest,
};

use super::support::{Store, exists, nested, put, ranged, read, refused, rev, text};

use BackendErrorKind::{FutureRevision, InvalidRequest, KeyNotFound, LeaseNotFound};

/// A put of `key` with a lease that does not exist.
fn unknown_lease(key: &'static str) -> TxnOp {
    PutRequest::new(key, "1").with_lease(LeaseId::new(404)).into()
}

/// A put that keeps the value of a key that does not exist.
fn absent_key(key: &'static str) -> TxnOp {
    PutRequest::new(key, "").with_ignore_value().into()
}

fn read_at(revision: i64) -> TxnOp {
    RangeRequest::new(KeyRange::key("a")).with_revision(rev(revision)).into()
}

/// `a` written at 2 to 4 and compacted at 3.
async fn compacted_store(backend: Arc<dyn KvBackend>) -> Store {
    let store = Store::new(backend);
    for value in ["1", "2", "3"] {
        store.put("a", value).await;
    }
    store.compact(3).await;
    store
}

/// Fails the case unless the transaction is refused as compacted and leaves no trace.
async fn refuses_as_compacted(store: &Store, ops: Vec<TxnOp>) {
    let before = store.all().await;
    super::support::refused_as_compacted(store.try_run(ops).await, 3);
    assert_eq!(store.all().await, before, "a refused transaction changes nothing");
}

/// Of several puts that cannot be made, the first is complained of.
///
/// Rules: P2, P3, T8.
pub async fn refusal_of_puts_names_the_first(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    for (ops, kind, text) in [
        ([absent_key("x"), unknown_lease("y")], KeyNotFound, text::KEY_NOT_FOUND),
        ([unknown_lease("y"), absent_key("x")], LeaseNotFound, text::LEASE_NOT_FOUND),
    ] {
        store.refuses(TxnRequest::new(ops.clone()), kind, text).await;
        let otherwise = TxnRequest::default().when([exists("x")]).otherwise(ops);
        store.refuses(otherwise, kind, text).await;
    }
}

/// Puts of nested transactions are looked at in their place.
///
/// Rules: P2, P3, T8.
pub async fn refusal_of_nested_puts_names_the_first(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    for ops in [
        vec![nested([unknown_lease("y")]), absent_key("x")],
        vec![nested([put("a", ""), nested([unknown_lease("y")])]), nested([absent_key("x")])],
        vec![unknown_lease("y"), nested([absent_key("x")])],
    ] {
        store.refuses(TxnRequest::new(ops), LeaseNotFound, text::LEASE_NOT_FOUND).await;
    }
    for ops in [
        vec![nested([absent_key("x")]), unknown_lease("y")],
        vec![nested([nested([absent_key("x")])]), nested([unknown_lease("y")])],
    ] {
        store.refuses(TxnRequest::new(ops), KeyNotFound, text::KEY_NOT_FOUND).await;
    }
}

/// Of several ranges at revisions that cannot be read, the first is complained of.
///
/// Rules: G2, T8.
pub async fn refusal_of_ranges_names_the_first(backend: Arc<dyn KvBackend>) {
    let store = compacted_store(backend).await;
    let future_first = TxnRequest::new([put("b", ""), read_at(9), read_at(2)]);
    store.refuses(future_first, FutureRevision, text::FUTURE).await;
    refuses_as_compacted(&store, vec![put("b", ""), read_at(2), read_at(9)]).await;
}

/// Ranges of nested transactions are looked at in their place.
///
/// Rules: G2, T8.
pub async fn refusal_of_nested_ranges_names_the_first(backend: Arc<dyn KvBackend>) {
    let store = compacted_store(backend).await;
    let future_first = TxnRequest::new([put("b", ""), nested([read_at(9)]), read_at(2)]);
    store.refuses(future_first, FutureRevision, text::FUTURE).await;
    refuses_as_compacted(&store, vec![put("b", ""), nested([nested([read_at(2)])]), read_at(9)])
        .await;
}

/// A put that cannot be made comes before a later range that cannot be read. (The other way round
/// etcd changed: up to 3.5 puts come first always, from 3.6 on the first operation does.)
///
/// Rules: T8.
pub async fn refusal_of_a_put_comes_before_that_of_a_later_range(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    let put_first = TxnRequest::new([absent_key("x"), read_at(9)]);
    store.refuses(put_first, KeyNotFound, text::KEY_NOT_FOUND).await;
    let before = store.all().await;
    match store.try_run([read_at(9), absent_key("x")]).await {
        Err(error) if error.kind() == KeyNotFound => {
            assert_eq!(error.message(), text::KEY_NOT_FOUND);
        }
        other => refused(other, FutureRevision, text::FUTURE),
    }
    assert_eq!(store.all().await, before);
}

/// Of a put that names an unknown lease and an absent key, one or the other is complained of.
/// (etcd changed which: the key up to 3.6, the lease from 3.7 on.)
///
/// Rules: P2, P3, T8.
pub async fn refusal_of_a_put_with_two_faults_names_one(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    let both = PutRequest::new("x", "").with_ignore_value().with_lease(LeaseId::new(404));
    match store.try_run([put("a", ""), both.into()]).await {
        Err(error) if error.kind() == KeyNotFound => {
            assert_eq!(error.message(), text::KEY_NOT_FOUND);
        }
        other => refused(other, LeaseNotFound, text::LEASE_NOT_FOUND),
    }
    assert_eq!(store.all().await.count, 0);
}

/// A malformed operation comes before one that the state refuses, wherever it stands: the branch
/// that is not chosen included.
///
/// Rules: T8, X-A.
pub async fn refusal_for_the_state_comes_after_validation(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    store.put("a", "1").await;
    let first = || [absent_key("x"), read_at(9)];
    let [x, y] = first();
    let last = TxnRequest::new([x, y, put("", "")]);
    store.refuses(last, InvalidRequest, text::EMPTY_KEY).await;
    let unchosen = TxnRequest::new(first()).when([exists("a")]).otherwise([put("", "")]);
    store.refuses(unchosen, InvalidRequest, text::EMPTY_KEY).await;
    let empty = RangeRequest::new(KeyRange::key("")).with_revision(rev(9));
    refused(store.try_range(empty).await, InvalidRequest, text::EMPTY_KEY);
}

/// What the state refuses is looked for on the chosen path alone, and the path is chosen by the
/// state before the transaction.
///
/// Rules: T6, T8.
pub async fn refusal_for_the_state_looks_at_the_chosen_path_only(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    let guarded =
        TxnRequest::new([absent_key("x"), read_at(9)]).when([exists("a")]).otherwise([read("a")]);
    let response = store.run([put("a", "1"), guarded.clone().into()]).await;
    assert_eq!(ranged(super::support::inner(&response, 1), 0).count, 1);
    let now_chosen = TxnRequest::new([put("a", "2"), guarded.into()]);
    store.refuses(now_chosen, KeyNotFound, text::KEY_NOT_FOUND).await;
}

/// A watch of a range without keys is refused as such, from a compacted revision too.
///
/// Rules: W2, W6.
pub async fn watch_of_an_empty_range_from_a_compacted_revision_is_refused_as_empty(
    backend: Arc<dyn KvBackend>,
) {
    let store = compacted_store(backend).await;
    for start in [1, 3, 9] {
        let request = WatchRequest::new(KeyRange::span("b", "a"), rev(start));
        let refusal = store.watch_failure(request).await;
        assert_eq!(refusal.kind(), BackendErrorKind::EmptyRange, "{refusal}");
    }
}
