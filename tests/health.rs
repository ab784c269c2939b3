//! Promise P6, its second part: what the `Db` knows of its own state, and what it does about
//! connections that die without a word.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test ends at the first thing that is not as expected"
)]

mod support;

use std::time::Duration;

use bytes::Bytes;
use support::{Gate, Store, until, within};
use tailetc::{Builder, Db, Error, Options, Phase, RAW, Staleness};

on_every_backend! {
    half_open_watch_that_withholds_a_change_is_opened_anew,
    idle_prefix_behind_a_proxy_is_current_without_reconnecting,
    idle_prefix_on_an_old_server_is_current_without_reconnecting,
    watch_from_a_revision_that_is_not_there_yet_is_not_taken_for_dead,
    store_that_hangs_is_noticed_and_found_again,
    phases_are_told_in_order,
    copy_that_is_behind_after_a_break_lags_until_it_shows_everything,
    any_staleness_asks_nothing,
    maximum_age_asks_only_when_the_copy_is_older,
    maximum_age_that_cannot_be_had_says_why,
    token_and_linearizable_reads_are_those_of_at_least_and_fresh,
}

const SHORT: Duration = Duration::from_millis(50);

/// With looks at the store every 50 ms, which may take `timeout`.
fn watchful(builder: Builder, timeout: Duration) -> Builder {
    let mut options = Options::default();
    options.backoff_min = Duration::from_millis(5);
    options.backoff_max = Duration::from_millis(100);
    options.progress_interval = SHORT;
    options.progress_timeout = timeout;
    options.catch_up_timeout = Duration::from_secs(1);
    builder.options(options)
}

async fn open(gate: &Gate, timeout: Duration) -> Db {
    watchful(gate.builder(), timeout).connect().await.unwrap()
}

fn has(db: &Db, key: &str) -> bool {
    db.snapshot().contains(RAW, key).unwrap()
}

// D14 D9
async fn half_open_watch_that_withholds_a_change_is_opened_anew(store: Store) {
    let gate = Gate::new(&store);
    let db = open(&gate, Duration::from_secs(1)).await;
    for round in 1..=2 {
        gate.freeze_watches();
        let key = round.to_string();
        store.put(&format!("/t/{key}"), "1").await;
        until("the change arrives", || has(&db, &key)).await;
        let stats = db.stats();
        assert!(stats.silent_watches >= round && stats.resyncs == 0, "{stats:?}");
    }
    until("tailing", || db.health().is_tailing()).await;
}

/// A watch that is known to answer is not trusted once it does not, before anything is lost.
// D14 D8
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_open_watch_of_an_idle_prefix_is_opened_anew() {
    let store = Store::memory();
    let gate = Gate::new(&store);
    let db = open(&gate, Duration::from_secs(3)).await;
    let elsewhere = store.put("/elsewhere", "1").await;
    // Nothing but an answer to a progress request can tell.
    until("the watch answers", || db.snapshot().revision() >= elsewhere).await;
    gate.freeze_watches();
    let elsewhere = store.put("/elsewhere", "2").await;
    until("opened anew", || db.stats().reconnects == 1).await;
    assert_eq!(db.stats().silent_watches, 1);
    until("the watch answers", || db.snapshot().revision() >= elsewhere).await;
    // The new watch has nothing to say below its start, and that is no reason to doubt it.
    let ranges = gate.ranges();
    until("many looks", || gate.ranges() > ranges + 100).await;
    assert_eq!(db.stats().reconnects, 1);
}

// D44 D14
async fn watch_from_a_revision_that_is_not_there_yet_is_not_taken_for_dead(store: Store) {
    let gate = Gate::new(&store);
    let db = open(&gate, Duration::from_secs(1)).await;
    let elsewhere = store.put("/elsewhere", "1").await;
    // Answers are known to come, where they do.
    let reliable = store.backend.capabilities().reliable_progress;
    until("fresh", || !reliable || db.snapshot().revision() >= elsewhere).await;
    within("fresh", db.fresh()).await.unwrap();
    gate.cut_watches();
    until("reconnected", || db.stats().reconnects == 1).await;
    // Nothing is written: the new watch begins above everything, and no progress is told.
    let ranges = gate.ranges();
    until("many looks", || gate.ranges() > ranges + 40).await;
    within("fresh", db.fresh()).await.unwrap();
    let (health, stats) = (db.health(), db.stats());
    assert!(health.is_tailing() && health.last_error.is_none(), "{health:?}");
    assert_eq!((stats.reconnects, stats.silent_watches, stats.resyncs), (1, 0, 0));
    // It says what comes.
    let written = store.put("/t/a", "1").await;
    until("the change", || db.snapshot().revision() >= written).await;
    store.put("/elsewhere", "2").await;
    within("fresh", db.fresh()).await.unwrap();
    assert_eq!(db.stats().reconnects, 1);
}

/// Checks that a prefix that stays idle while others write is known to be current, by reads alone.
async fn stays_current_without_reconnecting(store: &Store, db: &Db) {
    let opened = db.snapshot().revision();
    for round in 0..4_u32 {
        let elsewhere = store.put("/elsewhere", round.to_string()).await;
        until("looked at the store", || db.health().store_revision >= elsewhere).await;
        let at = tokio::time::Instant::now();
        until("known to be current", || db.health().age < at.elapsed()).await;
    }
    let (health, stats) = (db.health(), db.stats());
    assert_eq!(health.phase, Phase::Tailing);
    assert_eq!((stats.reconnects, stats.silent_watches, health.revision), (0, 0, opened));
    assert!(stats.proofs > 0);
}

