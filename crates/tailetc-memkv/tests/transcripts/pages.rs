//! What is asked for in plain HTTP: status, header fields and body are equal.

use etcd_client::proto::{PbAlarmRequest, PbAlarmResponse};

use crate::pair::{Pair, Side};
use crate::wire::{Page, Wire};

// S2, S3
#[tokio::test]
async fn pages_are_equal() {
    let pair = Pair::start().await;
    compare(&pair).await;
    for side in [&pair.real, &pair.fake] {
        let mut wire = Wire::connect(format!("http://{}", side.own.address)).await;
        let alarm = PbAlarmRequest { action: 1, member_id: 7, alarm: 1 };
        wire.call::<_, PbAlarmResponse>("Maintenance/Alarm", alarm).await.expect("an alarm");
    }
    compare(&pair).await;
}

async fn compare(pair: &Pair) {
    for path in [
        "/health",
        "/health?exclude=NOSPACE",
        "/health?exclude=",
        "/health?exclude=CORRUPT&exclude=NOSPACE",
        "/health?exclude=nospace",
        "/health?serializable=true",
        "/version",
        "/livez",
        "/livez?verbose",
        "/livez/serializable_read?verbose",
        "/livez/nope",
        "/readyz",
        "/readyz?verbose",
        "/readyz?verbose&exclude=linearizable_read&exclude=nope",
        "/readyz/data_corruption",
        "/readyz/non_learner?verbose=1",
        "/nope",
    ] {
        for method in ["GET", "HEAD", "POST", "OPTIONS"] {
            let ask = async |side: &Side| {
                let mut page = Page::ask(&side.own.address, method, path).await;
                // Checks are in random order.
                let mut lines: Vec<_> = page.body.lines().collect();
                lines.sort_unstable();
                page.body = lines.join("\n");
                page
            };
            let (fake, real) = (ask(&pair.fake).await, ask(&pair.real).await);
            assert_eq!(fake, real, "memkv left, etcd right: {method} {path}");
        }
    }
}
