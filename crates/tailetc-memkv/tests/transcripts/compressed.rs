//! Compressed messages.

use std::fmt::Debug;

use etcd_client::proto::{PbPutRequest, PbPutResponse, PbRangeRequest, PbRangeResponse};
use tonic::Status;

use crate::normal::without_ids;
use crate::pair::Pair;
use crate::wire::Wire;

// S1
#[tokio::test]
async fn answers_are_compressed_alike() {
    let pair = Pair::start().await;
    let mut answers = Vec::new();
    for side in [&pair.real, &pair.fake] {
        let url = || format!("http://{}", side.own.address);
        let mut wires = [
            Wire::connect(url()).await,
            Wire::connect(url()).await.accepting_compressed(),
            Wire::connect(url()).await.compressed(),
        ];
        let mut of_side = String::new();
        for wire in &mut wires {
            for size in [10_000, 1_600_000] {
                let value = vec![b'v'; size];
                let put = PbPutRequest { key: b"a".to_vec(), value, ..Default::default() };
                let answer = wire.call_encoded::<_, PbPutResponse>("KV/Put", put).await;
                of_side += &shown(answer);
            }
            let get = PbRangeRequest { key: b"a".to_vec(), ..Default::default() };
            let answer = wire.call_encoded::<_, PbRangeResponse>("KV/Range", get).await;
            of_side += &shown(answer);
        }
        answers.push(of_side);
    }
    assert_eq!(answers[1], answers[0], "memkv left, etcd right");
}

fn shown<A: Debug>(answer: Result<(A, Option<String>), Status>) -> String {
    let refused = |status: Status| (status.code(), status.message().to_owned());
    without_ids(&format!("{:?}\n", answer.map_err(refused)))
}
