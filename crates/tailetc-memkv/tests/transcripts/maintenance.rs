//! Endpoints, alarms and hashes.

use crate::pair::Pair;

// X-R
#[tokio::test]
async fn endpoints() {
    let mut pair = Pair::start().await;
    pair.ctl("endpoint health").await;
    pair.ctl("endpoint health -w json").await;
    pair.ctl_in_all_formats("endpoint status").await;
    for command in ["put a 1", "put a 2", "del a", "lease grant 60", "get a"] {
        pair.ctl(command).await;
    }
    pair.ctl_in_all_formats("endpoint status").await;
}

// X-Q
#[tokio::test]
async fn hashes() {
    let mut pair = Pair::start().await;
    pair.ctl_in_all_formats("endpoint hashkv").await;
    for command in ["put a 1", "put b 1", "put a 2", "del b", "put c 3"] {
        pair.ctl(command).await;
    }
    pair.ctl_in_all_formats("endpoint hashkv").await;
    pair.ctl("endpoint hashkv --rev=4").await;
    pair.ctl("endpoint hashkv --rev=99").await;
    pair.ctl("compact 4").await;
    pair.ctl("endpoint hashkv --rev=3").await;
    pair.ctl("endpoint hashkv --rev=5").await;
    pair.ctl("endpoint hashkv").await;
}

// X-R
#[tokio::test]
async fn alarms_and_defragmentation() {
    let mut pair = Pair::start().await;
    pair.ctl("alarm list").await;
    pair.ctl("alarm list -w json").await;
    pair.ctl("alarm disarm").await;
    pair.ctl("defrag").await;
}
