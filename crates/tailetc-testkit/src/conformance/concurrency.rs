//! Many callers at once.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;

use tailetc_core::Revision;
use tailetc_core::backend::{Compare, KeyRange, KvBackend, RangeRequest, TxnRequest};

use super::support::{Store, absent, joined, put, ranged, read, rev};

const TASKS: usize = 16;

/// Runs `work` in 16 tasks at once and gathers what they return.
async fn in_tasks<T, W, F>(store: &Store, work: W) -> Vec<T>
where
    T: Send + 'static,
    W: Fn(Store, usize) -> F,
    F: Future<Output = T> + Send + 'static,
{
    let tasks: Vec<_> = (0..TASKS).map(|task| tokio::spawn(work(store.clone(), task))).collect();
    let mut results = Vec::with_capacity(TASKS);
    for task in tasks {
        results.push(joined("a task", task).await);
    }
    results
}

async fn read_counter(store: &Store) -> (u64, Revision) {
    let Some(kv) = store.get("counter").await else {
        return (0, Revision::ZERO);
    };
    match std::str::from_utf8(&kv.value).map(str::parse) {
        Ok(Ok(count)) => (count, kv.mod_revision),
        _ => panic!("not a number: {kv:?}"),
    }
}

/// Increments guarded by the mod revision that was read: none is lost, whoever loses a race tries
/// again.
///
/// Rules: T2, B5.
pub async fn increments_with_guards_are_never_lost(backend: Arc<dyn KvBackend>) {
    const EACH: u64 = 5;
    let store = Store::new(backend);
    in_tasks(&store, |store: Store, _| async move {
        for _ in 0..EACH {
            loop {
                let (count, revision) = read_counter(&store).await;
                let guard = Compare::mod_revision("counter", revision);
                let write = put("counter", (count + 1).to_string());
                if store.txn(TxnRequest::new([write]).when([guard])).await.succeeded {
                    break;
                }
            }
        }
    })
    .await;
    let expected = TASKS as u64 * EACH;
    assert_eq!(read_counter(&store).await.0, expected);
    assert_eq!(store.existing("counter").await.version as u64, expected);
}

/// Of many that create the same key if it is absent, one wins, and the key is the winner's.
///
/// Rules: T1, B5.
pub async fn creation_raced_for_has_one_winner(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    for round in ["a", "b", "c", "d"] {
        let answers = in_tasks(&store, move |store: Store, task| async move {
            let create = TxnRequest::new([put(round, task.to_string())])
                .when([absent(round)])
                .otherwise([read(round)]);
            (task, store.txn(create).await)
        })
        .await;
        let winners: Vec<_> = answers.iter().filter(|(_, a)| a.succeeded).collect();
        assert_eq!(winners.len(), 1, "winners of {round}");
        let kv = store.existing(round).await;
        assert_eq!(kv.value, winners[0].0.to_string());
        for (_, answer) in answers.iter().filter(|(_, answer)| !answer.succeeded) {
            assert_eq!(ranged(answer, 0).kvs.first(), Some(&kv));
        }
    }
}

/// Writers at once get a revision each, without gaps.
///
/// Rules: R2, B5.
pub async fn writes_at_once_take_a_revision_each(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    let revisions = in_tasks(&store, |store: Store, task| async move {
        let mut mine = Vec::new();
        for _ in 0..10 {
            mine.push(store.put(format!("k{task}"), "").await);
        }
        assert!(mine.is_sorted(), "later writes are later: {mine:?}");
        mine
    })
    .await;
    let taken: BTreeSet<Revision> = revisions.into_iter().flatten().collect();
    let expected: BTreeSet<Revision> = (2..2 + 10 * TASKS as i64).map(rev).collect();
    assert_eq!(taken, expected);
}

/// A reader never sees a part of a transaction, in one read nor in one old revision.
///
/// Rules: R2, G2.
pub async fn txn_is_never_seen_in_part(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    store.run([put("x", "0"), put("y", "0")]).await;
    in_tasks(&store, |store: Store, task| async move {
        for round in 0..10 {
            if task % 2 == 0 {
                let value = format!("{task}/{round}");
                store.run([put("x", value.clone()), put("y", value)]).await;
                continue;
            }
            let both = store.all().await;
            let (x, y) = (&both.kvs[0], &both.kvs[1]);
            assert_eq!((&x.value, x.mod_revision), (&y.value, y.mod_revision));
            assert!(both.header.revision >= x.mod_revision);
            let then = RangeRequest::new(KeyRange::all()).with_revision(both.header.revision);
            assert_eq!(store.range(then).await.kvs, both.kvs, "a revision is fixed");
        }
    })
    .await;
}

/// A transaction whose future is dropped was applied wholly or not at all.
///
/// Rules: B2.
pub async fn txn_dropped_midway_is_whole_or_absent(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    for round in 0..20_u64 {
        let both = [put("x", round.to_string()), put("y", round.to_string())];
        tokio::select! {
            biased;
            _ = store.run(both) => {}
            () = async {
                for _ in 0..round {
                    tokio::task::yield_now().await;
                }
            } => {}
        }
    }
    // A dropped write may still arrive, so both keys are read at once, again and again.
    for _ in 0..20 {
        let all = store.all().await.kvs;
        let values: BTreeSet<_> = all.iter().map(|kv| (&kv.value, kv.mod_revision)).collect();
        assert!(values.len() <= 1, "{all:?}");
        assert!(all.is_empty() || all.len() == 2, "{all:?}");
    }
}

/// A watch delivers what many write at once in one order, each once, as the store then reads.
///
/// Rules: W8, B5.
pub async fn watch_during_writes_at_once_agrees_with_the_store(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    let mut follow = store.follow(KeyRange::all(), 2).await;
    in_tasks(&store, |store: Store, task| async move {
        for round in 0..10 {
            let key = format!("k{}", (task + round) % 5);
            store.put(key, format!("{task}/{round}")).await;
        }
    })
    .await;
    let last = 1 + 10 * TASKS as i64;
    let events = follow.until(rev(last)).await;
    assert!(events.iter().map(|e| e.revision().get()).eq(2..=last));
    for kv in store.all().await.kvs {
        let seen = events.iter().rfind(|event| event.kv.key == kv.key);
        assert_eq!(seen.map(|event| &event.kv), Some(&kv));
    }
}
