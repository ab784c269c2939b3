//! Reading.

use std::sync::Arc;

use bytes::Bytes;
use tailetc_core::backend::{BackendErrorKind, KeyRange, KvBackend, RangeRequest};

use super::support::{Store, keys, pair, put, refused, refused_as_compacted, rev, text};

/// `a` to `e`, written in this order at revisions 2 to 6.
async fn five_keys(backend: Arc<dyn KvBackend>) -> Store {
    let store = Store::new(backend);
    for key in ["a", "b", "c", "d", "e"] {
        store.put(key, key).await;
    }
    store
}

async fn keys_in(store: &Store, range: KeyRange) -> Vec<Bytes> {
    let response = store.range(RangeRequest::new(range)).await;
    assert_eq!(response.count as usize, response.kvs.len());
    assert!(!response.more);
    keys(&response.kvs)
}

fn all() -> RangeRequest {
    RangeRequest::new(KeyRange::all())
}

/// A single key gives its pair and nothing of its neighbours.
///
/// Rules: G1.
pub async fn range_of_one_key_gives_only_that_key(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    store.run([put("a", "1"), put("a\0", "2"), put("ab", "3")]).await;
    let response = store.range(RangeRequest::new(KeyRange::key("a"))).await;
    assert_eq!(response.kvs, [pair("a", "1", 2, 2, 1)]);
    assert_eq!((response.count, response.more), (1, false));
}

/// An absent key is an empty answer, not an error.
///
/// Rules: G1.
pub async fn range_of_an_absent_key_is_empty(backend: Arc<dyn KvBackend>) {
    let store = five_keys(backend).await;
    let response = store.range(RangeRequest::new(KeyRange::key("x"))).await;
    assert_eq!((response.count, response.more), (0, false));
    assert_eq!(response.kvs, []);
    assert_eq!(response.header.revision, rev(6));
}

/// A span includes its start and excludes its end, neither of which need exist.
///
/// Rules: G1.
pub async fn range_of_a_span_excludes_its_end(backend: Arc<dyn KvBackend>) {
    let store = five_keys(backend).await;
    assert_eq!(keys_in(&store, KeyRange::span("b", "d")).await, ["b", "c"]);
    assert_eq!(keys_in(&store, KeyRange::span("aa", "cc")).await, ["b", "c"]);
    assert_eq!(keys_in(&store, KeyRange::span("b", "b\0")).await, ["b"]);
}

/// A span whose end is not after its start is an empty answer, not an error.
///
/// Rules: G1.
pub async fn range_of_a_reversed_span_is_empty(backend: Arc<dyn KvBackend>) {
    let store = five_keys(backend).await;
    for (start, end) in [("d", "b"), ("b", "b"), ("z", "a")] {
        let none: [&str; 0] = [];
        assert_eq!(keys_in(&store, KeyRange::span(start, end)).await, none);
    }
}

/// A range end of one zero byte means everything from the key on (etcd: `range_end` `\0`).
///
/// Rules: G1.
pub async fn range_from_a_key_gives_everything_after_it(backend: Arc<dyn KvBackend>) {
    let store = five_keys(backend).await;
    assert_eq!(keys_in(&store, KeyRange::from_key("c")).await, ["c", "d", "e"]);
    assert_eq!(keys_in(&store, KeyRange::from_key("dd")).await, ["e"]);
    assert_eq!(keys_in(&store, KeyRange::all()).await.len(), 5);
}

/// A prefix gives the keys that begin with it, itself included, and no other.
///
/// Rules: G1.
pub async fn range_of_a_prefix_gives_the_keys_below_it(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    for key in ["a", "a/", "a/1", "a/\u{7f}", "a0", "b"] {
        store.put(key, "").await;
    }
    assert_eq!(keys_in(&store, KeyRange::prefix("a/")).await, ["a/", "a/1", "a/\u{7f}"]);
}

/// Keys are bytes, ordered as such: zero bytes and 0xff included.
///
/// Rules: R8, G1.
pub async fn range_orders_binary_keys_bytewise(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    let sorted: [&[u8]; 8] =
        [b"\0", b"\0\0", b"\x01", b"a", b"a\0", b"a\xff", b"\xff", b"\xff\xff"];
    for key in sorted.iter().rev() {
        store.put(*key, *key).await;
    }
    assert_eq!(keys_in(&store, KeyRange::all()).await, sorted);
    let below_ff = keys_in(&store, KeyRange::prefix(&b"\xff"[..])).await;
    assert_eq!(below_ff, sorted[6..]);
    let below_a_ff = keys_in(&store, KeyRange::prefix(&b"a\xff"[..])).await;
    assert_eq!(below_a_ff, sorted[5..6]);
    let zero = keys_in(&store, KeyRange::key(&b"\0"[..])).await;
    assert_eq!(zero, sorted[..1]);
    let up_to_ff = keys_in(&store, KeyRange::span(&b"\0\0"[..], &b"\xff"[..])).await;
    assert_eq!(up_to_ff, sorted[1..6]);
}

