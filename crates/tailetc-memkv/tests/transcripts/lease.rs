//! Leases.

use crate::pair::Pair;

// X-T, L5
#[tokio::test]
async fn leases() {
    let mut pair = Pair::start().await;
    pair.ctl("lease list").await;
    pair.ctl("lease grant 600").await;
    pair.ctl("lease grant 500").await;
    pair.ctl("lease revoke {lease1}").await;
    pair.ctl("put a 1 --lease={lease0}").await;
    pair.ctl("put b 1 --lease={lease0}").await;
    for command in ["lease list", "lease keep-alive {lease0} --once"] {
        pair.ctl_in_all_formats(command).await;
    }
    // In JSON the time that is left has no text around it, and may be 599 or 600.
    pair.ctl("lease timetolive {lease0}").await;
    pair.ctl("del b").await;
    pair.ctl("lease timetolive {lease0} --keys").await;
    pair.ctl("get a -w json").await;
    pair.ctl("lease revoke {lease0}").await;
    pair.ctl("get a -w json").await;
    pair.ctl_in_all_formats("lease timetolive {lease0}").await;
    pair.ctl("lease list").await;
    // Raised to the shortest time there is. The last, as it may end at any moment after that.
    pair.ctl("lease grant 1").await;
}

#[tokio::test]
async fn refusals_of_leases() {
    let mut pair = Pair::start().await;
    for command in [
        "lease grant 9000000001",
        "lease grant many",
        "lease revoke 77",
        "lease revoke zz",
        "lease keep-alive 77 --once",
        "lease timetolive 77 --keys",
    ] {
        pair.ctl(command).await;
    }
}

#[tokio::test]
async fn revoked_lease_ends_keep_alive() {
    let mut pair = Pair::start().await;
    pair.ctl("lease grant 600").await;
    pair.ctl("put a 1 --lease={lease0}").await;
    pair.ctl("lease revoke {lease0}").await;
    pair.ctl("lease keep-alive {lease0}").await;
    pair.ctl("get a -w json").await;
}
