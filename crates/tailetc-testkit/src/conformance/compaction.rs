//! Forgetting history.

use std::sync::Arc;

use tailetc_core::backend::{
    BackendErrorKind, Compare, CompareResult, CompareTarget, DeleteRequest, KeyRange, KvBackend,
    PutRequest, RangeRequest, TxnRequest,
};

use super::support::{
    Store, delete, deleted, keys, pair, put, refused, refused_as_compacted, rev, text, written,
};

fn at(revision: i64) -> RangeRequest {
    RangeRequest::new(KeyRange::all()).with_revision(rev(revision))
}

/// `a` written at 2, 3 and 5; `b` written at 4 and deleted at 6.
async fn some_history(backend: Arc<dyn KvBackend>) -> Store {
    let store = Store::new(backend);
    store.put("a", "1").await;
    store.put("a", "2").await;
    store.put("b", "1").await;
    store.put("a", "3").await;
    store.delete(KeyRange::key("b")).await;
    store
}

/// After a compaction, its revision and all later ones read as before; earlier ones are refused.
///
/// Rules: C2, G2.
pub async fn compaction_keeps_its_revision_and_later_ones(backend: Arc<dyn KvBackend>) {
    let store = some_history(backend).await;
    let mut before = Vec::new();
    for revision in 1..=6 {
        before.push(store.range(at(revision)).await.kvs);
    }
    store.compact(4).await;
    for (revision, before) in (1..).zip(before) {
        let result = store.try_range(at(revision)).await;
        if revision < 4 {
            refused_as_compacted(result, 4);
        } else {
            assert_eq!(result.map(|r| r.kvs).ok(), Some(before), "at {revision}");
        }
    }
}

/// A compaction takes no revision and answers with the current one.
///
/// Rules: C4.
pub async fn compaction_answers_with_the_current_revision(backend: Arc<dyn KvBackend>) {
    let store = some_history(backend).await;
    assert_eq!(store.compact(3).await.revision, rev(6));
    assert_eq!(store.revision().await, rev(6));
}

/// The current state does not change, metadata included.
///
/// Rules: C2.
pub async fn compaction_leaves_the_current_state_alone(backend: Arc<dyn KvBackend>) {
    let store = some_history(backend).await;
    store.compact(6).await;
    let all = store.all().await;
    assert_eq!(all.kvs, [pair("a", "3", 2, 5, 3)]);
    assert_eq!(all.header.revision, rev(6));
    store.put("a", "4").await;
    store.put("b", "2").await;
    assert_eq!(store.all().await.kvs, [pair("a", "4", 2, 7, 4), pair("b", "2", 8, 8, 1)]);
}

/// The current revision may be compacted and is readable afterwards.
///
/// Rules: C1, C2.
pub async fn compaction_of_the_current_revision_is_taken(backend: Arc<dyn KvBackend>) {
    let store = some_history(backend).await;
    store.compact(6).await;
    assert_eq!(keys(&store.range(at(6)).await.kvs), ["a"]);
    refused_as_compacted(store.try_range(at(5)).await, 6);
}

/// A compaction at or below the last one is refused as compacted, a negative one too.
///
/// Rules: C1, X-P.
pub async fn compaction_at_or_below_the_last_one_is_refused(backend: Arc<dyn KvBackend>) {
    let store = some_history(backend).await;
    store.compact(4).await;
    for revision in [4, 3, 1, 0, -1, -4] {
        refused_as_compacted(store.try_compact(revision).await, 4);
    }
    store.compact(5).await;
    refused_as_compacted(store.try_range(at(4)).await, 5);
}

/// A revision that the store has not reached cannot be compacted.
///
/// Rules: C1.
pub async fn compaction_of_a_future_revision_is_refused(backend: Arc<dyn KvBackend>) {
    let store = some_history(backend).await;
    for revision in [7, 1_000_000] {
        let refusal = store.try_compact(revision).await;
        refused(refusal, BackendErrorKind::FutureRevision, text::FUTURE);
    }
    assert_eq!(store.range(at(2)).await.count, 1, "nothing was compacted");
}

/// A store that was never compacted takes a compaction at 0 once, and one at 1 after it, but none
/// below 0.
///
/// Rules: R1, C1, X-P.
pub async fn compaction_of_a_fresh_store_begins_at_zero(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    let negative = store.try_compact(-1).await;
    assert_eq!(negative.map_err(|e| e.message().to_owned()), Err(text::COMPACTED.to_owned()));
    store.compact(0).await;
    refused_as_compacted(store.try_compact(0).await, 0);
    store.compact(1).await;
    refused_as_compacted(store.try_compact(1).await, 1);
    assert_eq!(store.put("a", "1").await, rev(2));
}

