//! What simulations found about clusters that come back from a backup, made small.

#![expect(clippy::expect_used, reason = "a test ends at the first thing that is not as expected")]

use std::sync::Arc;
use std::time::Duration;

use tailetc_core::{Bytes, Commit, Db, Error, RAW, Txn};
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

async fn put(db: &Db, value: &'static str) -> Commit {
    let put = |txn: &mut Txn| txn.put(RAW, "k", Bytes::from(value));
    db.transact(put).await.expect("a commit").1
}

#[tokio::test(start_paused = true)]
async fn copy_of_a_lost_history_does_not_answer_for_a_token_of_the_new_one() {
    let cluster = cluster();
    let cut_off = cluster.client(FaultPlan::none());
    let (old, writer) = (open(&cut_off).await, open(&cluster.client(FaultPlan::none())).await);
    let kept = put(&writer, "kept").await.revision();
    for _ in 0..5 {
        put(&writer, "lost").await;
    }
    old.fresh().await.expect("a current copy");
    cut_off.disconnect();
    cluster.restore(Restore { to: kept, identity: AFTER, bump: 0 }).await.expect("a restore");
    writer.close();
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
