//! Writes, deletions and compactions.

use crate::pair::Pair;

#[tokio::test]
async fn put() {
    let mut pair = Pair::start().await;
    pair.ctl_in_all_formats("put a 1").await;
    pair.ctl_in_all_formats("put a 2 --prev-kv").await;
    pair.ctl_in_all_formats("put new 2 --prev-kv").await;
    pair.ctl_in_all_formats("put a --ignore-value").await;
    pair.ctl_with("put from-input", "a value from the input").await;
    for command in [
        "put absent --ignore-value",
        "put absent 1 --ignore-lease",
        "put a 1 --lease=99",
        "put absent 1 --lease=99 --ignore-lease",
        "put a 5 --ignore-value",
    ] {
        pair.ctl(command).await;
    }
    pair.ctl("lease grant 600").await;
    pair.ctl("put leased 1 --lease={lease0}").await;
    pair.ctl_in_all_formats("get leased").await;
    pair.ctl("put leased 2 --ignore-lease").await;
    pair.ctl_in_all_formats("get leased").await;
    pair.ctl("put leased --ignore-value").await;
    pair.ctl_in_all_formats("get leased").await;
}

#[tokio::test]
async fn too_large_values() {
    let mut pair = Pair::start().await;
    let value = |size| "v".repeat(size);
    pair.ctl_with("put large", &value(1_500_000)).await;
    pair.ctl_with("put large", &value(1_600_000)).await;
    // Above what the transport takes.
    pair.ctl_with("put large", &value(2_200_000)).await;
}

#[tokio::test]
async fn del() {
    let mut pair = Pair::start().await;
    for command in ["put a 1", "put ab 2", "put b 3", "put c 4", "put d 5"] {
        pair.ctl(command).await;
    }
    pair.ctl_in_all_formats("del nothing").await;
    pair.ctl_in_all_formats("del nothing --prev-kv").await;
    for command in [
        "del a --prefix --prev-kv -w json",
        "del b --prev-kv -w fields",
        "del b --prev-kv",
        "del c --from-key --prev-kv",
        "del z a",
        "get a --from-key -w json",
    ] {
        pair.ctl(command).await;
    }
}

#[tokio::test]
async fn compaction() {
    let mut pair = Pair::start().await;
    for command in [
        "compact 0",
        "compact 1",
        "compact 1",
        "put a 1",
        "put a 2",
        "compact 2",
        "compact 2",
        "compact 1",
        "compact 9",
        "compact -1",
        "compaction 3 --physical",
        "get a --rev=2",
        "get a --rev=3",
    ] {
        pair.ctl(command).await;
    }
}
