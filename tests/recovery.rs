//! Promise P6, its first part: the copy survives broken connections and compaction, serves its last
//! state meanwhile, and repairs itself by a minimal difference.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test ends at the first thing that is not as expected"
)]

mod support;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use support::{Gate, Store, until, within};
use tailetc::{
    BoxError, ChangeKind, ChangeSet, Codec, Collection, Db, KeyRef, ObserverGuard, Options, RAW,
    Revision, WatchMode,
};

on_every_backend! {
    broken_watch_is_resumed_without_loss_or_duplicate,
    compaction_past_the_position_is_repaired_by_the_difference,
    resync_decodes_only_what_has_changed,
    backlog_of_many_revisions_is_delivered_revision_by_revision,
    reads_go_on_while_the_store_is_silent,
    idle_prefix_survives_compaction_elsewhere,
    events_before_the_position_are_dropped,
    progress_of_revision_zero_is_ignored,
    watch_goes_on_across_a_resync,
}

/// (revision, kind, keys)
type Seen = (Revision, ChangeKind, usize);

/// Records every change set but the initial one.
fn record(db: &Db) -> (Arc<Mutex<Vec<Seen>>>, ObserverGuard) {
    let record = Arc::new(Mutex::new(Vec::new()));
    let theirs = Arc::clone(&record);
    let guard = db.observe(move |set: &ChangeSet| {
        if set.kind() != ChangeKind::Initial {
            theirs.lock().unwrap().push((set.revision(), set.kind(), set.len()));
        }
    });
    (record, guard.unwrap())
}

// D9
async fn broken_watch_is_resumed_without_loss_or_duplicate(store: Store) {
    let gate = Gate::new(&store);
    let db = gate.builder().connect().await.unwrap();
    let (record, _guard) = record(&db);
    let mut written = Vec::new();
    for round in 0..100_u32 {
        written.push(store.put(&format!("/t/{}", round % 7), round.to_string()).await);
        if round % 10 == 9 {
            gate.cut_watches();
        }
    }
    let last = *written.last().unwrap();
    until("all changes arrive", || db.snapshot().revision() >= last).await;
    let seen: Vec<_> = record.lock().unwrap().iter().map(|(revision, ..)| *revision).collect();
    assert_eq!(seen, written);
    let stats = db.stats();
    assert!(stats.reconnects > 0 && stats.resyncs == 0, "{stats:?}");
    until("tailing", || db.health().is_tailing()).await;
}

// D7
async fn compaction_past_the_position_is_repaired_by_the_difference(store: Store) {
    let keys: Vec<_> = (0..100).map(|i| format!("/t/{i:03}")).collect();
    let puts: Vec<_> = keys.iter().map(|key| (key.as_str(), "1")).collect();
    store.put_all(&puts).await;
    let gate = Gate::new(&store);
    let db = gate.builder().connect().await.unwrap();
    let (record, _guard) = record(&db);
    let before = db.snapshot();

    gate.hold_watches();
    for round in 0..5_u32 {
        store.put("/t/050", round.to_string()).await;
    }
    store.delete("/t/051").await;
    let last = store.put("/t/new", "1").await;
    store.backend.compact(last).await.unwrap();
    gate.cut_watches();
    gate.release_watches();
    // Counted once it is shown.
    until("repaired", || db.stats().resyncs > 0).await;
    assert_eq!(db.snapshot().revision(), last);

    assert_eq!(*record.lock().unwrap(), [(last, ChangeKind::Resync, 3)]);
    let after = db.snapshot();
    assert_eq!(after.len(), 100);
    assert_eq!(*after.get(RAW, "050").unwrap().unwrap(), "4");
    for (key, value) in after.range(RAW, ..).unwrap() {
        let unchanged = key != "050" && key != "new";
        let old = before.get(RAW, key).unwrap();
        assert_eq!(old.is_some_and(|old| Arc::ptr_eq(&old, &value)), unchanged, "{key}");
    }
    assert_eq!(db.stats().resyncs, 1);

    // And on it goes.
    let next = store.put("/t/new", "2").await;
    until("the next change", || db.snapshot().revision() >= next).await;
    assert_eq!(record.lock().unwrap().len(), 2);
    let put = db.transact(|txn| txn.put(RAW, "new", Bytes::from("3")));
    within("commit", put).await.unwrap();
}

