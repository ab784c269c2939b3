//! What simulations found about clusters that come back from a backup, made small.

#![expect(clippy::expect_used, reason = "a test ends at the first thing that is not as expected")]

use std::sync::Arc;
use std::time::Duration;

use tailetc_core::backend::{KeyRange, PutRequest, RangeRequest, TxnRequest};
use tailetc_core::{Bytes, Commit, Db, Error, RAW, Revision, Txn};
use tailetc_memkv::{MemKv, MemKvOptions};
use tailetc_testkit::faulty::{Cluster, FaultPlan, FaultyBackend, Identity, Restore};

const BEFORE: Identity = Identity { cluster_id: 1, raft_term: 50 };
const AFTER: Identity = Identity { cluster_id: 1, raft_term: 49 };

fn cluster() -> Cluster {
    Cluster::rebuildable(BEFORE, |identity| {
        let options = MemKvOptions::default()
            .with_cluster_id(identity.cluster_id)
            .with_raft_term(identity.raft_term);
        Arc::new(MemKv::with_options(options))
    })
}

async fn open(client: &FaultyBackend) -> Db {
    Db::builder(client.clone()).prefix("/t/").connect().await.expect("connecting")
}

/// A `Db` with all of a history of which only the first write outlasts a restore to the revision.
async fn with_history(cluster: &Cluster, plan: FaultPlan) -> (FaultyBackend, Db, Revision) {
    let client = cluster.client(plan);
    let db = open(&client).await;
    let kept = put(&db, "kept").await.revision();
    for _ in 0..5 {
        put(&db, "lost").await;
    }
    (client, db, kept)
}

async fn put(db: &Db, value: &'static str) -> Commit {
    let put = |txn: &mut Txn| txn.put(RAW, "k", Bytes::from(value));
    db.transact(put).await.expect("a commit").1
}

