//! What a watch still shows of history once that is compacted.

use std::sync::Arc;

use tailetc_core::Revision;
use tailetc_core::backend::{BackendErrorKind, KeyRange, KvBackend, WatchRequest};

use super::support::{Store, delete_event, pair, put, put_event, rev, with_prev};

/// A watch from a compaction revision that deleted a key delivers that deletion, or (etcd before
/// 3.4.34 and 3.5.16) silently lacks it; later events come in any case.
///
/// Rules: C3, W6, X-L.
pub async fn watch_from_a_compacted_deletion_delivers_it_or_what_follows(
    backend: Arc<dyn KvBackend>,
) {
    let store = Store::new(backend);
    store.put("a", "1").await;
    store.delete(KeyRange::key("a")).await;
    let last = store.put("b", "1").await;
    store.compact(3).await;
    let events = store.follow(KeyRange::all(), 3).await.until(last).await;
    let follows = put_event(pair("b", "1", 4, 4, 1));
    if events.len() == 1 {
        assert_eq!(events, [follows]);
    } else {
        assert_eq!(events, [delete_event("a", 3), follows]);
    }
}

/// A deletion after the compaction revision is always delivered, with the pair before it, however
/// long ago that was written.
///
/// Rules: C2, W12, X-M.
pub async fn watch_after_a_compaction_shows_pairs_written_long_before(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    store.run([put("a", "1"), put("b", "1")]).await;
    for _ in 0..5 {
        store.put("c", "").await;
    }
    store.put("a", "2").await;
    let (_, last) = store.delete(KeyRange::key("b")).await;
    store.compact(7).await;
    let request = WatchRequest::new(KeyRange::span("a", "c"), rev(7)).with_prev_kv();
    let events = store.follow_request(request).await.until(last).await;
    let expected = [
        with_prev(put_event(pair("a", "2", 2, 8, 2)), pair("a", "1", 2, 2, 1)),
        with_prev(delete_event("b", 9), pair("b", "1", 2, 2, 1)),
    ];
    assert_eq!(events, expected);
}

/// Of an event at the compaction revision the pair before is gone, of the next one's it is there:
/// for puts and deletions alike.
///
/// Rules: W12, X-M.
pub async fn watch_from_the_compaction_revision_lacks_only_its_pair_before(
    backend: Arc<dyn KvBackend>,
) {
    let store = Store::new(backend);
    for value in ["1", "2", "3"] {
        store.put("a", value).await;
    }
    let (_, last) = store.delete(KeyRange::key("a")).await;
    store.compact(4).await;
    let request = WatchRequest::new(KeyRange::key("a"), rev(4)).with_prev_kv();
    let events = store.follow_request(request).await.until(last).await;
    let three = pair("a", "3", 2, 4, 3);
    assert_eq!(events, [put_event(three.clone()), with_prev(delete_event("a", 5), three)]);
}

/// A watch from a negative revision fails as compacted. (etcd does not say where it compacted from
/// 3.4.38, 3.5.24 and 3.6.6 on. Before, -1 on a store that was never compacted is a watch of what
/// is new; no case looks at that.)
///
/// Rules: W5, W6.
pub async fn watch_from_a_negative_revision_is_refused(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    store.put("a", "1").await;
    let refused = async |start: i64, bound: i64| {
        let request = WatchRequest::new(KeyRange::all(), rev(start));
        let error = store.watch_failure(request).await;
        let BackendErrorKind::Compacted { compact_revision } = error.kind() else {
            panic!("must be Compacted: {:?}: {error}", error.kind());
        };
        let variants = [Revision::ZERO, rev(bound)];
        assert!(variants.contains(&compact_revision), "{compact_revision} for {start}");
    };
    refused(-2, -1).await;
    refused(-1_000, -1).await;
    store.put("a", "2").await;
    store.compact(3).await;
    refused(-1, 3).await;
    refused(-2, 3).await;
}