/// Bytes, and how many values were decoded.
struct Counting(Arc<AtomicUsize>);

impl Codec for Counting {
    type Value = Bytes;

    fn encode(&self, _key: KeyRef<'_>, value: &Bytes) -> Result<Bytes, BoxError> {
        Ok(value.clone())
    }

    fn decode(&self, _key: KeyRef<'_>, bytes: &Bytes) -> Result<Bytes, BoxError> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Ok(bytes.clone())
    }
}

// D7
async fn resync_decodes_only_what_has_changed(store: Store) {
    const COUNTED: Collection<Counting> = Collection::new("counted/");
    let keys: Vec<_> = (0..50).map(|i| format!("/t/counted/{i:03}")).collect();
    let puts: Vec<_> = keys.iter().map(|key| (key.as_str(), "1")).collect();
    store.put_all(&puts).await;
    let decoded = Arc::new(AtomicUsize::new(0));
    let gate = Gate::new(&store);
    let codec = Counting(Arc::clone(&decoded));
    let db = gate.builder().collection_with(COUNTED, codec).connect().await.unwrap();
    assert_eq!(decoded.swap(0, Ordering::SeqCst), 50);
    gate.hold_watches();
    store.delete("/t/counted/007").await;
    let last = store.put("/t/counted/008", "2").await;
    store.backend.compact(last).await.unwrap();
    gate.cut_watches();
    gate.release_watches();
    // Counted once it is shown.
    until("repaired", || db.stats().resyncs > 0).await;
    assert_eq!(db.snapshot().revision(), last);
    assert_eq!((db.stats().resyncs, decoded.load(Ordering::SeqCst)), (1, 1));
    assert_eq!(db.snapshot().len(), 49);
}

// D3 D19
async fn backlog_of_many_revisions_is_delivered_revision_by_revision(store: Store) {
    let gate = Gate::new(&store);
    let db = gate.builder().connect().await.unwrap();
    let (record, _guard) = record(&db);
    gate.hold_watches();
    let mut written = Vec::new();
    // More than is published at once, and more than a server puts into one response.
    for round in 0..6000_u32 {
        written.push(store.put(&format!("/t/{}", round % 100), round.to_string()).await);
    }
    gate.cut_watches();
    gate.release_watches();
    let last = *written.last().unwrap();
    until("all changes arrive", || db.snapshot().revision() >= last).await;
    let seen: Vec<_> = record.lock().unwrap().iter().map(|(revision, ..)| *revision).collect();
    assert_eq!(seen, written);
    let stats = db.stats();
    assert!(stats.publications < stats.revisions / 10, "published in batches: {stats:?}");
}

async fn reads_go_on_while_the_store_is_silent(store: Store) {
    store.put("/t/a", "1").await;
    let gate = Gate::new(&store);
    let db = gate.builder().connect().await.unwrap();
    gate.hold_watches();
    store.put("/t/a", "2").await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(*db.get(RAW, "a").unwrap().unwrap(), "1");
    gate.release_watches();
    until("the change arrives", || *db.get(RAW, "a").unwrap().unwrap() == "2").await;
}

