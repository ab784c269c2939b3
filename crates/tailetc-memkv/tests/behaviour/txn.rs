use tailetc_core::Revision;
use tailetc_core::backend::{
    Compare, CompareResult, CompareTarget, DeleteRequest, Header, KeyRange, KeyValue, KvBackend,
    PutRequest, RangeRequest, TxnOp, TxnOpResponse, TxnRequest, TxnResponse,
};
use tailetc_memkv::MemKv;

use crate::support::{current, delete, get, kv, put, read, rev, write};

async fn submit(store: &MemKv, request: TxnRequest) -> TxnResponse {
    store.txn(request).await.expect("an answer")
}

fn absent(key: &'static str) -> Compare {
    Compare::mod_revision(key, Revision::ZERO)
}

#[track_caller]
fn range_of(response: &TxnOpResponse) -> (i64, &[KeyValue]) {
    match response {
        TxnOpResponse::Range(range) => (range.header.revision.get(), &range.kvs),
        other => panic!("not a range: {other:?}"),
    }
}

// T1
#[tokio::test]
async fn all_conditions_must_hold() {
    let store = MemKv::new();
    write(&store, "b", "").await;
    let request = |compares: Vec<Compare>| {
        TxnRequest::new([put("x", "then")]).otherwise([put("x", "else")]).when(compares)
    };
    for (compares, succeeded) in [
        (vec![], true),
        (vec![absent("a")], true),
        (vec![absent("a"), absent("b")], false),
        (vec![absent("b"), absent("a")], false),
        (vec![absent("a"), Compare::mod_revision("b", rev(2))], true),
    ] {
        let response = submit(&store, request(compares)).await;
        assert_eq!(response.succeeded, succeeded);
        let written = read(&store, "x").await.unwrap().value;
        assert_eq!(written, if succeeded { "then" } else { "else" });
    }
}

// T15
#[tokio::test]
async fn failed_transaction_without_operations_has_the_current_revision() {
    let store = MemKv::new();
    write(&store, "a", "").await;
    let request = TxnRequest::new([put("a", "")]).when([absent("a")]);
    let response = submit(&store, request).await;
    assert!(!response.succeeded && response.responses.is_empty());
    assert_eq!(response.header.revision, rev(2));
}

// T4
#[tokio::test]
async fn condition_on_a_range_is_about_every_key() {
    let store = MemKv::new();
    write(&store, "a", "").await;
    write(&store, "b", "").await;
    let holds = async |range: KeyRange, revision| {
        let compare = Compare::unwritten_since(range, rev(revision));
        submit(&store, TxnRequest::default().when([compare])).await.succeeded
    };
    assert!(holds(KeyRange::all(), 3).await);
    assert!(!holds(KeyRange::all(), 2).await);
    assert!(holds(KeyRange::span("a", "b"), 2).await);
    assert!(holds(KeyRange::span("x", "y"), 0).await);
    assert!(holds(KeyRange::from_wire("b", "a"), 0).await);
    let value = Compare::new(
        KeyRange::span("x", "y"),
        CompareTarget::Value("".into()),
        CompareResult::NotEqual,
    );
    assert!(!submit(&store, TxnRequest::default().when([value])).await.succeeded);
}

// T7
#[tokio::test]
async fn operations_see_earlier_ones() {
    let store = MemKv::new();
    write(&store, "a", "old").await;
    let again = DeleteRequest::new(KeyRange::all()).with_prev_kv();
    let request = TxnRequest::new([get("a"), put("a", "new"), get("a"), get("b")]);
    let response = submit(&store, request).await;
    assert_eq!(range_of(&response.responses[0]), (2, &[kv("a", "old", 2, 2, 1)][..]));
    let new = kv("a", "new", 2, 3, 2);
    assert_eq!(range_of(&response.responses[2]), (3, std::slice::from_ref(&new)));
    assert_eq!(range_of(&response.responses[3]), (3, &[][..]));

    let nested = TxnRequest::new([put("a", "mid")]);
    let response =
        submit(&store, TxnRequest::new([nested.into(), TxnRequest::new([again.into()]).into()]))
            .await;
    let TxnOpResponse::Txn(nested) = &response.responses[1] else {
        panic!("{response:?}");
    };
    let TxnOpResponse::Delete(deleted) = &nested.responses[0] else {
        panic!("{response:?}");
    };
    assert_eq!(deleted.prev_kvs, [kv("a", "mid", 2, 4, 3)]);
    assert_eq!(read(&store, "a").await, None);
}

// G2, T7
#[tokio::test]
async fn old_revision_is_readable_amid_changes() {
    let store = MemKv::new();
    write(&store, "a", "old").await;
    let at = |revision| -> TxnOp {
        RangeRequest::new(KeyRange::key("a")).with_revision(rev(revision)).into()
    };
    let response = submit(&store, TxnRequest::new([put("a", "new"), at(2), at(1)])).await;
    assert_eq!(range_of(&response.responses[1]), (3, &[kv("a", "old", 2, 2, 1)][..]));
    assert_eq!(range_of(&response.responses[2]), (3, &[][..]));
}

// R9, R10
#[tokio::test]
async fn inner_headers_hold_only_the_revision_and_nested_ones_nothing() {
    let store = MemKv::new();
    let nested = TxnRequest::new([put("a", "")]);
    let response = submit(&store, TxnRequest::new([nested.into(), get("a")])).await;
    assert_eq!(response.header.revision, rev(2));
    let TxnOpResponse::Txn(nested) = &response.responses[0] else {
        panic!("{response:?}");
    };
    assert_eq!(nested.header, Header::default());
    assert!(nested.succeeded);
    let TxnOpResponse::Range(range) = &response.responses[1] else {
        panic!("{response:?}");
    };
    let expected = Header { revision: rev(2), ..Header::default() };
    assert_eq!(range.header, expected);
}

// T6
#[tokio::test]
async fn nested_conditions_see_the_state_before_everything() {
    let store = MemKv::new();
    let nested =
        TxnRequest::new([put("b", "then")]).otherwise([put("b", "else")]).when([absent("a")]);
    let response = submit(&store, TxnRequest::new([put("a", ""), nested.into()])).await;
    assert!(response.succeeded);
    assert_eq!(read(&store, "b").await, Some(kv("b", "then", 2, 2, 1)));
}

// T11
#[tokio::test]
async fn deletion_and_put_of_one_key_in_one_revision() {
    let store = MemKv::new();
    write(&store, "a", "1").await;
    write(&store, "a", "2").await;
    let asking = PutRequest::new("a", "3").with_prev_kv();
    let request = TxnRequest::new([delete(KeyRange::all()), asking.into()]);
    let response = submit(&store, request).await;
    assert_eq!(response.header.revision, rev(4));
    let TxnOpResponse::Put(answer) = &response.responses[1] else {
        panic!("{response:?}");
    };
    assert_eq!(answer.prev_kv, None);
    assert_eq!(read(&store, "a").await, Some(kv("a", "3", 4, 4, 1)));
}

// B2
#[tokio::test]
async fn dropped_transaction_is_not_applied_before_it_is_polled() {
    let store = MemKv::new();
    drop(store.txn(TxnRequest::new([put("a", "")])));
    assert_eq!(current(&store).await, 1);
}
