//! Reading in another order than that of the keys.

use std::sync::Arc;

use bytes::Bytes;
use tailetc_core::backend::{
    KeyRange, KvBackend, RangeRequest, RangeResponse, SortOrder, SortTarget,
};

use super::support::{Store, keys, pair, put, ranged, rev};

/// For each target, the keys of [`shuffled`] from the lowest to the highest.
const ASCENDING: [(SortTarget, [&str; 5]); 5] = [
    (SortTarget::Key, ["a", "b", "c", "d", "e"]),
    (SortTarget::Version, ["b", "d", "a", "e", "c"]),
    (SortTarget::CreateRevision, ["c", "a", "e", "b", "d"]),
    (SortTarget::ModRevision, ["b", "e", "c", "a", "d"]),
    (SortTarget::Value, ["e", "a", "d", "c", "b"]),
];

/// Five keys in a different order by each target, without ties, up to revision 16.
async fn shuffled(backend: Arc<dyn KvBackend>) -> Store {
    let store = Store::new(backend);
    let value = |key: &str| -> &'static [u8] {
        match key {
            "a" => b"1",
            "b" => b"\xff",
            "c" => b"2",
            "d" => b"10",
            _ => b"",
        }
    };
    for key in ["c", "a", "e", "b", "d", "e", "e", "e", "c", "c", "c", "c", "a", "a", "d"] {
        store.put(key, value(key)).await;
    }
    assert_eq!(store.revision().await, rev(16));
    store
}

fn sorted(target: SortTarget, order: SortOrder) -> RangeRequest {
    RangeRequest::new(KeyRange::all()).with_sort(target, order)
}