// D8 D7
async fn idle_prefix_survives_compaction_elsewhere(store: Store) {
    store.put("/t/a", "1").await;
    let gate = Gate::new(&store);
    let mut options = Options::default();
    options.progress_interval = Duration::from_millis(20);
    options.backoff_min = Duration::from_millis(5);
    let db = gate.builder().options(options).connect().await.unwrap();
    let (record, _guard) = record(&db);
    let mut last = Revision::ZERO;
    for round in 0..50_u32 {
        last = store.put("/elsewhere", round.to_string()).await;
    }
    let reliable = store.backend.capabilities().reliable_progress;
    if reliable {
        until("the position moves on", || db.snapshot().revision() >= last).await;
    }
    store.backend.compact(last).await.unwrap();
    gate.cut_watches();
    // Where progress cannot be trusted the position has stayed behind, and what is found by loading
    // anew is that nothing has changed.
    let resyncs = u64::from(!reliable);
    until("reconnected", || {
        let stats = db.stats();
        stats.reconnects > resyncs && stats.resyncs == resyncs && db.health().is_tailing()
    })
    .await;
    let written = store.put("/t/a", "2").await;
    until("the change arrives", || db.snapshot().revision() >= written).await;
    assert_eq!(db.stats().resyncs, resyncs);
    assert_eq!(*record.lock().unwrap(), [(written, ChangeKind::Transaction, 1)]);
}

// D10 D9
async fn events_before_the_position_are_dropped(store: Store) {
    let gate = Gate::new(&store);
    let db = gate.builder().connect().await.unwrap();
    let (record, _guard) = record(&db);
    let mut written = Vec::new();
    for round in 0..10_u32 {
        written.push(store.put("/t/a", round.to_string()).await);
    }
    until("all changes arrive", || db.snapshot().revision() >= written[9]).await;
    gate.rewind_next_watch(5);
    gate.cut_watches();
    until("reconnected", || db.stats().reconnects == 1).await;
    written.push(store.put("/t/a", "last").await);
    until("the last change arrives", || db.snapshot().revision() >= written[10]).await;
    let seen: Vec<_> = record.lock().unwrap().iter().map(|(revision, ..)| *revision).collect();
    assert_eq!(seen, written);
}

// D31
async fn progress_of_revision_zero_is_ignored(store: Store) {
    store.put("/t/a", "1").await;
    let gate = Gate::new(&store);
    gate.zero_progress();
    let db = gate.builder().connect().await.unwrap();
    for round in 0..3_u32 {
        let before = db.snapshot().revision();
        store.put("/elsewhere", round.to_string()).await;
        // A proof must do what progress does elsewhere.
        let fresh = within("fresh", db.fresh()).await.unwrap();
        assert!(fresh.revision() >= before && fresh.len() == 1);
    }
    assert_eq!(db.stats().resyncs, 0);
}

// D28 D7
async fn watch_goes_on_across_a_resync(store: Store) {
    store.put_all(&[("/t/a", "1"), ("/t/b", "1")]).await;
    let gate = Gate::new(&store);
    let db = gate.builder().connect().await.unwrap();
    let mut watch = db.watch(RAW, .., WatchMode::EXACT).unwrap();
    let initial = within("the initial state", watch.next()).await.unwrap().unwrap();
    assert_eq!(initial.changes().count(), 2);
    gate.hold_watches();
    store.put("/t/a", "2").await;
    store.put("/t/a", "3").await;
    assert_eq!(store.delete("/t/b").await, 1);
    let last = store.put("/elsewhere", "1").await;
    store.backend.compact(last).await.unwrap();
    gate.cut_watches();
    gate.release_watches();
    let resync = within("the resync", watch.next()).await.unwrap().unwrap();
    assert_eq!((resync.kind(), resync.changes().count()), (ChangeKind::Resync, 2));
    let next = store.put("/t/c", "1").await;
    let update = within("the next change", watch.next()).await.unwrap().unwrap();
    assert_eq!((update.kind(), update.revision()), (ChangeKind::Transaction, next));
}

#[cfg(feature = "etcd")]
mod failing_etcd {
    use super::*;
    use tailetc::Phase;
    use tailetc_testkit::etcd_server::{EtcdServer, EtcdServerOptions};