// D11
#[tokio::test(start_paused = true)]
async fn copy_of_a_lost_history_does_not_answer_for_a_token_of_the_new_one() {
    let cluster = cluster();
    let (cut_off, old, kept) = with_history(&cluster, FaultPlan::none()).await;
    cut_off.disconnect();
    cluster.restore(Restore { to: kept, identity: AFTER, bump: 0 }).await.expect("a restore");
    let token = put(&open(&cluster.client(FaultPlan::none())).await, "new").await.token();

    // Behind the copy's revision, and yet nothing that the copy shows.
    assert!(token.revision() < old.snapshot().revision());
    let cut_off_still = old.at_least(&token).await.unwrap_err();
    assert!(matches!(cut_off_still, Error::Backend { .. }), "{cut_off_still:?}");
    cut_off.reconnect();
    let shown = loop {
        match old.at_least(&token).await {
            Ok(snapshot) => break snapshot,
            Err(Error::HistoryLost { .. }) => {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            Err(error) => panic!("{error:?}"),
        }
    };
    assert_eq!(shown.get(RAW, "k").unwrap().as_deref(), Some(&Bytes::from("new")));
}

// D11
#[tokio::test(start_paused = true)]
async fn nothing_is_committed_from_a_history_that_is_known_to_be_lost() {
    let cluster = cluster();
    let (_client, db, kept) = with_history(&cluster, FaultPlan::none()).await;
    cluster.restore(Restore { to: kept, identity: AFTER, bump: 0 }).await.expect("a restore");
    let told = db.fresh().await.unwrap_err();
    assert!(matches!(told, Error::HistoryLost { .. }), "{told:?}");

    // Every guard of it holds in the store.
    let mut txn = db.txn();
    assert_eq!(txn.range(RAW, "x".."y").expect("a read").len(), 0);
    txn.put(RAW, "x1", Bytes::from("new")).expect("a write");
    let refused = txn.commit().await.unwrap_err();
    assert!(matches!(refused, Error::HistoryLost { .. }), "{refused:?}");
    let present = cluster.store().range(RangeRequest::new(KeyRange::key("/t/x1"))).await;
    assert!(present.expect("an answer").kvs.is_empty());
    let begun_before = db.txn();
    while db.txn().commit().await.is_err() || db.snapshot().revision() > kept {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let mut txn = begun_before;
    txn.put(RAW, "x2", Bytes::new()).expect("a write");
    let again = txn.commit().await.unwrap_err();
    assert!(again.is_conflict(), "run anew it succeeds: {again:?}");
    put(&db, "of the new history").await;
}

/// A marker that the backup has as it once was is not taken for one whose lease has ended.
// D11 D6
#[tokio::test(start_paused = true)]
async fn commit_with_a_marker_is_not_sent_again_into_another_history() {
    let cluster = cluster();
    let client = cluster.client(FaultPlan::none());
    let db = Db::builder(client).prefix("/t/").commit_markers("/markers/").connect().await;
    let db = db.expect("connecting");
    let kept = put(&db, "kept").await.revision();
    put(&db, "lost").await;
    cluster.restore(Restore { to: kept, identity: AFTER, bump: 0 }).await.expect("a restore");

    let mut txn = db.txn();
    txn.put(RAW, "x1", Bytes::from("new")).expect("a write");
    let lost = txn.commit().await.unwrap_err();
    assert!(matches!(lost, Error::HistoryLost { .. }), "{lost:?}");
    let present = cluster.store().range(RangeRequest::new(KeyRange::key("/t/x1"))).await;
    assert!(present.expect("an answer").kvs.is_empty());
}

// D11
#[tokio::test(start_paused = true)]
async fn commit_without_effect_notices_a_lost_history() {
    let commits: [fn(&mut Txn); 2] = [
        |txn| {
            assert!(!txn.contains(RAW, "absent").expect("a read"));
            txn.validate();
        },
        |txn| txn.delete(RAW, "absent").expect("a deletion"),
    ];
    for commit in commits {
        let cluster = cluster();
        let (_client, db, kept) = with_history(&cluster, FaultPlan::none()).await;
        cluster.restore(Restore { to: kept, identity: AFTER, bump: 0 }).await.expect("a restore");
        let mut txn = db.txn();
        commit(&mut txn);
        let lost = txn.commit().await.unwrap_err();
        assert!(matches!(lost, Error::HistoryLost { .. }), "{lost:?}");
    }
}

/// A backup that is restored with its revisions raised shows by its lower term alone, and its keys
/// may be as many and none of them newer.
// D11
#[tokio::test(start_paused = true)]
async fn proof_of_an_idle_prefix_notices_a_lost_history() {
    let cluster = cluster();
    let (client, db, kept) = with_history(&cluster, FaultPlan::none()).await;
    client.distrust_progress();
    // Something for `fresh` to wait for that the watch does not tell.
    let elsewhere = TxnRequest::new([PutRequest::new("/elsewhere", "").into()]);
    cluster.store().txn(elsewhere).await.expect("an answer");
    let restore = async {
        tokio::time::sleep(Duration::from_millis(5)).await;
        let restore = Restore { to: kept, identity: AFTER, bump: 1_000 };
        cluster.restore(restore).await.expect("a restore");
    };
    let (fresh, ()) = tokio::join!(db.fresh(), restore);
    assert!(matches!(fresh, Err(Error::HistoryLost { .. })), "{fresh:?}");
}

// D11
#[tokio::test(start_paused = true)]
async fn restore_at_any_moment_of_a_reconnection_is_noticed() {
    for moment in 0..120 {
        let cluster = cluster();
        let plan = FaultPlan::seeded(moment).with_latency(Duration::from_millis(20));
        let (client, db, kept) = with_history(&cluster, plan).await;
        client.cut_watch();
        tokio::time::sleep(Duration::from_millis(moment)).await;
        cluster.restore(Restore { to: kept, identity: AFTER, bump: 0 }).await.expect("a restore");
        // Past the copy's position, where a watch that waited in silence would begin to deliver.
        for number in 0..20 {
            let put = PutRequest::new(format!("/t/new{number}"), "new");
            cluster.store().txn(TxnRequest::new([put.into()])).await.expect("an answer");
        }
        // Without asking: an answer would tell.
        for _ in 0..500 {
            tokio::time::sleep(Duration::from_millis(1)).await;
            let shown = db.snapshot();
            let is_lost = shown.get(RAW, "k").unwrap().as_deref() == Some(&Bytes::from("lost"));
            assert!(!is_lost || shown.len() == 1, "of two histories, restored after {moment} ms");
        }
        assert_eq!(db.snapshot().len(), 21, "restored after {moment} ms");
        db.close();
    }
}