/// Reading an empty key is malformed.
///
/// Rules: R8, X-B.
pub async fn range_of_an_empty_key_is_refused(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    for range in [KeyRange::key(""), KeyRange::from_wire("", "b")] {
        let refusal = store.try_range(RangeRequest::new(range)).await;
        refused(refusal, BackendErrorKind::InvalidRequest, text::EMPTY_KEY);
    }
}

/// A limit gives the first keys, says that there are more, and counts all of them.
///
/// Rules: G4.
pub async fn range_with_limit_gives_the_first_keys(backend: Arc<dyn KvBackend>) {
    let store = five_keys(backend).await;
    for (limit, given, more) in [(1, 1, true), (4, 4, true), (5, 5, false), (6, 5, false)] {
        let response = store.range(all().with_limit(limit)).await;
        assert_eq!(keys(&response.kvs), ["a", "b", "c", "d", "e"][..given]);
        assert_eq!((response.more, response.count), (more, 5), "limit {limit}");
    }
}

/// A limit of zero, or below, is no limit.
///
/// Rules: G4, X-Y.
pub async fn range_with_limit_of_zero_or_less_gives_everything(backend: Arc<dyn KvBackend>) {
    let store = five_keys(backend).await;
    for limit in [0, -1, -7] {
        let response = store.range(all().with_limit(limit)).await;
        assert_eq!(response.kvs.len(), 5, "limit {limit}");
        assert_eq!((response.more, response.count), (false, 5));
    }
}

/// Counting gives no pairs, and the whole count whatever the limit; there are never more.
///
/// Rules: G8, X-Y.
pub async fn range_that_counts_gives_no_pairs(backend: Arc<dyn KvBackend>) {
    let store = five_keys(backend).await;
    for limit in [0, 1, 5] {
        let response = store.range(all().with_count_only().with_limit(limit)).await;
        assert_eq!(response.kvs, []);
        assert_eq!((response.count, response.more), (5, false), "limit {limit}");
    }
    let span = RangeRequest::new(KeyRange::span("b", "d")).with_count_only();
    assert_eq!(store.range(span.with_revision(rev(3))).await.count, 1);
}

/// Keys alone come without values but with their metadata.
///
/// Rules: G7.
pub async fn range_of_keys_only_leaves_values_out(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    store.put("a", "1").await;
    store.put("a", "2").await;
    let response = store.range(all().with_keys_only()).await;
    assert_eq!(response.kvs, [pair("a", "", 2, 3, 2)]);
    assert_eq!(response.count, 1);
}

/// A least mod revision filters the pairs but not the count.
///
/// Rules: G4.
pub async fn range_with_least_mod_revision_leaves_count_alone(backend: Arc<dyn KvBackend>) {
    let store = five_keys(backend).await;
    store.put("a", "again").await;
    for (least, expected) in
        [(1, &["a", "b", "c", "d", "e"][..]), (5, &["a", "d", "e"]), (7, &["a"]), (8, &[])]
    {
        let response = store.range(all().with_min_mod_revision(rev(least))).await;
        assert_eq!(keys(&response.kvs), expected, "least mod revision {least}");
        assert_eq!((response.count, response.more), (5, false));
    }
}

/// With a least mod revision, the limit cuts what is left after the filter.
///
/// Rules: G4, G5.
pub async fn range_with_least_mod_revision_and_limit_filters_first(backend: Arc<dyn KvBackend>) {
    let store = five_keys(backend).await;
    let filtered = all().with_min_mod_revision(rev(4));
    let response = store.range(filtered.clone().with_limit(2)).await;
    assert_eq!(keys(&response.kvs), ["c", "d"]);
    assert_eq!((response.more, response.count), (true, 5));
    let response = store.range(filtered.with_limit(3)).await;
    assert_eq!(keys(&response.kvs), ["c", "d", "e"]);
    assert_eq!((response.more, response.count), (false, 5));
}

/// The filter on mod revisions of keys only looks at the pair, and counting ignores it.
///
/// Rules: G4, G7, G8.
pub async fn range_with_least_mod_revision_combines_with_keys_and_count(
    backend: Arc<dyn KvBackend>,
) {
    let store = five_keys(backend).await;
    let filtered = all().with_min_mod_revision(rev(6));
    let response = store.range(filtered.clone().with_keys_only()).await;
    assert_eq!(response.kvs, [pair("e", "", 6, 6, 1)]);
    let response = store.range(filtered.with_count_only()).await;
    assert_eq!((response.kvs.len(), response.count), (0, 5));
}