    /// Enough for any disk.
    const LONG: Duration = Duration::from_secs(30);

    async fn durable(request_timeout: Duration) -> Store {
        use tailetc::etcd::{EtcdBackend, EtcdOptions};
        let server = EtcdServer::start_with(EtcdServerOptions::default().with_durable());
        let server = server.await.expect("starting etcd");
        let options = EtcdOptions::new([server.url()]).with_request_timeout(request_timeout);
        let backend = EtcdBackend::connect(options).await.expect("connecting");
        Store { backend: Arc::new(backend), server: Some(server) }
    }

    // D35
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn killed_server_is_noticed_and_found_again() {
        let mut store = durable(LONG).await;
        store.put("/t/a", "1").await;
        let db = store.db().await;
        let (record, _guard) = record(&db);
        let server = store.server.as_mut().unwrap();
        server.kill().await.unwrap();
        until("noticed", || db.health().phase == Phase::Reconnecting).await;
        let health = db.health();
        assert!(health.last_error.is_some(), "{health:?}");
        assert_eq!(*db.get(RAW, "a").unwrap().unwrap(), "1");
        let mut txn = db.txn();
        txn.put(RAW, "a", Bytes::from("lost")).unwrap();
        let error = within("commit while down", txn.commit()).await.unwrap_err();
        assert!(error.is_transient() || error.is_outcome_unknown(), "{error}");

        server.restart().await.unwrap();
        until("found again", || db.health().is_tailing()).await;
        let last = store.put("/t/a", "2").await;
        until("the change arrives", || db.snapshot().revision() >= last).await;
        let put = db.transact(|txn| txn.put(RAW, "b", Bytes::from("1")));
        within("commit", put).await.unwrap();
        let seen = record.lock().unwrap();
        assert!(seen.iter().all(|(_, kind, _)| *kind == ChangeKind::Transaction), "{seen:?}");
    }

    // D6 D13
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn commit_to_a_paused_server_ends_by_its_deadline() {
        let mut store = durable(Duration::from_secs(2)).await;
        let db = store.db().await;
        let server = store.server.as_mut().unwrap();
        server.pause().await.unwrap();
        let mut txn = db.txn();
        txn.put(RAW, "a", Bytes::from("1")).unwrap();
        let error = within("commit to a paused server", txn.commit()).await.unwrap_err();
        server.resume().await.unwrap();
        assert!(error.is_outcome_unknown(), "{error}");
        let put = || db.transact(|txn| txn.put(RAW, "b", Bytes::from("1")));
        within("commit", async { while put().await.is_err() {} }).await;
    }

    // D11
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn replaced_cluster_is_loaded_anew() {
        let mut store = durable(LONG).await;
        for round in 0..20_u32 {
            store.put("/t/a", round.to_string()).await;
        }
        let db = store.db().await;
        let token = db.snapshot().token();
        let (record, _guard) = record(&db);
        let server = store.server.as_mut().unwrap();
        server.kill().await.unwrap();
        std::fs::remove_dir_all(server.data_dir()).unwrap();
        server.restart().await.unwrap();
        within("a key in the new cluster", async {
            use tailetc::backend::{KvBackendExt, PutRequest};
            let put = || store.backend.put(PutRequest::new("/t/b", "new"));
            while put().await.is_err() {}
        })
        .await;
        until("loaded anew", || db.snapshot().contains(RAW, "b").unwrap()).await;
        assert!(!db.snapshot().contains(RAW, "a").unwrap());
        assert!(db.snapshot().revision() < token.revision());
        assert_eq!(record.lock().unwrap()[0].1, ChangeKind::Resync);
        let error = within("old token", db.at_least(&token)).await.unwrap_err();
        assert!(matches!(error, tailetc::Error::TokenMismatch { .. }), "{error}");
        let put = db.transact(|txn| txn.put(RAW, "c", Bytes::from("1")));
        within("commit", put).await.unwrap();
    }
}
