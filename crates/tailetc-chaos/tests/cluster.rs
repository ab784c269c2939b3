//! The cluster that chaos runs on does what it is told.

#![expect(clippy::expect_used, reason = "the helpers of a test may fail it")]

use std::time::Duration;

use tailetc::Revision;
use tailetc::backend::{
    BackendError, KeyRange, KvBackend, PutRequest, RangeRequest, TxnRequest, WatchRequest,
};
use tailetc_etcd::{EtcdBackend, EtcdOptions};
use tailetc_testkit::etcd_cluster::{Disturbance, EtcdCluster, Party, RestoredAs};

async fn cluster() -> EtcdCluster {
    EtcdCluster::start().await.expect("a cluster starts")
}

async fn client_of(cluster: &EtcdCluster, member: usize) -> EtcdBackend {
    client_with(cluster, member, Duration::from_secs(2)).await
}

async fn client_with(cluster: &EtcdCluster, member: usize, timeout: Duration) -> EtcdBackend {
    let options =
        EtcdOptions::new([cluster.client_urls()[member].clone()]).with_request_timeout(timeout);
    EtcdBackend::connect(options).await.expect("the member answers")
}

async fn put(store: &EtcdBackend, key: &str) -> Result<Revision, BackendError> {
    let put = PutRequest::new(key.to_owned(), "value");
    Ok(store.txn(TxnRequest::new([put.into()])).await?.header.revision)
}

/// Until the cluster takes a write again.
async fn put_in_the_end(store: &EtcdBackend, key: &str) {
    for _ in 0..100 {
        if put(store, key).await.is_ok() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    put(store, key).await.expect("the cluster takes a write again");
}

async fn has(store: &EtcdBackend, key: &str) -> bool {
    let range = RangeRequest::new(KeyRange::key(key.to_owned()));
    !store.range(range).await.expect("a read").kvs.is_empty()
}

#[tokio::test(flavor = "multi_thread")]
async fn isolated_leader_takes_no_write_and_the_others_do() {
    let cluster = cluster().await;
    let leader = cluster.leader().await.expect("a leader");
    let (alone, other) =
        (client_of(&cluster, leader).await, client_of(&cluster, (leader + 1) % 3).await);
    put(&alone, "before").await.expect("a write");
    cluster.network().isolate(leader);
    put(&alone, "alone").await.expect_err("no majority");
    put_in_the_end(&other, "other").await;
    cluster.network().heal();
    put_in_the_end(&alone, "after").await;
    assert!(has(&other, "after").await);
}

// D13
#[tokio::test(flavor = "multi_thread")]
async fn watch_on_a_member_that_has_lost_its_leader_ends() {
    let cluster = cluster().await;
    let follower = (cluster.leader().await.expect("a leader") + 1) % 3;
    let deaf = client_of(&cluster, follower).await;
    let request = WatchRequest::new(KeyRange::prefix("a"), Revision::ZERO);
    let mut watcher = deaf.watch(request).await.expect("a watch");
    cluster.network().isolate(follower);
    // Nothing else ends it: its connection is well.
    let ended = tokio::time::timeout(Duration::from_secs(60), watcher.next()).await;
    let error = ended.expect("it ends").expect_err("there is nothing to deliver");
    assert!(error.kind().is_transient(), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_are_swallowed_belong_to_requests_that_arrived() {
    let cluster = cluster().await;
    let (lossy, other) = (client_of(&cluster, 0).await, client_of(&cluster, 1).await);
    put(&lossy, "before").await.expect("a write");
    cluster.network().disturb(Party::Member(0), Party::Clients, Disturbance::Swallow);
    let error = put(&lossy, "unanswered").await.expect_err("no answer");
    assert!(error.kind().is_outcome_unknown(), "{error}");
    assert!(has(&other, "unanswered").await);
    cluster.network().heal();
    put_in_the_end(&lossy, "after").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn follower_that_hears_no_leader_answers_no_read_and_the_others_go_on() {
    let cluster = cluster().await;
    let leader = cluster.leader().await.expect("a leader");
    let follower = (leader + 1) % 3;
    let (client, deaf) = (client_of(&cluster, leader).await, client_of(&cluster, follower).await);
    let (from, to) = (Party::Member(leader), Party::Member(follower));
    cluster.network().disturb(from, to, Disturbance::Swallow);
    put_in_the_end(&client, "during").await;
    let read = || deaf.range(RangeRequest::new(KeyRange::key("during")));
    read().await.expect_err("a read that the leader does not confirm");
    cluster.network().heal();
    put_in_the_end(&deaf, "after").await;
    cluster.healthy().await.expect("all serve");
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_are_held_arrive_when_the_network_is_healed() {
    let cluster = cluster().await;
    // Far longer than it takes to heal the network.
    let client = client_with(&cluster, 0, Duration::from_secs(60)).await;
    put(&client, "before").await.expect("a write");
    cluster.network().disturb(Party::Clients, Party::Member(0), Disturbance::Hold);
    let held = put(&client, "held");
    let healing = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let other = client_of(&cluster, 1).await;
        assert!(!has(&other, "held").await);
        cluster.network().heal();
    };
    let (held, ()) = tokio::join!(held, healing);
    held.expect("a write that took its time");
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_members_come_back_with_their_data() {
    let mut cluster = cluster().await;
    let client = client_of(&cluster, 0).await;
    put(&client, "before").await.expect("a write");
    for member in 0..3 {
        cluster.kill(member).await.expect("a member is killed");
    }
    put(&client, "nobody").await.expect_err("nobody there");
    for member in 0..3 {
        cluster.restart(member).await.expect("a member starts");
    }
    cluster.healthy().await.expect("all serve");
    assert!(has(&client, "before").await && !has(&client, "nobody").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn restored_cluster_is_what_it_was_at_the_backup() {
    let mut cluster = cluster().await;
    let client = client_of(&cluster, 0).await;
    let kept = put(&client, "kept").await.expect("a write");
    let before = client.status().await.expect("a status").header.cluster_id;
    for (restored_as, same) in [(RestoredAs::Same, true), (RestoredAs::Other, false)] {
        let backup = cluster.backup(0).await.expect("a backup");
        assert_eq!(backup.revision(), kept.get());
        put_in_the_end(&client, "lost").await;
        cluster.restore(&backup, restored_as).await.expect("a restored cluster");
        let client = client_of(&cluster, 1).await;
        assert!(has(&client, "kept").await && !has(&client, "lost").await);
        let header = client.status().await.expect("a status").header;
        assert_eq!(header.revision, kept);
        assert_eq!(header.cluster_id == before, same);
    }
}