/// Generations before the compaction are gone, and the later ones keep their metadata.
///
/// Rules: R6, C2.
pub async fn compaction_forgets_earlier_generations(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    store.put("a", "1").await;
    store.delete(KeyRange::key("a")).await;
    store.put("a", "2").await;
    store.put("a", "3").await;
    store.compact(4).await;
    assert_eq!(store.range(at(4)).await.kvs, [pair("a", "2", 4, 4, 1)]);
    assert_eq!(store.range(at(5)).await.kvs, [pair("a", "3", 4, 5, 2)]);
    refused_as_compacted(store.try_range(at(3)).await, 4);
}

/// Writing goes on during repeated compactions, and every revision since the last is readable.
///
/// Rules: C2.
pub async fn compaction_after_each_write_keeps_the_rest(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    for round in 2..30_i64 {
        store.run([put("a", round.to_string())]).await;
        if round > 4 {
            store.compact(round - 2).await;
            let oldest = store.range(at(round - 2)).await;
            assert_eq!(oldest.kvs[0].value, (round - 2).to_string());
            refused_as_compacted(store.try_range(at(round - 3)).await, round - 2);
        }
    }
}

/// A store that was never compacted takes a compaction at 1 at once, and then none at 0.
///
/// Rules: C1, X-P.
pub async fn compaction_of_a_fresh_store_may_begin_at_one(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    assert_eq!(store.compact(1).await.revision, rev(1));
    for revision in [1, 0, -1] {
        refused_as_compacted(store.try_compact(revision).await, 1);
    }
    let refusal = store.try_compact(2).await;
    refused(refusal, BackendErrorKind::FutureRevision, text::FUTURE);
    assert_eq!(store.range(at(1)).await.count, 0);
}

/// At a compaction revision that deleted a key, the key reads as absent, and so later.
///
/// Rules: C2, C3.
pub async fn compaction_of_a_deletion_leaves_its_key_absent(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    store.run([put("a", "1"), put("b", "1")]).await;
    store.delete(KeyRange::key("a")).await;
    store.put("b", "2").await;
    store.compact(3).await;
    for revision in [3, 4] {
        assert_eq!(keys(&store.range(at(revision)).await.kvs), ["b"], "at {revision}");
    }
    store.compact(4).await;
    store.put("a", "2").await;
    assert_eq!(store.get("a").await, Some(pair("a", "2", 5, 5, 1)));
}

/// A pair that was last written long before the compaction revision is readable at it, unchanged.
///
/// Rules: C2.
pub async fn compaction_keeps_pairs_written_long_before(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    store.put("old", "1").await;
    for _ in 0..20 {
        store.put("a", "").await;
    }
    store.compact(20).await;
    for revision in [20, 22] {
        let old = &store.range(at(revision)).await.kvs[1];
        assert_eq!(old, &pair("old", "1", 2, 2, 1));
    }
}

/// Of a key that was written and deleted in one transaction the last word counts, after a
/// compaction as before.
///
/// Rules: C2, C3, T11.
pub async fn compaction_after_a_txn_that_replaces_a_key_keeps_its_last_state(
    backend: Arc<dyn KvBackend>,
) {
    let store = Store::new(backend);
    store.put("a", "1").await;
    store.run([delete(KeyRange::from_key("a")), put("a", "2")]).await;
    store.run([put("b", "1"), delete(KeyRange::from_key("b"))]).await;
    store.put("c", "").await;
    store.compact(4).await;
    assert_eq!(store.range(at(4)).await.kvs, [pair("a", "2", 3, 3, 1)]);
    assert_eq!(keys(&store.range(at(5)).await.kvs), ["a", "c"]);
    assert_eq!(store.put("b", "2").await, rev(6));
    assert_eq!(store.get("b").await, Some(pair("b", "2", 6, 6, 1)));
}

/// The pair before a write is the present one and does not depend on history.
///
/// Rules: C2, P4.
pub async fn compaction_leaves_the_pairs_before_writes_alone(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    store.run([put("a", "1"), put("b", "1")]).await;
    store.put("c", "").await;
    store.compact(3).await;
    let response = store
        .run([
            PutRequest::new("a", "2").with_prev_kv().into(),
            DeleteRequest::new(KeyRange::key("b")).with_prev_kv().into(),
        ])
        .await;
    assert_eq!(written(&response, 0).prev_kv, Some(pair("a", "1", 2, 2, 1)));
    assert_eq!(deleted(&response, 1).prev_kvs, [pair("b", "1", 2, 2, 1)]);
}

/// Conditions look at the present pairs, metadata and all, whatever was compacted.
///
/// Rules: C2, T2.
pub async fn compaction_leaves_conditions_alone(backend: Arc<dyn KvBackend>) {
    let store = some_history(backend).await;
    store.compact(6).await;
    let is = |target| Compare::new(KeyRange::key("a"), target, CompareResult::Equal);
    let conditions = [
        is(CompareTarget::Version(3)),
        is(CompareTarget::CreateRevision(rev(2))),
        is(CompareTarget::ModRevision(rev(5))),
        is(CompareTarget::Value("3".into())),
        Compare::mod_revision("b", rev(0)),
    ];
    assert!(store.txn(TxnRequest::default().when(conditions)).await.succeeded);
}
