//! Progress: knowing how far a quiet watch has come.
//!
//! Where [`reliable_progress`](tailetc_core::backend::Capabilities::reliable_progress) is false
//! (etcd before 3.4.31 and 3.5.13, etcd issue 15220), an answer proves nothing about events, may be
//! missing for a quiet watch, and may even come before the events at or below it. What must hold
//! all the same: an answer never names a revision that the store has not reached, and asking
//! neither loses nor repeats an event.

use std::sync::Arc;
use std::time::Duration;

use tailetc_core::Revision;
use tailetc_core::backend::{Event, KeyRange, KvBackend, WatchRequest, WatchResponse};

use super::follow::Follow;
use super::support::{DEADLINE, Store, rev};

/// How long a store with unreliable progress is asked before the case goes on without an answer.
const PATIENCE: Duration = Duration::from_millis(500);

/// Asks until answered, if the store promises answers; fails the case if the answer names a
/// revision that the store has not reached.
async fn ask(store: &Store, follow: &mut Follow) -> (Vec<Event>, Option<Revision>) {
    let reliable = store.capabilities().reliable_progress;
    let patience = if reliable { DEADLINE } else { PATIENCE };
    let (events, header) = follow.progress(patience).await;
    let answered = header.map(|header| header.revision);
    assert!(answered.is_some() || !reliable, "asked {DEADLINE:?} for progress without an answer");
    if let Some(answered) = answered {
        let current = store.revision().await;
        assert!(answered <= current, "{answered} of {current}");
    }
    (events, answered)
}

/// Asks until the answer is `revision`, if the store's answers can be relied on; else once. An answer
/// to an earlier question may come first. With the events that came meanwhile.
pub(super) async fn ask_until(store: &Store, follow: &mut Follow, revision: i64) -> Vec<Event> {
    let (mut seen, mut answered) = ask(store, follow).await;
    while store.capabilities().reliable_progress && answered < Some(rev(revision)) {
        let (events, again) = ask(store, follow).await;
        seen.extend(events);
        answered = again;
    }
    if store.capabilities().reliable_progress {
        assert_eq!(answered, Some(rev(revision)));
    }
    seen
}

fn revisions(events: &[Event]) -> Vec<i64> {
    events.iter().map(|event| event.revision().get()).collect()
}

/// A quiet watch that is asked for progress names the store's revision, and goes on.
///
/// Rules: W16, W18.
pub async fn progress_of_a_quiet_watch_names_the_current_revision(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    store.put("elsewhere", "").await;
    let mut follow = store.follow(KeyRange::prefix("p/"), 2).await;
    store.put("elsewhere", "").await;
    let (events, answered) = ask(&store, &mut follow).await;
    assert_eq!(events, []);
    if store.capabilities().reliable_progress {
        assert_eq!(answered, Some(rev(3)));
    }
    let last = store.put("p/1", "").await;
    assert_eq!(revisions(&follow.until(last).await), [4]);
}

/// Progress comes after every event at or below its revision.
///
/// Rules: W17, W18.
pub async fn progress_comes_after_the_events_it_covers(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    let reliable = store.capabilities().reliable_progress;
    let mut follow = store.follow(KeyRange::all(), 2).await;
    let mut seen = Vec::new();
    for _ in 0..20 {
        for _ in 0..5 {
            store.put("a", "").await;
        }
        let (events, answered) = ask(&store, &mut follow).await;
        seen.extend(revisions(&events));
        if let (Some(answered), true) = (answered, reliable) {
            let reached = seen.last().copied().unwrap_or(1);
            assert!(answered.get() <= reached, "{answered} after {reached}");
        }
        if !reliable && seen.last() < Some(&store.revision().await.get()) {
            let current = store.revision().await;
            seen.extend(revisions(&follow.until(current).await));
        }
    }
    let expected: Vec<i64> = (2..=101).collect();
    if seen.len() < expected.len() {
        seen.extend(revisions(&follow.until(rev(101)).await));
    }
    assert_eq!(seen, expected);
}

/// Asking during a long catch-up neither loses nor repeats an event, nor is the answer early.
///
/// Rules: W16, W17.
pub async fn progress_asked_for_during_catch_up_is_not_early(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    for _ in 0..1_200 {
        store.put("a", "").await;
    }
    let mut follow = store.follow(KeyRange::all(), 2).await;
    let (events, answered) = ask(&store, &mut follow).await;
    let mut seen = revisions(&events);
    if store.capabilities().reliable_progress {
        assert_eq!(answered, Some(rev(1_201)));
        assert_eq!(seen.last(), Some(&1_201));
    } else if seen.last() < Some(&1_201) {
        seen.extend(revisions(&follow.until(rev(1_201)).await));
    }
    assert_eq!(seen, (2..=1_201).collect::<Vec<i64>>());
}

/// Progress never goes back, nor behind events delivered before it.
///
/// Rules: W18.
pub async fn progress_never_goes_back(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    let reliable = store.capabilities().reliable_progress;
    let mut follow = store.follow(KeyRange::key("a"), 2).await;
    let mut position = Revision::ZERO;
    for round in 0..10 {
        store.put(if round % 2 == 0 { "a" } else { "b" }, "").await;
        let (events, answered) = ask(&store, &mut follow).await;
        if let Some(last) = events.last() {
            position = position.max(last.revision());
        }
        if let (Some(answered), true) = (answered, reliable) {
            assert!(answered >= position, "{answered} after {position}");
            position = answered;
        }
    }
    let last = store.put("a", "").await;
    follow.until(last).await;
}

/// A watch from the future is not answered with a revision before its start, if progress is
/// reliable; in any case it then delivers from its start on.
///
/// Rules: W16.
pub async fn progress_of_a_watch_from_the_future_waits_for_its_start(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    let mut follow = store.follow(KeyRange::all(), 4).await;
    let (events, answered) = follow.progress(PATIENCE).await;
    assert_eq!(events, []);
    if store.capabilities().reliable_progress {
        assert_eq!(answered, None, "the store is at 1, the watch begins at 4");
    }
    for _ in 2..=5 {
        store.put("a", "").await;
    }
    assert_eq!(revisions(&follow.until(rev(5)).await), [4, 5]);
    let (_, answered) = ask(&store, &mut follow).await;
    if store.capabilities().reliable_progress {
        assert_eq!(answered, Some(rev(5)));
    }
}

/// Asking many times at once costs the watch no event.
///
/// Rules: W16.
pub async fn progress_asked_for_many_times_loses_no_event(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    let mut follow = store.follow(KeyRange::all(), 2).await;
    for _ in 0..50 {
        follow.request_progress().await;
        store.put("a", "").await;
    }
    let events = follow.until(rev(51)).await;
    assert_eq!(revisions(&events), (2..=51).collect::<Vec<i64>>());
}

/// A watch that asks for unsolicited progress delivers the same events.
///
/// Rules: W15.
pub async fn progress_notify_leaves_events_alone(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    let request = WatchRequest::new(KeyRange::all(), rev(2)).with_progress_notify();
    let mut follow = store.follow_request(request).await;
    for _ in 0..5 {
        store.put("a", "").await;
    }
    match follow.next().await {
        Ok(WatchResponse::Events { events, .. }) => assert_eq!(events[0].revision(), rev(2)),
        other => panic!("events come first: {other:?}"),
    }
    follow.until(rev(6)).await;
}
