use etcd_client::proto::{PbTargetUnion, PbTxnOpRequest, PbTxnRequest, PbTxnRequestOp};
use tailetc_core::{LeaseId, Revision};

use super::*;

fn nested() -> TxnRequest {
    TxnRequest::new([
        PutRequest::new("p", "v").with_lease(LeaseId::new(7)).with_prev_kv().into(),
        PutRequest::new("q", "").with_ignore_value().with_ignore_lease().into(),
        DeleteRequest::new(KeyRange::prefix("d/")).with_prev_kv().into(),
    ])
    .when([
        Compare::mod_revision("k", Revision::new(3)),
        Compare::new(
            KeyRange::from_key("v"),
            CompareTarget::Value("x".into()),
            CompareResult::NotEqual,
        ),
        Compare::new(
            KeyRange::key("l"),
            CompareTarget::Lease(LeaseId::new(9)),
            CompareResult::Greater,
        ),
    ])
    .otherwise([TxnRequest::new([RangeRequest::new(KeyRange::key("r"))
        .with_revision(Revision::new(5))
        .with_limit(2)
        .with_keys_only()
        .into()])
    .into()])
}

#[test]
fn txn_keeps_every_field_in_its_branch() {
    let pb = PbTxnRequest::from(txn(&nested()));
    let [a, b, c] = &pb.compare[..] else {
        panic!("three compares");
    };
    assert_eq!((&a.key[..], &a.range_end[..]), (&b"k"[..], &b""[..]));
    assert_eq!(a.target_union, Some(PbTargetUnion::ModRevision(3)));
    assert_eq!((&b.range_end[..], b.result), (&b"\0"[..], 3));
    assert_eq!(b.target_union, Some(PbTargetUnion::Value(b"x".to_vec())));
    assert_eq!(c.target_union, Some(PbTargetUnion::Lease(9)));

    let requests: Vec<_> = pb.success.into_iter().map(|op| op.request).collect();
    let [
        Some(PbTxnOpRequest::RequestPut(p)),
        Some(PbTxnOpRequest::RequestPut(q)),
        Some(PbTxnOpRequest::RequestDeleteRange(d)),
    ] = &requests[..]
    else {
        panic!("two puts and a deletion: {requests:?}");
    };
    assert_eq!((&p.key[..], &p.value[..], p.lease), (&b"p"[..], &b"v"[..], 7));
    assert!(p.prev_kv && !p.ignore_value && !p.ignore_lease);
    assert!(q.ignore_value && q.ignore_lease && !q.prev_kv);
    assert_eq!((&d.key[..], &d.range_end[..]), (&b"d/"[..], &b"d0"[..]));
    assert!(d.prev_kv);

    let [failure] = &pb.failure[..] else {
        panic!("one operation");
    };
    let Some(PbTxnOpRequest::RequestTxn(inner)) = &failure.request else {
        panic!("a nested transaction");
    };
    let Some(PbTxnOpRequest::RequestRange(r)) = &inner.success[0].request else {
        panic!("a range");
    };
    assert_eq!((r.revision, r.limit, r.keys_only), (5, 2, true));
    assert!(!r.count_only && !r.serializable);
}

#[test]
fn single_key_stays_single_even_when_empty() {
    // etcd refuses an empty key; the client must not make all keys of it.
    let pb =
        PbTxnRequest::from(txn(&TxnRequest::new([DeleteRequest::new(KeyRange::key("")).into()])));
    let Some(PbTxnOpRequest::RequestDeleteRange(d)) = &pb.success[0].request else {
        panic!("a deletion");
    };
    assert!(d.key.is_empty() && d.range_end.is_empty());
}

/// The message of a range, as it is sent within a transaction.
fn sent(request: RangeRequest) -> PbTxnRequestOp {
    PbTxnRequest::from(txn(&TxnRequest::new([request.into()]))).success.remove(0)
}

fn all() -> RangeRequest {
    RangeRequest::new(KeyRange::all())
}

#[test]
fn range_keeps_each_bound_in_its_field() {
    let request = all()
        .with_min_mod_revision(Revision::new(3))
        .with_max_mod_revision(Revision::new(4))
        .with_min_create_revision(Revision::new(5))
        .with_max_create_revision(Revision::new(6));
    let Some(PbTxnOpRequest::RequestRange(r)) = sent(request).request else {
        panic!("a range");
    };
    assert_eq!((r.min_mod_revision, r.max_mod_revision), (3, 4));
    assert_eq!((r.min_create_revision, r.max_create_revision), (5, 6));
    assert_eq!((r.sort_target, r.sort_order), (0, 0));
}

#[test]
fn range_keeps_target_and_order_as_etcd_numbers_them() {
    let targets = [
        SortTarget::Key,
        SortTarget::Version,
        SortTarget::CreateRevision,
        SortTarget::ModRevision,
        SortTarget::Value,
    ];
    let orders = [SortOrder::None, SortOrder::Ascend, SortOrder::Descend];
    for (target_number, target) in (0..).zip(targets) {
        for (order_number, order) in (0..).zip(orders) {
            let Some(PbTxnOpRequest::RequestRange(r)) =
                sent(all().with_sort(target, order)).request
            else {
                panic!("a range");
            };
            // The client leaves "ascending by key" out: it is the order that the server has.
            let expected = if (target_number, order_number) == (0, 1) { 0 } else { order_number };
            assert_eq!((r.sort_target, r.sort_order), (target_number, expected));
        }
    }
}

#[test]
fn watch_keeps_its_filters() {
    let numbers = |request: WatchRequest| -> Vec<i32> {
        filters(&request).into_iter().map(|filter| filter as i32).collect()
    };
    let every = || WatchRequest::new(KeyRange::all(), Revision::new(1));
    assert!(numbers(every()).is_empty());
    assert_eq!(numbers(every().with_no_put()), [0]);
    assert_eq!(numbers(every().with_no_delete()), [1]);
    assert_eq!(numbers(every().with_no_put().with_no_delete()), [0, 1]);
}
