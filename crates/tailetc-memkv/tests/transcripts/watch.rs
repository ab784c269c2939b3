//! Watches.

use crate::pair::Pair;

/// `end` in the base64 of JSON.
const END: &str = "ZW5k";

async fn history() -> Pair {
    let mut pair = Pair::start().await;
    for command in ["put a 1", "put a 2", "put ab 3", "del a", "put b 4", "put a end"] {
        pair.ctl(command).await;
    }
    pair
}

#[tokio::test]
async fn history_of_a_watch() {
    let pair = history().await;
    for range in ["a", "a --prefix", "a c"] {
        for flags in ["--rev=1", "--rev=1 --prev-kv", "--rev=3 --prev-kv", "--rev=7"] {
            pair.watch(&format!("{range} {flags} -w json")).until(END).await;
            pair.watch(&format!("{range} {flags}")).until("end").await;
            pair.watch(&format!("{range} {flags} -w fields")).until("end").await;
        }
    }
}

#[tokio::test]
async fn live_events_come_one_revision_at_a_time() {
    let mut pair = history().await;
    let mut watch = pair.watch("a --prefix --rev=7 --prev-kv -w json");
    watch.until(END).await;
    for command in ["put ax end", "put ax end", "put b end"] {
        pair.ctl(command).await;
    }
    watch.until(END).await;
    watch.until(END).await;
    pair.ctl("del ax").await;
    pair.ctl_with("txn", "\nput a1 1\nput a2 end\nput b end\n\n\n").await;
    watch.until(END).await;
    pair.ctl("del a --prefix").await;
    pair.ctl("put a end").await;
    watch.until(END).await;
}

#[tokio::test]
async fn lease_takes_its_keys_along() {
    let mut pair = Pair::start().await;
    pair.ctl("lease grant 600").await;
    pair.ctl("put a2 1 --lease={lease0}").await;
    pair.ctl("put a1 1 --lease={lease0}").await;
    let mut watch = pair.watch("a --prefix --rev=1 --prev-kv -w json");
    watch.until("YTE=").await;
    pair.ctl("lease revoke {lease0}").await;
    pair.ctl("put a end").await;
    watch.until(END).await;
}

#[tokio::test]
async fn compacted_history() {
    let mut pair = history().await;
    pair.ctl("compact 4").await;
    pair.watch("a --rev=3").end().await;
    pair.watch("a --rev=3 -w json").end().await;
    let mut watch = pair.watch("a --prefix --rev=5 --prev-kv -w json");
    watch.until(END).await;
}

#[tokio::test]
async fn interactive_watch_and_its_progress() {
    let mut pair = history().await;
    let mut watch = pair.watch("-i");
    watch.enter("watch a --rev=7").await;
    watch.until("end").await;
    watch.enter("progress").await;
    watch.until("progress notify: 7").await;
    pair.ctl("put unwatched 1").await;
    watch.enter("progress").await;
    watch.until("progress notify: 8").await;
}

#[tokio::test]
async fn empty_range_is_refused() {
    let pair = Pair::start().await;
    pair.watch("b a").end().await;
}
