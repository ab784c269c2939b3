//! Every fault does what it says, and nothing else.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test ends at the first thing that is not as expected"
)]

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tailetc_core::backend::{
    BackendError, BackendErrorKind, DeleteRequest, Event, EventKind, KeyRange, KvBackend,
    KvBackendExt, PutRequest, RangeRequest, TxnRequest, WatchRequest, WatchResponse, Watcher,
};
use tailetc_core::{LeaseId, Revision};
use tailetc_memkv::{MemKv, MemKvOptions};
use tailetc_testkit::faulty::{Cluster, Fault, FaultPlan, FaultyBackend, Identity, Restore};
use tokio::time::{Instant, timeout};

const FIRST: Identity = Identity { cluster_id: 1, raft_term: 5 };

fn cluster() -> Cluster {
    Cluster::rebuildable(FIRST, |identity| {
        let options = MemKvOptions::default()
            .with_cluster_id(identity.cluster_id)
            .with_raft_term(identity.raft_term);
        Arc::new(MemKv::with_options(options))
    })
}

fn always(fault: Fault) -> FaultyBackend {
    FaultyBackend::with_plan(MemKv::new(), FaultPlan::seeded(1).with(fault, 1.0))
}

async fn put(store: &dyn KvBackend, key: &'static str) -> Result<Revision, BackendError> {
    store.put(PutRequest::new(key, "v")).await
}

async fn kind_of_put(store: &FaultyBackend, key: &'static str) -> BackendErrorKind {
    put(store, key).await.expect_err("refused").kind()
}

async fn watch(store: &dyn KvBackend) -> Box<dyn Watcher> {
    let request = WatchRequest::new(KeyRange::prefix("k"), Revision::new(1));
    store.watch(request).await.expect("a watch")
}

async fn next_events(watcher: &mut dyn Watcher) -> Vec<Event> {
    let response = timeout(Duration::from_secs(60), watcher.next()).await.expect("in time");
    match response.expect("a response") {
        WatchResponse::Events { events, .. } => events,
        other => panic!("{other:?}"),
    }
}

async fn is_silent(watcher: &mut dyn Watcher) -> bool {
    timeout(Duration::from_secs(3600), watcher.next()).await.is_err()
}

fn revisions(events: &[Event]) -> Vec<i64> {
    events.iter().map(|event| event.revision().get()).collect()
}

