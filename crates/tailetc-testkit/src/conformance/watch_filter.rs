//! Following only puts, or only deletions.

use std::sync::Arc;

use tailetc_core::backend::{KeyRange, KvBackend, WatchRequest};

use super::progress::ask_until;
use super::support::{
    Store, delete, delete_event, delete_key, pair, put, put_event, rev, with_prev,
};

fn every(start: i64) -> WatchRequest {
    WatchRequest::new(KeyRange::all(), rev(start))
}

/// Without puts, only deletions are delivered.
///
/// Rules: W13.
pub async fn watch_without_puts_delivers_deletions_only(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    let mut follow = store.follow_request(every(2).with_no_put()).await;
    store.put("a", "1").await;
    store.put("a", "2").await;
    store.delete(KeyRange::key("a")).await;
    store.put("b", "3").await;
    let (_, last) = store.delete(KeyRange::key("b")).await;
    assert_eq!(follow.until(last).await, [delete_event("a", 4), delete_event("b", 6)]);
}

/// Without deletions, only puts are delivered.
///
/// Rules: W13.
pub async fn watch_without_deletions_delivers_puts_only(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    let mut follow = store.follow_request(every(2).with_no_delete()).await;
    store.put("a", "1").await;
    store.delete(KeyRange::key("a")).await;
    let last = store.put("a", "2").await;
    let expected = [put_event(pair("a", "1", 2, 2, 1)), put_event(pair("a", "2", 4, 4, 1))];
    assert_eq!(follow.until(last).await, expected);
}

/// Of a transaction, what is not left out is delivered in its order.
///
/// Rules: W8, W13.
pub async fn watch_filtered_delivers_the_rest_of_a_txn(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    store.run([put("m", ""), put("n", "")]).await;
    let mut puts = store.follow_request(every(3).with_no_delete()).await;
    let mut deletions = store.follow_request(every(3).with_no_put()).await;
    let ops = [put("z", "1"), delete_key("n"), put("a", "2"), delete_key("m")];
    let last = store.run(ops).await.header.revision;
    let expected = [put_event(pair("z", "1", 3, 3, 1)), put_event(pair("a", "2", 3, 3, 1))];
    assert_eq!(puts.until(last).await, expected);
    assert_eq!(deletions.until(last).await, [delete_event("n", 3), delete_event("m", 3)]);
}

/// Filters hold in a replay as for what is new, over more revisions than one batch.
///
/// Rules: W10, W13, X-N.
pub async fn watch_filtered_from_the_past_finds_the_rare_event(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    store.put("rare", "").await;
    for _ in 0..1_050 {
        store.put("a", "").await;
    }
    store.delete(KeyRange::key("rare")).await;
    let mut deletions = store.follow_request(every(2).with_no_put()).await;
    assert_eq!(deletions.until(rev(1_053)).await, [delete_event("rare", 1_053)]);
    store.put("a", "").await;
    let (_, last) = store.delete(KeyRange::key("a")).await;
    assert_eq!(deletions.until(last).await, [delete_event("a", 1_055)]);
}

/// The pair before an event is that before it, whether or not the event that wrote it was left
/// out.
///
/// Rules: W12, W13.
pub async fn watch_filtered_shows_the_pairs_before(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    let mut deletions = store.follow_request(every(2).with_no_put().with_prev_kv()).await;
    let mut puts = store.follow_request(every(2).with_no_delete().with_prev_kv()).await;
    store.put("a", "1").await;
    store.put("a", "2").await;
    store.delete(KeyRange::key("a")).await;
    store.put("a", "3").await;
    let (_, deleted) = store.delete(KeyRange::key("a")).await;
    let (one, two) = (pair("a", "1", 2, 2, 1), pair("a", "2", 2, 3, 2));
    let three = pair("a", "3", 5, 5, 1);
    let expected = [
        with_prev(delete_event("a", 4), two.clone()),
        with_prev(delete_event("a", 6), three.clone()),
    ];
    assert_eq!(deletions.until(deleted).await, expected);
    let expected = [put_event(one.clone()), with_prev(put_event(two), one), put_event(three)];
    assert_eq!(puts.until(rev(5)).await, expected);
}

/// A watch without puts and without deletions delivers no event; progress passes over all of them.
///
/// Rules: W13, W16.
pub async fn watch_without_anything_delivers_progress_alone(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    let request = every(2).with_no_put().with_no_delete();
    let mut follow = store.follow_request(request).await;
    for _ in 0..5 {
        store.put("a", "").await;
        store.delete(KeyRange::key("a")).await;
    }
    assert_eq!(ask_until(&store, &mut follow, 11).await, []);
}

/// Progress passes over events that are left out, and the watch goes on.
///
/// Rules: W13, W16, W18.
pub async fn progress_of_a_filtered_watch_passes_over_what_is_left_out(
    backend: Arc<dyn KvBackend>,
) {
    let store = Store::new(backend);
    let mut follow = store.follow_request(every(2).with_no_put()).await;
    for round in 1..=3_i64 {
        store.put("a", "").await;
        store.put("a", "").await;
        assert_eq!(ask_until(&store, &mut follow, 3 * round).await, []);
        let (_, last) = store.delete(KeyRange::key("a")).await;
        assert_eq!(follow.until(last).await, [delete_event("a", 3 * round + 1)]);
    }
}

/// Deletions of a key put in the same transaction are filtered as any other.
///
/// Rules: T11, W13.
pub async fn watch_filtered_sees_one_side_of_a_key_replaced_in_one_txn(
    backend: Arc<dyn KvBackend>,
) {
    let store = Store::new(backend);
    store.put("a", "1").await;
    let mut puts = store.follow_request(every(3).with_no_delete().with_prev_kv()).await;
    let mut deletions = store.follow_request(every(3).with_no_put().with_prev_kv()).await;
    let ops = [delete(KeyRange::from_key("a")), put("a", "2")];
    let last = store.run(ops).await.header.revision;
    assert_eq!(puts.until(last).await, [put_event(pair("a", "2", 3, 3, 1))]);
    let before = pair("a", "1", 2, 2, 1);
    assert_eq!(deletions.until(last).await, [with_prev(delete_event("a", 3), before)]);
}

/// The deletions of a lease's keys are deletions.
///
/// Rules: L7, W13.
pub async fn watch_filtered_treats_the_keys_of_a_lease_as_deleted(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    let lease = store.grant(0, 60).await.id;
    store.put_with_lease("a", lease).await;
    let mut puts = store.follow_request(every(3).with_no_delete()).await;
    let mut deletions = store.follow_request(every(3).with_no_put()).await;
    store.revoke(lease).await;
    let last = store.put("b", "").await;
    assert_eq!(puts.until(last).await, [put_event(pair("b", "", 4, 4, 1))]);
    assert_eq!(deletions.until(rev(3)).await, [delete_event("a", 3)]);
}