fn descending(ascending: [&'static str; 5]) -> [&'static str; 5] {
    let mut keys = ascending;
    keys.reverse();
    keys
}

/// Fails the case unless the answer is the first `limit` of `expected`, of five keys in all.
fn is_cut(response: &RangeResponse, expected: &[&str], limit: i64, context: &RangeRequest) {
    let given = expected.len().min(limit.unsigned_abs() as usize);
    assert_eq!(keys(&response.kvs), expected[..given], "{context:?}");
    assert_eq!((response.more, response.count), (given < expected.len(), 5), "{context:?}");
}

/// Ascending order by key, version, create revision, mod revision or value (bytewise) begins with
/// the lowest.
///
/// Rules: G5.
pub async fn range_sorted_ascending_begins_with_the_lowest(backend: Arc<dyn KvBackend>) {
    let store = shuffled(backend).await;
    for (target, ascending) in ASCENDING {
        let request = sorted(target, SortOrder::Ascend);
        is_cut(&store.range(request.clone()).await, &ascending, 5, &request);
    }
}

/// Descending order by each target begins with the highest.
///
/// Rules: G5.
pub async fn range_sorted_descending_begins_with_the_highest(backend: Arc<dyn KvBackend>) {
    let store = shuffled(backend).await;
    for (target, ascending) in ASCENDING {
        let request = sorted(target, SortOrder::Descend);
        is_cut(&store.range(request.clone()).await, &descending(ascending), 5, &request);
    }
}

/// With an order, a limit cuts what is sorted: the answer is the first of the whole order.
///
/// Rules: G4, G5.
pub async fn range_sorted_with_limit_gives_the_first_of_the_whole_order(
    backend: Arc<dyn KvBackend>,
) {
    let store = shuffled(backend).await;
    for (target, ascending) in ASCENDING {
        for limit in 1..=6 {
            let up = sorted(target, SortOrder::Ascend).with_limit(limit);
            is_cut(&store.range(up.clone()).await, &ascending, limit, &up);
            let down = sorted(target, SortOrder::Descend).with_limit(limit);
            is_cut(&store.range(down.clone()).await, &descending(ascending), limit, &down);
        }
    }
}

/// A limit of zero, or below, is none for a sorted range too.
///
/// Rules: G5, X-Y.
pub async fn range_sorted_with_limit_of_zero_or_less_gives_everything(backend: Arc<dyn KvBackend>) {
    let store = shuffled(backend).await;
    for limit in [0, -1, -5] {
        for order in [SortOrder::None, SortOrder::Ascend] {
            let request = sorted(SortTarget::Value, order).with_limit(limit);
            let response = store.range(request.clone()).await;
            is_cut(&response, &["e", "a", "d", "c", "b"], 5, &request);
        }
    }
}

/// A target without an order, and without a limit, sorts ascending.
///
/// Rules: G6.
pub async fn range_with_a_sort_target_alone_is_sorted_ascending(backend: Arc<dyn KvBackend>) {
    let store = shuffled(backend).await;
    for (target, ascending) in ASCENDING {
        let request = sorted(target, SortOrder::None);
        is_cut(&store.range(request.clone()).await, &ascending, 5, &request);
    }
}

/// A target without an order takes the first keys in key order, one more than the limit, sorts
/// these and cuts them to the limit: the answer is not the first of the whole order.
///
/// Rules: G5, G6.
pub async fn range_with_a_sort_target_alone_and_limit_sorts_the_first_keys(
    backend: Arc<dyn KvBackend>,
) {
    let store = shuffled(backend).await;
    for (target, ascending) in ASCENDING {
        for limit in 1..=6_i64 {
            let taken = &["a", "b", "c", "d", "e"][..5.min(limit as usize + 1)];
            let expected: Vec<_> =
                ascending.into_iter().filter(|key| taken.contains(key)).collect();
            let request = sorted(target, SortOrder::None).with_limit(limit);
            let response = store.range(request.clone()).await;
            assert_eq!(keys(&response.kvs), expected[..5.min(limit as usize)], "{request:?}");
            assert_eq!((response.more, response.count), (limit < 5, 5), "{request:?}");
        }
    }
}

/// A filter lifts that: all pairs that pass it are sorted, with or without an order, and then cut.
///
/// Rules: G5, G6.
pub async fn range_sorted_and_filtered_is_filtered_then_sorted_then_cut(
    backend: Arc<dyn KvBackend>,
) {
    let store = shuffled(backend).await;
    // All but `b`, whose mod revision is 5.
    let filtered = |order| sorted(SortTarget::Value, order).with_min_mod_revision(rev(6));
    for (order, expected) in [
        (SortOrder::None, ["e", "a"]),
        (SortOrder::Ascend, ["e", "a"]),
        (SortOrder::Descend, ["c", "d"]),
    ] {
        let response = store.range(filtered(order).with_limit(2)).await;
        assert_eq!(keys(&response.kvs), expected, "{order:?}");
        assert_eq!((response.more, response.count), (true, 5));
        let response = store.range(filtered(order).with_limit(4)).await;
        assert_eq!((response.kvs.len(), response.more, response.count), (4, false, 5));
    }
}

/// Pairs that are equal in the target come in some order, each once.
///
/// Rules: G6.
pub async fn range_sorted_with_ties_gives_each_pair_once(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    store.run(["a", "b", "c", "d", "e"].map(|key| put(key, "same"))).await;
    store.run([put("b", "other"), put("d", "other")]).await;
    for (target, _) in ASCENDING {
        for order in [SortOrder::None, SortOrder::Ascend, SortOrder::Descend] {
            let mut kvs = store.range(sorted(target, order)).await.kvs;
            let versions: Vec<_> = kvs.iter().map(|kv| kv.version).collect();
            match (target, order) {
                (SortTarget::Key | SortTarget::CreateRevision, _) => {}
                // "other" is below "same".
                (SortTarget::Value, SortOrder::Descend) => assert_eq!(versions, [1, 1, 1, 2, 2]),
                (SortTarget::Value, _) => assert_eq!(versions, [2, 2, 1, 1, 1]),
                (_, SortOrder::Descend) => assert_eq!(versions, [2, 2, 1, 1, 1]),
                _ => assert_eq!(versions, [1, 1, 1, 2, 2]),
            }
            kvs.sort_by(|left, right| left.key.cmp(&right.key));
            assert_eq!(keys(&kvs), ["a", "b", "c", "d", "e"], "{target:?} {order:?}");
        }
    }
}

/// At an old revision, what is compared is the pair of that revision.
///
/// Rules: G2, G5.
pub async fn range_sorted_at_an_old_revision_compares_the_pairs_of_then(
    backend: Arc<dyn KvBackend>,
) {
    let store = shuffled(backend).await;
    let then = |target| sorted(target, SortOrder::Descend).with_revision(rev(9)).with_limit(2);
    let by_version = store.range(then(SortTarget::Version)).await;
    assert_eq!(by_version.kvs.first(), Some(&pair("e", "", 4, 9, 4)));
    let by_mod = store.range(then(SortTarget::ModRevision)).await;
    assert_eq!(keys(&by_mod.kvs), ["e", "d"]);
    assert_eq!(by_mod.header.revision, rev(16));
}

/// Keys alone are sorted by what their pairs hold, the value too, which is then left out.
///
/// Rules: G5, G7.
pub async fn range_sorted_of_keys_only_still_looks_at_values(backend: Arc<dyn KvBackend>) {
    let store = shuffled(backend).await;
    for (target, ascending) in ASCENDING {
        let request = sorted(target, SortOrder::Descend).with_keys_only().with_limit(3);
        let response = store.range(request.clone()).await;
        is_cut(&response, &descending(ascending), 3, &request);
        assert!(response.kvs.iter().all(|kv| kv.value.is_empty()), "{request:?}");
    }
}

/// Counting ignores the order.
///
/// Rules: G8, X-Y.
pub async fn range_sorted_that_counts_gives_no_pairs(backend: Arc<dyn KvBackend>) {
    let store = shuffled(backend).await;
    for (target, _) in ASCENDING {
        let request = sorted(target, SortOrder::Descend).with_count_only().with_limit(2);
        let response = store.range(request).await;
        assert_eq!((response.kvs.len(), response.count, response.more), (0, 5, false));
    }
}

/// Only the pairs of the range are sorted; none, one, and some.
///
/// Rules: G1, G5.
pub async fn range_sorted_stays_within_its_range(backend: Arc<dyn KvBackend>) {
    let store = shuffled(backend).await;
    let some: &[&str] = &["b", "c", "d"];
    for (range, expected) in [
        (KeyRange::span("b", "e"), some),
        (KeyRange::from_key("d"), &["d", "e"]),
        (KeyRange::key("c"), &["c"]),
        (KeyRange::key("x"), &[]),
        (KeyRange::span("e", "a"), &[]),
    ] {
        let by_value = RangeRequest::new(range).with_sort(SortTarget::Value, SortOrder::Descend);
        let response = store.range(by_value).await;
        assert_eq!(keys(&response.kvs), expected);
        assert_eq!((response.count as usize, response.more), (expected.len(), false));
    }
}

/// Within a transaction, a sorted range sees the earlier operations.
///
/// Rules: G5, G6, T7.
pub async fn range_sorted_in_a_txn_sees_earlier_operations(backend: Arc<dyn KvBackend>) {
    let store = shuffled(backend).await;
    let by = |target, order| sorted(target, order).with_limit(2).into();
    let response = store
        .run([
            put("b", Bytes::new()),
            by(SortTarget::ModRevision, SortOrder::Descend),
            by(SortTarget::Version, SortOrder::Ascend),
            by(SortTarget::Value, SortOrder::None),
        ])
        .await;
    assert_eq!(keys(&ranged(&response, 1).kvs), ["b", "d"]);
    let versions: Vec<_> = ranged(&response, 2).kvs.iter().map(|kv| kv.version).collect();
    assert_eq!(versions, [2, 2], "`b` and `d`, in any order");
    assert_eq!(keys(&ranged(&response, 3).kvs), ["b", "a"]);
}
