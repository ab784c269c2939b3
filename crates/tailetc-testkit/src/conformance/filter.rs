//! Reading only pairs that were created or written at certain revisions.

use std::sync::Arc;

use tailetc_core::backend::{KeyRange, KvBackend, RangeRequest};

use super::support::{Store, keys, pair, put, ranged, rev};

/// `a` to `e`, created at 2 to 6; then `b` written at 7 and `a` at 8.
async fn two_written_again(backend: Arc<dyn KvBackend>) -> Store {
    let store = Store::new(backend);
    for key in ["a", "b", "c", "d", "e", "b", "a"] {
        store.put(key, key).await;
    }
    store
}

fn all() -> RangeRequest {
    RangeRequest::new(KeyRange::all())
}

async fn gives(store: &Store, request: RangeRequest, expected: &[&str]) {
    let response = store.range(request.clone()).await;
    assert_eq!(keys(&response.kvs), expected, "{request:?}");
    assert_eq!((response.count, response.more), (5, false), "{request:?}");
}

/// A greatest mod revision, inclusive, filters the pairs but not the count.
///
/// Rules: G4.
pub async fn range_with_greatest_mod_revision_leaves_count_alone(backend: Arc<dyn KvBackend>) {
    let store = two_written_again(backend).await;
    let up_to = |revision| all().with_max_mod_revision(rev(revision));
    gives(&store, up_to(3), &[]).await;
    gives(&store, up_to(4), &["c"]).await;
    gives(&store, up_to(6), &["c", "d", "e"]).await;
    gives(&store, up_to(7), &["b", "c", "d", "e"]).await;
    gives(&store, up_to(8), &["a", "b", "c", "d", "e"]).await;
    gives(&store, up_to(1_000), &["a", "b", "c", "d", "e"]).await;
}

/// A least create revision, inclusive, filters the pairs but not the count.
///
/// Rules: G4.
pub async fn range_with_least_create_revision_leaves_count_alone(backend: Arc<dyn KvBackend>) {
    let store = two_written_again(backend).await;
    let from = |revision| all().with_min_create_revision(rev(revision));
    gives(&store, from(1), &["a", "b", "c", "d", "e"]).await;
    gives(&store, from(3), &["b", "c", "d", "e"]).await;
    gives(&store, from(6), &["e"]).await;
    gives(&store, from(7), &[]).await;
}

/// A greatest create revision, inclusive, filters the pairs but not the count.
///
/// Rules: G4.
pub async fn range_with_greatest_create_revision_leaves_count_alone(backend: Arc<dyn KvBackend>) {
    let store = two_written_again(backend).await;
    let up_to = |revision| all().with_max_create_revision(rev(revision));
    gives(&store, up_to(1), &[]).await;
    gives(&store, up_to(2), &["a"]).await;
    gives(&store, up_to(4), &["a", "b", "c"]).await;
    gives(&store, up_to(7), &["a", "b", "c", "d", "e"]).await;
}

/// What passes all filters is given; filters that exclude each other give nothing.
///
/// Rules: G4.
pub async fn range_with_several_filters_gives_what_passes_each(backend: Arc<dyn KvBackend>) {
    let store = two_written_again(backend).await;
    let written = |least, greatest| {
        all().with_min_mod_revision(rev(least)).with_max_mod_revision(rev(greatest))
    };
    gives(&store, written(5, 7), &["b", "d", "e"]).await;
    gives(&store, written(5, 5), &["d"]).await;
    gives(&store, written(6, 5), &[]).await;
    let old_but_written_again =
        written(7, 8).with_min_create_revision(rev(2)).with_max_create_revision(rev(2));
    gives(&store, old_but_written_again, &["a"]).await;
    gives(&store, written(4, 6).with_min_create_revision(rev(5)), &["d", "e"]).await;
}

/// A negative bound is a bound: below every revision.
///
/// Rules: G4.
pub async fn range_with_a_negative_bound_compares_it(backend: Arc<dyn KvBackend>) {
    let store = two_written_again(backend).await;
    let everything = &["a", "b", "c", "d", "e"];
    gives(&store, all().with_min_mod_revision(rev(-1)), everything).await;
    gives(&store, all().with_min_create_revision(rev(-7)), everything).await;
    gives(&store, all().with_max_mod_revision(rev(-1)), &[]).await;
    gives(&store, all().with_max_create_revision(rev(-7)), &[]).await;
}

/// A limit cuts what is left after the filters, and there are more if anything is cut.
///
/// Rules: G4, G5.
pub async fn range_with_filters_and_limit_filters_first(backend: Arc<dyn KvBackend>) {
    let store = two_written_again(backend).await;
    for request in [
        all().with_max_mod_revision(rev(6)),
        all().with_min_create_revision(rev(4)),
        all().with_max_create_revision(rev(6)).with_max_mod_revision(rev(6)),
    ] {
        for (limit, given, more) in [(1, 1, true), (2, 2, true), (3, 3, false), (4, 3, false)] {
            let response = store.range(request.clone().with_limit(limit)).await;
            assert_eq!(keys(&response.kvs), ["c", "d", "e"][..given], "{request:?}");
            assert_eq!((response.more, response.count), (more, 5), "{request:?} of {limit}");
        }
    }
}

/// At an old revision, the filters look at the pairs of that revision.
///
/// Rules: G2, G4.
pub async fn range_with_filters_at_an_old_revision_looks_at_the_pairs_of_then(
    backend: Arc<dyn KvBackend>,
) {
    let store = two_written_again(backend).await;
    let then = all().with_revision(rev(6)).with_max_mod_revision(rev(3));
    gives(&store, then, &["a", "b"]).await;
    store.delete(KeyRange::key("a")).await;
    store.put("a", "anew").await;
    gives(&store, all().with_max_create_revision(rev(4)), &["b", "c"]).await;
    gives(&store, all().with_min_create_revision(rev(10)), &["a"]).await;
}

/// Filters look at keys alone as at pairs, and do not change what is counted.
///
/// Rules: G4, G7, G8.
pub async fn range_with_filters_combines_with_keys_and_count(backend: Arc<dyn KvBackend>) {
    let store = two_written_again(backend).await;
    let request = all().with_max_mod_revision(rev(7)).with_max_create_revision(rev(3));
    let response = store.range(request.clone().with_keys_only()).await;
    assert_eq!(response.kvs, [pair("b", "", 3, 7, 2)]);
    let response = store.range(request.with_count_only().with_limit(1)).await;
    assert_eq!((response.kvs.len(), response.count, response.more), (0, 5, false));
}

/// Within a transaction, the filters see what it has written, at its own revision.
///
/// Rules: G4, T7.
pub async fn range_with_filters_in_a_txn_sees_earlier_operations(backend: Arc<dyn KvBackend>) {
    let store = two_written_again(backend).await;
    let response = store
        .run([
            put("c", "again"),
            put("f", "new"),
            all().with_min_create_revision(rev(9)).into(),
            all().with_max_mod_revision(rev(8)).into(),
            all().with_min_mod_revision(rev(9)).into(),
        ])
        .await;
    assert_eq!(keys(&ranged(&response, 2).kvs), ["f"]);
    assert_eq!(keys(&ranged(&response, 3).kvs), ["a", "b", "d", "e"]);
    assert_eq!(keys(&ranged(&response, 4).kvs), ["c", "f"]);
    assert_eq!(ranged(&response, 4).count, 6);
}