/// Every old revision reads as the store was then, deletions included, under a current header.
///
/// Rules: G2, G3.
pub async fn range_at_an_old_revision_shows_the_store_as_it_was(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    store.put("a", "1").await;
    store.put("b", "1").await;
    store.put("a", "2").await;
    store.delete(KeyRange::key("b")).await;
    store.put("b", "2").await;
    let (a1, a2) = (pair("a", "1", 2, 2, 1), pair("a", "2", 2, 4, 2));
    let (b1, b2) = (pair("b", "1", 3, 3, 1), pair("b", "2", 6, 6, 1));
    for (revision, expected) in [
        (1, vec![]),
        (2, vec![a1.clone()]),
        (3, vec![a1, b1.clone()]),
        (4, vec![a2.clone(), b1]),
        (5, vec![a2.clone()]),
        (6, vec![a2, b2]),
    ] {
        let response = store.range(all().with_revision(rev(revision))).await;
        assert_eq!(response.count as usize, expected.len());
        assert_eq!(response.kvs, expected, "at {revision}");
        assert_eq!(response.header.revision, rev(6), "the header is current");
    }
}

/// Limit and filter at an old revision look at the pairs of that revision.
///
/// Rules: G2, G4.
pub async fn range_at_an_old_revision_takes_limit_and_filter(backend: Arc<dyn KvBackend>) {
    let store = five_keys(backend).await;
    store.put("a", "again").await;
    let at_five = all().with_revision(rev(5));
    let response = store.range(at_five.clone().with_limit(3)).await;
    assert_eq!(keys(&response.kvs), ["a", "b", "c"]);
    assert_eq!((response.more, response.count), (true, 4));
    let response = store.range(at_five.with_min_mod_revision(rev(4))).await;
    assert_eq!(keys(&response.kvs), ["c", "d"]);
}

/// A revision that the store has not reached is refused.
///
/// Rules: G2, X-B.
pub async fn range_at_a_future_revision_is_refused(backend: Arc<dyn KvBackend>) {
    let store = five_keys(backend).await;
    for revision in [7, 1_000_000] {
        let refusal = store.try_range(all().with_revision(rev(revision))).await;
        refused(refusal, BackendErrorKind::FutureRevision, text::FUTURE);
    }
    assert_eq!(store.range(all().with_revision(rev(6))).await.count, 5);
}

/// A negative revision reads the current state, even after a compaction.
///
/// Rules: G2.
pub async fn range_at_a_negative_revision_reads_the_current_state(backend: Arc<dyn KvBackend>) {
    let store = five_keys(backend).await;
    store.compact(6).await;
    for revision in [-1, -5] {
        let response = store.range(all().with_revision(rev(revision))).await;
        assert_eq!(response.count, 5, "at {revision}");
    }
}

/// Pages pinned to one revision show that revision whole, whatever is written meanwhile.
///
/// Rules: G11.
pub async fn paging_at_one_revision_is_not_disturbed_by_writes(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    let names: Vec<String> = (0..50).map(|n| format!("k{n:02}")).collect();
    store.run(names.iter().map(|k| put(k.clone(), "1"))).await;
    let first = store.range(all().with_limit(7)).await;
    let revision = first.header.revision;
    let mut pages = first.kvs;
    let mut more = first.more;
    while let (true, Some(last)) = (more, pages.last()) {
        let after = [&last.key[..], b"\0"].concat();
        store.put("k00a", "new").await;
        store.put("k49", "changed").await;
        store.delete(KeyRange::key("k30")).await;
        let page =
            RangeRequest::new(KeyRange::from_key(after)).with_limit(7).with_revision(revision);
        let page = store.range(page).await;
        assert_eq!(page.count as usize, 50 - pages.len());
        more = page.more;
        pages.extend(page.kvs);
    }
    assert_eq!(keys(&pages), names);
    assert!(pages.iter().all(|kv| kv.value == "1"), "{pages:?}");
}

/// Pages pinned to a revision that is compacted meanwhile end with an error, never with a hole.
///
/// Rules: G2, G11.
pub async fn paging_at_a_revision_compacted_meanwhile_is_refused(backend: Arc<dyn KvBackend>) {
    let store = five_keys(backend).await;
    let first = store.range(all().with_limit(2)).await;
    store.put("a", "later").await;
    store.compact(7).await;
    let page = RangeRequest::new(KeyRange::from_key("b\0")).with_revision(first.header.revision);
    refused_as_compacted(store.try_range(page).await, 7);
}

/// A serializable read gives a state that the store was in.
///
/// Rules: G9.
pub async fn serializable_range_gives_a_state_of_the_store(backend: Arc<dyn KvBackend>) {
    let store = five_keys(backend).await;
    let response = store.range(all().with_serializable()).await;
    let revision = response.header.revision;
    assert!(revision <= rev(6), "at {revision}");
    assert_eq!(response.count, revision.get() - 1, "a key for each write");
}

/// A read after a write shows it.
///
/// Rules: G9, B5.
pub async fn range_after_a_write_shows_it(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    for round in 2..50 {
        let value = round.to_string();
        store.put("a", value.clone()).await;
        let kv = store.existing("a").await;
        assert_eq!((kv.value, kv.mod_revision), (value.into(), rev(round)));
    }
}