#[tokio::test(start_paused = true)]
async fn lost_reply_is_applied_and_lost_request_is_not() {
    let store = FaultyBackend::new(MemKv::new());
    store.lose_next_commit_reply();
    assert_eq!(kind_of_put(&store, "a").await, BackendErrorKind::Unavailable);
    store.lose_next_commit();
    assert_eq!(kind_of_put(&store, "b").await, BackendErrorKind::Unavailable);
    assert!(store.get("a".into()).await.unwrap().is_some());
    assert!(store.get("b".into()).await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn late_write_times_out_and_is_applied_afterwards() {
    let store = FaultyBackend::new(MemKv::new());
    store.apply_next_commit_late();
    let began = Instant::now();
    assert_eq!(kind_of_put(&store, "a").await, BackendErrorKind::Timeout);
    assert_eq!(began.elapsed(), Duration::from_secs(5));
    assert!(store.get("a".into()).await.unwrap().is_none());
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert!(store.get("a".into()).await.unwrap().is_some());
}

#[tokio::test(start_paused = true)]
async fn refusals_have_their_kinds_and_apply_nothing() {
    use BackendErrorKind as Kind;
    for (fault, kind) in [
        (Fault::LoseRequest, Kind::Unavailable),
        (Fault::Stall, Kind::Timeout),
        (Fault::Unreachable, Kind::Unreachable),
        (Fault::TooManyRequests, Kind::TooManyRequests),
        (Fault::NoSpace, Kind::NoSpace),
    ] {
        let store = always(fault);
        assert_eq!(kind_of_put(&store, "a").await, kind, "{fault:?}");
        store.heal();
        assert!(store.get("a".into()).await.unwrap().is_none(), "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn store_without_space_takes_deletions_and_no_puts() {
    let store = FaultyBackend::new(MemKv::new());
    put(&store, "a").await.unwrap();
    store.cluster().set_no_space(true);
    assert_eq!(kind_of_put(&store, "b").await, BackendErrorKind::NoSpace);
    assert_eq!(store.delete(KeyRange::key("a")).await.unwrap().0, 1);
    store.cluster().set_no_space(false);
    put(&store, "b").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn lease_ends_just_before_the_commit_that_uses_it() {
    let store = FaultyBackend::new(MemKv::new());
    let lease = store.lease_grant(LeaseId::NONE, 60).await.unwrap().id;
    store.expire_leases_before_next_commit();
    let refused = store.put(PutRequest::new("a", "v").with_lease(lease)).await.unwrap_err();
    assert_eq!(refused.kind(), BackendErrorKind::LeaseNotFound);
}

#[tokio::test(start_paused = true)]
async fn reads_and_watches_are_refused_without_a_token() {
    let store = always(Fault::Unauthenticated);
    let read = store.range(RangeRequest::new(KeyRange::all())).await.unwrap_err();
    assert_eq!(read.kind(), BackendErrorKind::Unauthenticated);
    let request = WatchRequest::new(KeyRange::all(), Revision::new(2));
    let watched = store.watch(request).await.unwrap_err();
    assert_eq!(watched.kind(), BackendErrorKind::Unauthenticated);
}

#[tokio::test(start_paused = true)]
async fn large_answers_are_refused_and_single_pairs_are_not() {
    let store = always(Fault::Oversize);
    put(&store, "k1").await.unwrap();
    put(&store, "k2").await.unwrap();
    let two = store.range(RangeRequest::new(KeyRange::all())).await.unwrap_err();
    assert_eq!(two.kind(), BackendErrorKind::RequestTooLarge);
    store.range(RangeRequest::new(KeyRange::all()).with_limit(1)).await.unwrap();
    let refused = watch(&store).await.next().await.unwrap_err();
    assert_eq!(refused.kind(), BackendErrorKind::RequestTooLarge);
}

#[tokio::test(start_paused = true)]
async fn history_is_compacted_between_two_pages() {
    let store = always(Fault::CompactFirst);
    let first = put(&store, "k1").await.unwrap();
    put(&store, "k2").await.unwrap();
    let page = RangeRequest::new(KeyRange::all()).with_revision(first);
    let refused = store.range(page).await.unwrap_err();
    assert!(matches!(refused.kind(), BackendErrorKind::Compacted { .. }));
    let log = store.cluster().histories().await.unwrap();
    assert_eq!(log[0].revisions.len(), 2, "kept although it was compacted");
}

#[tokio::test(start_paused = true)]
async fn cut_watch_fails_and_silent_one_does_not() {
    let store = FaultyBackend::new(MemKv::new());
    let mut watcher = watch(&store).await;
    store.cut_watch();
    assert_eq!(watcher.next().await.unwrap_err().kind(), BackendErrorKind::Unavailable);
    let mut watcher = watch(&store).await;
    store.silence_watch();
    put(&store, "k").await.unwrap();
    assert!(is_silent(&mut *watcher).await);
    assert_eq!(revisions(&next_events(&mut *watch(&store).await).await), [2]);
}

#[tokio::test(start_paused = true)]
async fn cut_by_chance_ends_the_watch_at_a_whole_revision() {
    for seed in 0..20 {
        let plan = FaultPlan::seeded(seed).with(Fault::CutWatch, 1.0);
        let store = FaultyBackend::with_plan(MemKv::new(), plan);
        for _ in 0..5 {
            let puts = ["k1", "k2"].map(|key| PutRequest::new(key, "v").into());
            store.txn(TxnRequest::new(puts)).await.unwrap();
        }
        let (mut watcher, mut seen) = (watch(&store).await, Vec::new());
        let error = loop {
            match watcher.next().await {
                Ok(WatchResponse::Events { events, .. }) => seen.extend(revisions(&events)),
                Ok(other) => panic!("{other:?}"),
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), BackendErrorKind::Unavailable);
        let whole: Vec<i64> = (2..7).flat_map(|revision| [revision; 2]).collect();
        assert!(seen.len() % 2 == 0 && whole.starts_with(&seen), "{seen:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn held_watch_delivers_everything_after_its_release() {
    let store = FaultyBackend::new(MemKv::new());
    let mut watcher = watch(&store).await;
    store.hold_watch();
    put(&store, "k").await.unwrap();
    assert!(is_silent(&mut *watcher).await);
    store.release_watch();
    assert_eq!(revisions(&next_events(&mut *watcher).await), [2]);
}

#[tokio::test(start_paused = true)]
async fn lagging_member_is_that_many_revisions_behind() {
    let store = FaultyBackend::new(MemKv::new());
    store.lag(2);
    let mut watcher = watch(&store).await;
    put(&store, "k1").await.unwrap();
    put(&store, "k2").await.unwrap();
    assert!(is_silent(&mut *watcher).await);
    put(&store, "k3").await.unwrap();
    let stale = store.range(RangeRequest::new(KeyRange::prefix("k")).with_serializable());
    let stale = stale.await.unwrap();
    assert_eq!((stale.kvs.len(), stale.header.revision), (1, Revision::new(2)));
    store.lag(0);
    assert_eq!(revisions(&next_events(&mut *watcher).await)[0], 2);
}

#[tokio::test(start_paused = true)]
async fn batch_is_split_at_revisions_under_headers_ahead_of_them() {
    let store = always(Fault::SplitBatch);
    for _ in 0..3 {
        put(&store, "k").await.unwrap();
    }
    let mut watcher = watch(&store).await;
    for revision in 2..5 {
        let WatchResponse::Events { header, events } = watcher.next().await.unwrap() else {
            panic!("no events");
        };
        assert_eq!((revisions(&events), header.revision.get()), (vec![revision], 4));
    }
}

#[tokio::test(start_paused = true)]
async fn events_come_twice_or_stale_or_not_at_all() {
    let store = always(Fault::DuplicateEvents);
    put(&store, "k").await.unwrap();
    let mut watcher = watch(&store).await;
    assert_eq!(next_events(&mut *watcher).await, next_events(&mut *watcher).await);

    let store = always(Fault::StaleEvents);
    put(&store, "k").await.unwrap();
    assert_eq!(revisions(&next_events(&mut *watch(&store).await).await), [2]);
    let later = WatchRequest::new(KeyRange::prefix("k"), Revision::new(3));
    let mut watcher = store.watch(later).await.unwrap();
    put(&store, "k").await.unwrap();
    assert_eq!(revisions(&next_events(&mut *watcher).await), [2]);
    assert_eq!(revisions(&next_events(&mut *watcher).await), [3]);

    let store = always(Fault::LoseEvents);
    put(&store, "k").await.unwrap();
    assert!(is_silent(&mut *watch(&store).await).await);
}

#[tokio::test(start_paused = true)]
async fn progress_is_zero_or_premature_or_dropped() {
    let progress = |response| match response {
        WatchResponse::Progress { header } => header.revision.get(),
        other => panic!("{other:?}"),
    };
    let store = always(Fault::ZeroProgress);
    put(&store, "other").await.unwrap();
    let mut watcher = watch(&store).await;
    watcher.request_progress().await.unwrap();
    assert_eq!(progress(watcher.next().await.unwrap()), 0);
    assert_eq!(progress(watcher.next().await.unwrap()), 2);

    let store = always(Fault::PrematureProgress);
    store.distrust_progress();
    assert!(!store.capabilities().reliable_progress);
    let mut watcher = watch(&store).await;
    put(&store, "k").await.unwrap();
    watcher.request_progress().await.unwrap();
    assert_eq!(progress(watcher.next().await.unwrap()), 2, "ahead of its event");
    assert_eq!(revisions(&next_events(&mut *watcher).await), [2]);

    let store = always(Fault::DropProgress);
    put(&store, "other").await.unwrap();
    let mut watcher = watch(&store).await;
    watcher.request_progress().await.unwrap();
    assert!(is_silent(&mut *watcher).await);
}

#[tokio::test(start_paused = true)]
async fn restored_cluster_has_the_backup_and_breaks_watches() {
    let cluster = cluster();
    let store = cluster.client(FaultPlan::none());
    let lease = store.lease_grant(LeaseId::NONE, 30).await.unwrap().id;
    store.put(PutRequest::new("k1", "old").with_lease(lease)).await.unwrap();
    // A key twice in one revision, in either order.
    let inner = |op| TxnRequest::new([op]).into();
    let put_then_delete = [
        inner(PutRequest::new("k2", "v").into()),
        inner(DeleteRequest::new(KeyRange::key("k2")).into()),
    ];
    store.txn(TxnRequest::new(put_then_delete)).await.unwrap();
    put(&store, "z1").await.unwrap();
    put(&store, "z2").await.unwrap();
    let delete_then_put = [
        DeleteRequest::new(KeyRange::from_key("z1")).into(),
        PutRequest::new("z2", "again").into(),
    ];
    let kept = store.txn(TxnRequest::new(delete_then_put)).await.unwrap().header.revision;
    store.compact_now().await.unwrap();
    put(&store, "k1").await.unwrap();

    let mut watcher = watch(&cluster.store()).await;
    let compacted = watcher.next().await.unwrap_err();
    assert!(matches!(compacted.kind(), BackendErrorKind::Compacted { .. }));
    let from_here = WatchRequest::new(KeyRange::all(), Revision::new(100));
    let mut watcher = store.watch(from_here).await.unwrap();
    store.restore_to(kept, Identity { cluster_id: 9, raft_term: 2 }).await.unwrap();
    assert_eq!(watcher.next().await.unwrap_err().kind(), BackendErrorKind::Unavailable);

    let all = store.range(RangeRequest::new(KeyRange::all())).await.unwrap();
    assert_eq!((all.header.revision, all.header.cluster_id), (kept, 9));
    let pairs: Vec<(Bytes, Bytes)> =
        all.kvs.iter().map(|k| (k.key.clone(), k.value.clone())).collect();
    assert_eq!(pairs, [("k1".into(), "old".into()), ("z2".into(), "again".into())]);
    assert_eq!(store.lease_time_to_live(lease, true).await.unwrap().unwrap().keys, ["k1"]);

    let histories = cluster.histories().await.unwrap();
    assert_eq!(histories.len(), 2);
    assert_eq!(histories[0].revisions.len(), 6);
    assert_eq!(histories[0].revisions[..5], histories[1].revisions[..]);
    assert_eq!(histories[1].forked_at, kept);
    let twice: Vec<EventKind> = histories[1].revisions[1].1.iter().map(|e| e.kind).collect();
    assert_eq!(twice, [EventKind::Put, EventKind::Delete]);
}

#[tokio::test(start_paused = true)]
async fn restore_can_skip_revisions_and_mark_them_compacted() {
    let cluster = cluster();
    let store = cluster.client(FaultPlan::none());
    let kept = put(&store, "k").await.unwrap();
    put(&store, "k").await.unwrap();
    cluster.restore(Restore { to: kept, identity: FIRST, bump: 10 }).await.unwrap();
    let next = put(&store, "k").await.unwrap();
    assert_eq!(next.get(), kept.get() + 11);
    let mut watcher = watch(&cluster.store()).await;
    let compacted = watcher.next().await.unwrap_err();
    assert!(matches!(compacted.kind(), BackendErrorKind::Compacted { .. }));
}

#[tokio::test(start_paused = true)]
async fn script_of_injected_faults_repeats_them_and_no_others() {
    async fn outcomes(plan: FaultPlan) -> (Vec<String>, Vec<(u64, Fault)>) {
        let store = FaultyBackend::with_plan(MemKv::new(), plan);
        let mut outcomes = Vec::new();
        for _ in 0..50 {
            let began = Instant::now();
            let outcome = put(&store, "a").await.map_err(|error| error.kind());
            outcomes.push(format!("{outcome:?} {:?}", began.elapsed()));
        }
        (outcomes, store.injected())
    }
    let base = FaultPlan::seeded(3).with_latency(Duration::from_millis(5));
    let by_chance = base.clone().with(Fault::LoseReply, 0.2).with(Fault::ApplyLate, 0.1);
    let (seen, injected) = outcomes(by_chance.clone()).await;
    assert!(injected.len() > 5);
    assert_eq!(outcomes(by_chance).await.0, seen);
    let script = injected.iter().fold(base, |plan, (turn, fault)| plan.at(*turn, *fault));
    assert_eq!(outcomes(script).await, (seen, injected));
}
