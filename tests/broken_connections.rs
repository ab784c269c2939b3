//! However a connection breaks, and whatever it calls that: the copy serves its last state, tries
//! again with pauses, and says what is wrong; a commit says whether it may have been applied.

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
use tailetc::backend::BackendErrorKind as Kind;
use tailetc::{OnLoss, Phase, RAW};
use tokio::time::Instant;

on_every_backend! {
    whatever_breaks_is_tried_again_with_pauses,
    whatever_breaks_during_a_load_is_tried_again_with_pauses,
    session_outlives_whatever_breaks,
}

/// Everything that may be said of a connection, a token or a right that is there again later.
const KINDS: [Kind; 7] = [
    Kind::Unknown,
    Kind::Unavailable,
    Kind::Timeout,
    Kind::Unreachable,
    Kind::Unauthenticated,
    Kind::PermissionDenied,
    Kind::TooManyRequests,
];

/// Lets some time pass, in which no more may be tried than the pauses of 50 ms and more allow, and
/// the few requests that come to each.
async fn assert_pauses(gate: &Gate) {
    let (began, before) = (Instant::now(), gate.failures());
    tokio::time::sleep(Duration::from_millis(300)).await;
    let tried = gate.failures() - before;
    let allowed = 10 + began.elapsed().as_millis() / 10;
    assert!(u128::from(tried) <= allowed, "{tried} in {:?}", began.elapsed());
}

// D37
async fn whatever_breaks_is_tried_again_with_pauses(store: Store) {
    store.put("/t/a", "1").await;
    let gate = Gate::new(&store);
    let db = gate.builder().connect().await.unwrap();
    for kind in KINDS {
        gate.fail_with(Some(kind));
        until("noticed", || db.health().phase == Phase::Reconnecting).await;
        let health = db.health();
        assert!(health.last_error.is_some_and(|error| error.contains("broken")), "{kind:?}");
        assert!(db.snapshot().contains(RAW, "a").unwrap());
        let put = db.transact(|txn| txn.put(RAW, "b", Bytes::from("lost")));
        let error = within("commit", put).await.unwrap_err();
        assert_eq!(error.backend_kind(), Some(kind));
        assert_eq!(error.is_outcome_unknown(), kind.is_outcome_unknown(), "{kind:?}");
        let error = within("fresh", db.fresh()).await.unwrap_err();
        assert_eq!(error.backend_kind(), Some(kind));
        assert_pauses(&gate).await;
        gate.fail_with(None);
        until("tailing", || db.health().is_tailing()).await;
        let written = store.put("/t/a", format!("{kind:?}")).await;
        until("the change", || db.snapshot().revision() >= written).await;
    }
    assert!(!db.snapshot().contains(RAW, "b").unwrap());
    assert_eq!(db.stats().resyncs, 0);
}

// D37
async fn whatever_breaks_during_a_load_is_tried_again_with_pauses(store: Store) {
    store.put_all(&[("/t/a", "1"), ("/t/b", "1")]).await;
    let gate = Gate::new(&store);
    let db = gate.builder().connect().await.unwrap();
    for (round, kind) in KINDS.into_iter().enumerate() {
        gate.hold_watches();
        store.delete("/t/b").await;
        let last = store.put("/t/b", format!("{kind:?}")).await;
        let last = store.put("/elsewhere", format!("{last}")).await;
        store.backend.compact(last).await.unwrap();
        let failing = gate.clone();
        gate.before_next_page(move || async move { failing.fail_with(Some(kind)) });
        gate.cut_watches();
        gate.release_watches();
        let broken = || db.health().last_error.is_some_and(|error| error.contains("broken"));
        until("the load has failed", || db.health().phase == Phase::Resyncing && broken()).await;
        assert_pauses(&gate).await;
        gate.fail_with(None);
        until("tailing", || db.health().is_tailing()).await;
        assert_eq!(*db.get(RAW, "b").unwrap().unwrap(), format!("{kind:?}"));
        assert_eq!(db.stats().resyncs, round as u64 + 1);
    }
}

// D37
async fn session_outlives_whatever_breaks(store: Store) {
    let gate = Gate::new(&store);
    let db = gate.builder().connect().await.unwrap();
    let session = db.session(Duration::from_secs(60)).on_loss(OnLoss::Stop).open();
    let session = within("a session", session).await.unwrap();
    within("put", session.put(RAW, "a", Bytes::from("1"))).await.unwrap();
    for kind in KINDS {
        gate.fail_with(Some(kind));
        let error = within("put", session.put(RAW, "a", Bytes::from("2"))).await.unwrap_err();
        assert_eq!(error.backend_kind(), Some(kind));
        gate.fail_with(None);
        assert!(session.lease().is_some(), "{kind:?}");
        until("tailing", || db.health().is_tailing()).await;
        within("put", session.put(RAW, "a", Bytes::from("3"))).await.unwrap();
    }
    within("close", session.close()).await.unwrap();
    assert!(store.get("/t/a").await.is_none());
}