// D34 D2
async fn idle_prefix_behind_a_proxy_is_current_without_reconnecting(store: Store) {
    let gate = Gate::new(&store);
    gate.swallow_progress();
    let db = open(&gate, Duration::from_secs(20)).await;
    stays_current_without_reconnecting(&store, &db).await;
}

// D1
async fn idle_prefix_on_an_old_server_is_current_without_reconnecting(store: Store) {
    let gate = Gate::new(&store);
    gate.distrust_progress();
    let db = open(&gate, Duration::from_secs(20)).await;
    stays_current_without_reconnecting(&store, &db).await;
    assert_eq!(db.stats().progress_requests, 0);
}

// D13 D14
async fn store_that_hangs_is_noticed_and_found_again(store: Store) {
    store.put("/t/a", "1").await;
    let gate = Gate::new(&store);
    let db = open(&gate, Duration::from_millis(200)).await;
    gate.hang();
    until("noticed", || db.health().phase == Phase::Reconnecting).await;
    let health = db.health();
    assert!(health.last_error.is_some(), "{health:?}");
    assert_eq!(*db.get(RAW, "a").unwrap().unwrap(), "1");
    let error = within("fresh", db.fresh()).await.unwrap_err();
    assert!(matches!(error, Error::Backend { .. }) && error.is_transient(), "{error}");
    store.put("/t/a", "2").await;
    gate.hang_no_more();
    until("the change arrives", || *db.get(RAW, "a").unwrap().unwrap() == "2").await;
    until("tailing", || db.health().is_tailing()).await;
    assert_eq!(db.stats().resyncs, 0);
}

async fn phases_are_told_in_order(store: Store) {
    let gate = Gate::new(&store);
    let db = open(&gate, Duration::from_secs(1)).await;
    until("tailing", || db.health().is_tailing()).await;
    let mut health = db.health_changes();
    assert_eq!(within("health", health.next()).await.unwrap().phase, Phase::Tailing);
    gate.hang();
    let broken = within("health", health.next()).await.unwrap();
    assert_eq!(broken.phase, Phase::Reconnecting);
    assert!(broken.last_error.is_some() && broken.age >= SHORT, "{broken:?}");
    gate.hang_no_more();
    let mended = within("health", health.next()).await.unwrap();
    assert_eq!((mended.phase, mended.last_error), (Phase::Tailing, None));
}

// D10
async fn copy_that_is_behind_after_a_break_lags_until_it_shows_everything(store: Store) {
    let gate = Gate::new(&store);
    let db = gate.builder().connect().await.unwrap();
    gate.hold_watches();
    let last = store.put("/t/a", "1").await;
    gate.cut_watches();
    until("behind", || db.health().phase == Phase::Lagging).await;
    let health = db.health();
    assert!(health.revision < last && health.store_revision >= last, "{health:?}");
    assert!(!health.is_tailing());
    gate.release_watches();
    until("caught up", || db.health().is_tailing()).await;
    assert!(has(&db, "a"));
}

async fn any_staleness_asks_nothing(store: Store) {
    let gate = Gate::new(&store);
    let db = gate.builder().connect().await.unwrap();
    gate.hang();
    let ranges = gate.ranges();
    within("read", db.read(Staleness::Any)).await.unwrap();
    db.close();
    within("read", db.read(Staleness::Any)).await.unwrap();
    assert_eq!(gate.ranges(), ranges);
}

async fn maximum_age_asks_only_when_the_copy_is_older(store: Store) {
    let gate = Gate::new(&store);
    let db = gate.builder().connect().await.unwrap();
    let ranges = gate.ranges();
    within("read", db.read(Staleness::MaxAge(Duration::from_secs(3600)))).await.unwrap();
    assert_eq!(gate.ranges(), ranges, "it is young enough");
    let last = store.put("/t/a", "1").await;
    let fresh = within("read", db.read(Staleness::MaxAge(Duration::ZERO))).await.unwrap();
    assert!(gate.ranges() > ranges && fresh.revision() >= last);
    // A commit proves it as well.
    tokio::time::sleep(Duration::from_millis(20)).await;
    let before = tokio::time::Instant::now();
    let put = db.transact(|txn| txn.put(RAW, "b", Bytes::new()));
    within("commit", put).await.unwrap();
    assert!(db.health().age <= before.elapsed());
}

async fn maximum_age_that_cannot_be_had_says_why(store: Store) {
    let gate = Gate::new(&store);
    let db = open(&gate, Duration::from_millis(200)).await;
    gate.hang();
    tokio::time::sleep(SHORT).await;
    let allowed = Duration::from_millis(1);
    let error = within("read", db.read(Staleness::MaxAge(allowed))).await.unwrap_err();
    assert!(error.is_transient() && error.backend_kind().is_some(), "{error}");
    let Error::TooStale { age, source, .. } = error else { panic!("{error}") };
    assert!(age > SHORT && matches!(*source, Error::Backend { .. }), "{age:?}");
    db.close();
    let error = within("read", db.read(Staleness::MaxAge(allowed))).await.unwrap_err();
    let Error::TooStale { source, .. } = error else { panic!("{error}") };
    assert!(matches!(*source, Error::Closed { .. }), "{source}");
}

async fn token_and_linearizable_reads_are_those_of_at_least_and_fresh(store: Store) {
    let (one, other) = (store.db().await, store.db().await);
    let put = one.transact(|txn| txn.put(RAW, "a", Bytes::new()));
    let (_, commit) = within("commit", put).await.unwrap();
    let seen = within("read", other.read(Staleness::AtLeast(commit.token()))).await.unwrap();
    assert!(seen.contains(RAW, "a").unwrap());
    let last = store.put("/t/b", "1").await;
    let seen = within("read", other.read(Staleness::Linearizable)).await.unwrap();
    assert!(seen.revision() >= last);
}
