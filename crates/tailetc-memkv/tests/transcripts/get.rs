//! Reads.

use crate::pair::Pair;

#[tokio::test]
async fn flags_of_get() {
    let mut pair = Pair::start().await;
    for command in ["put b 2", "put a 1", "put a 3", "put c 0", "put ab x", "del c", "put c 9"] {
        pair.ctl(command).await;
    }
    for command in [
        "get a",
        "get nothing",
        "get a c",
        "get b a",
        "get a --prefix",
        "get a --from-key",
        "get a --from-key --limit=2",
        "get a --from-key --limit=-1",
        "get a --rev=2",
        "get a --rev=3",
        "get c --rev=5",
        "get c --rev=7",
        "get a --keys-only --prefix",
        "get a --prefix --keys-only --sort-by=VALUE",
        "get a --consistency=s",
        "get a --from-key --order=DESCEND",
        "get a --from-key --order=ASCEND --sort-by=MODIFY",
        "get a --from-key --sort-by=CREATE",
        "get a --from-key --sort-by=VERSION --order=DESCEND --limit=1",
        "get a --from-key --sort-by=VALUE --limit=2",
    ] {
        pair.ctl_in_all_formats(command).await;
    }
    for command in [
        "get a --print-value-only",
        "get a --prefix --count-only -w json",
        "get a --prefix --count-only -w fields",
        "get a --prefix --count-only --limit=1 -w json",
        "get a --hex",
        "get a --prefix --keys-only --hex",
    ] {
        pair.ctl(command).await;
    }
}

#[tokio::test]
async fn refusals_of_get() {
    let mut pair = Pair::start().await;
    for command in ["put a 1", "put a 2", "put a 3", "compact 3"] {
        pair.ctl(command).await;
    }
    for command in [
        "get a --rev=9",
        "get a --rev=2",
        "get a --rev=3",
        "get a --rev=-1",
        "get a --prefix --from-key",
        "get",
        "get a --order=SIDEWAYS",
    ] {
        pair.ctl(command).await;
    }
}
