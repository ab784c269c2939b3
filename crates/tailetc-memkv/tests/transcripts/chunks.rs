//! Ranges as streams, which servers before 3.7 do not know.

use etcd_client::proto::{PbPutRequest, PbPutResponse, PbRangeRequest, PbRangeStreamResponse};

use crate::normal::without_ids;
use crate::pair::Pair;
use crate::wire::Wire;

// G10
#[tokio::test]
async fn chunks_are_equal() {
    let pair = Pair::start().await;
    let mut answers = Vec::new();
    for side in [&pair.real, &pair.fake] {
        let mut wire = Wire::connect(format!("http://{}", side.own.address)).await;
        for number in 0..70 {
            let value = vec![b'v'; if number % 8 == 0 { 100_000 } else { 10 }];
            let key = format!("{number:02}").into_bytes();
            let put = PbPutRequest { key, value, ..PbPutRequest::default() };
            wire.call::<_, PbPutResponse>("KV/Put", put).await.expect("a put");
        }
        let mut of_side = Vec::new();
        for request in requests() {
            let chunks = wire.read::<_, PbRangeStreamResponse>("KV/RangeStream", request).await;
            of_side.push(match chunks {
                Ok(chunks) => without_ids(&format!("{chunks:?}")),
                Err(status) => format!("{:?}: {}", status.code(), status.message()),
            });
        }
        answers.push(of_side);
    }
    for (number, (real, fake)) in answers[0].iter().zip(&answers[1]).enumerate() {
        assert!(fake == real, "request {number}: memkv {fake:.2000}, etcd {real:.2000}");
    }
}

fn requests() -> Vec<PbRangeRequest> {
    let all =
        PbRangeRequest { key: b"\0".to_vec(), range_end: b"\0".to_vec(), ..Default::default() };
    let from = |key: &str, end: &str| PbRangeRequest {
        key: key.into(),
        range_end: end.into(),
        ..Default::default()
    };
    vec![
        all.clone(),
        PbRangeRequest { limit: 1, ..all.clone() },
        PbRangeRequest { limit: 10, ..all.clone() },
        PbRangeRequest { limit: 12, ..all.clone() },
        PbRangeRequest { limit: 70, ..all.clone() },
        PbRangeRequest { limit: 71, ..all.clone() },
        PbRangeRequest { count_only: true, ..all.clone() },
        PbRangeRequest { count_only: true, limit: 3, ..all.clone() },
        PbRangeRequest { keys_only: true, ..all.clone() },
        PbRangeRequest { revision: 20, ..all.clone() },
        PbRangeRequest { revision: 99, ..all.clone() },
        PbRangeRequest { serializable: true, ..all.clone() },
        PbRangeRequest { sort_order: 1, ..all.clone() },
        PbRangeRequest { sort_order: 2, ..all.clone() },
        PbRangeRequest { sort_order: 1, sort_target: 1, ..all.clone() },
        PbRangeRequest { min_mod_revision: 2, ..all },
        from("30", ""),
        from("30", "40"),
        from("x", ""),
        from("40", "30"),
        from("", ""),
    ]
}
