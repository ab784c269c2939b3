//! Transactions within transactions within transactions.

use std::sync::Arc;

use bytes::Bytes;
use tailetc_core::backend::{
    BackendErrorKind, DeleteRequest, Header, KeyRange, KvBackend, PutRequest, RangeRequest, TxnOp,
    TxnRequest, TxnResponse,
};

use super::support::{
    Store, absent, delete, delete_event, delete_key, deleted, exists, inner, keys, nested, pair,
    put, put_event, ranged, read, rev, text, written,
};

use BackendErrorKind::{DuplicateKey, KeyNotFound, TooManyOps};

/// A transaction that reads in one branch and in the other.
fn choice(key: &'static str, success: TxnOp, failure: TxnOp) -> TxnRequest {
    TxnRequest::new([success]).when([exists(key)]).otherwise([failure])
}

/// Which branch ran on each of three levels.
fn path(response: &TxnResponse) -> [bool; 3] {
    let second = inner(response, 0);
    [response.succeeded, second.succeeded, inner(second, 0).succeeded]
}

/// Nested transactions are answered in their place, empty ones too, and take no revision unless one
/// changes something.
///
/// Rules: R3, T13, T15.
pub async fn nested_txns_without_change_take_no_revision(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    store.put("a", "1").await;
    let idle = [nested([]), read("a"), nested([read("a"), nested([delete_key("b")])])];
    let response = store.run(idle).await;
    assert_eq!((response.responses.len(), response.header.revision), (3, rev(2)));
    assert!(inner(&response, 0).succeeded && inner(&response, 0).responses.is_empty());
    assert_eq!(deleted(inner(inner(&response, 2), 1), 0).deleted, 0);
    let changing = [nested([]), nested([nested([delete_key("a")])])];
    assert_eq!(store.run(changing).await.header.revision, rev(3));
}

/// Each of three levels runs the branch of its own conditions: eight paths, one write each.
///
/// Rules: T1, T6, T15.
pub async fn nested_conditions_of_three_levels_choose_one_of_eight_paths(
    backend: Arc<dyn KvBackend>,
) {
    let store = Store::new(backend);
    let tree = || {
        let leaf = |name: &'static str| -> TxnOp {
            let yes = put(format!("{name}y"), "");
            choice("k3", yes, put(format!("{name}n"), "")).into()
        };
        choice(
            "k1",
            choice("k2", leaf("yy"), leaf("yn")).into(),
            choice("k2", leaf("ny"), leaf("nn")).into(),
        )
    };
    for n in 0..8 {
        store.delete(KeyRange::all()).await;
        let chosen = [n & 4 != 0, n & 2 != 0, n & 1 != 0];
        let conditions = ["k1", "k2", "k3"].into_iter().zip(chosen);
        let present: Vec<_> =
            conditions.filter(|(_, holds)| *holds).map(|(key, _)| put(key, "")).collect();
        store.run(present).await;
        let response = store.txn(tree()).await;
        assert_eq!(path(&response), chosen);
        let name: String = chosen.map(|yes| if yes { 'y' } else { 'n' }).iter().collect();
        let leaves = RangeRequest::new(KeyRange::from_key("l"));
        assert_eq!(keys(&store.range(leaves).await.kvs), [name]);
    }
}

/// The answers of nested transactions, on every level, have an empty header; ranges within carry
/// the revision so far.
///
/// Rules: R9, R10.
pub async fn nested_answers_of_every_level_have_empty_headers(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    let ops = [nested([read("a"), nested([put("a", "1"), nested([read("a")])])])];
    let response = store.run(ops).await;
    assert_eq!(response.header.revision, rev(2));
    let first = inner(&response, 0);
    let second = inner(first, 1);
    let third = inner(second, 1);
    assert_eq!([first, second, third].map(|txn| txn.header), [Header::default(); 3]);
    let revisions = [ranged(first, 0), ranged(third, 0)].map(|range| range.header.revision);
    assert_eq!(revisions, [rev(1), rev(2)]);
}

/// Operations of nested transactions run in their place, and a watch shows them in that order.
///
/// Rules: R2, T7, W8.
pub async fn nested_operations_run_in_their_place(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    store.run([put("m", ""), put("n", "")]).await;
    let mut follow = store.follow(KeyRange::all(), 3).await;
    let third = nested([put("x", ""), delete_key("m"), put("w", "")]);
    let second = nested([put("y", ""), third, put("v", "")]);
    let last = store.run([put("z", ""), second, delete_key("n"), nested([put("u", "")])]).await;
    let put_of = |key: &'static str| put_event(pair(key, "", 3, 3, 1));
    let expected = [
        put_of("z"),
        put_of("y"),
        put_of("x"),
        delete_event("m", 3),
        put_of("w"),
        put_of("v"),
        delete_event("n", 3),
        put_of("u"),
    ];
    assert_eq!(follow.until(last.header.revision).await, expected);
}

/// A nested operation sees what ran before it on every level, and nothing of what runs after.
///
/// Rules: P4, T7.
pub async fn nested_operations_see_those_before_them(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    store.put("a", "old").await;
    let all = || -> TxnOp { RangeRequest::new(KeyRange::all()).into() };
    let gone = || -> TxnOp { DeleteRequest::new(KeyRange::key("a")).with_prev_kv().into() };
    let ops = [
        nested([nested([all(), PutRequest::new("a", "new").with_prev_kv().into()]), all()]),
        nested([all(), nested([gone(), all()])]),
        all(),
    ];
    let response = store.run(ops).await;
    let (old, new) = (pair("a", "old", 2, 2, 1), pair("a", "new", 2, 3, 2));
    let (first, second) = (inner(&response, 0), inner(&response, 1));
    assert_eq!(ranged(inner(first, 0), 0).kvs, std::slice::from_ref(&old));
    assert_eq!(written(inner(first, 0), 1).prev_kv, Some(old));
    assert_eq!(ranged(first, 1).kvs, std::slice::from_ref(&new));
    assert_eq!(ranged(second, 0).kvs, std::slice::from_ref(&new));
    assert_eq!(deleted(inner(second, 1), 0).prev_kvs, [new]);
    assert_eq!(ranged(inner(second, 1), 1).count, 0);
    assert_eq!(ranged(&response, 2).count, 0);
}

/// What is refused on the third level refuses everything.
///
/// Rules: P2, T8.
pub async fn nested_refusal_changes_nothing(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    store.put("a", "1").await;
    let absent_key: TxnOp = PutRequest::new("x", "").with_ignore_lease().into();
    let third = nested([put("d", ""), absent_key]);
    let tree = [put("b", ""), nested([delete_key("a"), nested([put("c", ""), third])])];
    store.refuses(TxnRequest::new(tree), KeyNotFound, text::KEY_NOT_FOUND).await;
}

/// Each level has what the longest lists of the levels above leave of the limit.
///
/// Rules: T9.
pub async fn nested_txn_of_the_third_level_has_the_rest_of_the_limit(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    let limit = store.capabilities().max_txn_ops;
    let tree = |count: usize| {
        let third = nested(vec![read("a"); count]);
        let second = TxnRequest::new([third]).when(vec![absent("x"); 2]);
        TxnRequest::new([]).when([exists("a")]).otherwise([put("b", ""), read("a"), second.into()])
    };
    let response = store.txn(tree(limit - 5)).await;
    assert_eq!(inner(inner(&response, 2), 0).responses.len(), limit - 5);
    store.refuses(tree(limit - 4), TooManyOps, text::TOO_MANY_OPS).await;
}

async fn conflicts(store: &Store, trees: Vec<Vec<TxnOp>>) {
    for ops in trees {
        let context = format!("{ops:?}");
        let result = store.try_run(ops).await;
        let kind = result.map_err(|error| error.kind());
        assert_eq!(kind.err(), Some(DuplicateKey), "{context}");
    }
    assert_eq!(store.revision().await, rev(1), "a refused transaction changes nothing");
}

/// Runs each on a key `a` that exists, and says whether it does afterwards.
async fn passes(store: &Store, trees: Vec<(Vec<TxnOp>, Option<&'static str>)>) {
    for (ops, expected) in trees {
        store.put("a", "before").await;
        let context = format!("{ops:?}");
        let result = store.try_run(ops).await;
        assert!(result.is_ok(), "{context}: {result:?}");
        let value = store.get("a").await.map(|kv| kv.value);
        assert_eq!(value, expected.map(Bytes::from), "{context}");
    }
}

fn otherwise(ops: impl IntoIterator<Item = TxnOp>) -> TxnOp {
    TxnRequest::default().otherwise(ops).into()
}

fn put_a() -> TxnOp {
    put("a", "1")
}

fn delete_a() -> TxnOp {
    delete_key("a")
}

/// Two puts of a key conflict on whichever levels they are, in whichever branches.
///
/// Rules: T10, X-X.
pub async fn nested_puts_of_three_levels_conflict(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    let deep = || nested([nested([put_a()])]);
    conflicts(
        &store,
        vec![
            vec![deep(), put_a()],
            vec![put_a(), deep()],
            vec![deep(), nested([put_a()])],
            vec![nested([put_a()]), deep()],
            vec![deep(), deep()],
            vec![nested([deep(), put_a()])],
            vec![otherwise([put_a()]), nested([put_a()])],
            vec![nested([otherwise([put_a()])]), otherwise([put_a()])],
            vec![TxnRequest::new([put_a()]).otherwise([put("b", "")]).into(), put("b", "")],
        ],
    )
    .await;
}

/// A put conflicts with deletions of its own level and of those above, in any order, and with
/// nested ones that come before it or beneath it.
///
/// Rules: T10, X-X.
pub async fn nested_deletions_of_three_levels_conflict_with_puts(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    let deep_put = || nested([nested([put_a()])]);
    let deep_delete = || nested([nested([delete_a()])]);
    let either = TxnRequest::new([delete_a()]).otherwise([put_a()]);
    conflicts(
        &store,
        vec![
            vec![delete_a(), deep_put()],
            vec![deep_put(), delete_a()],
            vec![deep_delete(), put_a()],
            vec![put_a(), deep_delete()],
            vec![deep_delete(), nested([put_a()])],
            vec![deep_delete(), deep_put()],
            vec![otherwise([delete_a()]), nested([put_a()])],
            vec![either.clone().into(), nested([put_a()])],
            vec![delete_a(), either.into()],
            vec![nested([delete(KeyRange::span("a", "c"))]), nested([put("b", "")])],
            vec![nested([put("b", ""), delete(KeyRange::prefix("a"))]), put_a()],
        ],
    )
    .await;
}

/// What is never run together does not conflict, nor does a deletion with a put of an earlier
/// sibling: that put is made and then deleted.
///
/// Rules: T10, X-X.
pub async fn nested_writes_that_the_check_lets_pass_run_in_order(backend: Arc<dyn KvBackend>) {
    let store = Store::new(backend);
    let branches = |success, failure| -> TxnOp {
        TxnRequest::new([success]).when([exists("a")]).otherwise([failure]).into()
    };
    let one = Some("1");
    passes(
        &store,
        vec![
            (vec![branches(put_a(), put_a())], one),
            (vec![branches(put_a(), delete_a())], one),
            (vec![branches(delete_a(), put_a())], None),
            (vec![nested([branches(nested([put_a()]), nested([put_a()]))])], one),
            (vec![nested([put_a()]), nested([delete_a()])], None),
            (vec![nested([nested([put_a()])]), nested([delete_a()])], None),
            (vec![nested([put_a()]), nested([nested([delete_a()])]), nested([delete_a()])], None),
            (vec![delete_a(), nested([delete_a()]), nested([nested([delete_a()])])], None),
            (vec![nested([put_a()]), nested([put("b", "")])], one),
        ],
    )
    .await;
}

/// Deletions of everything from a key on, and of ranges that hold nothing, conflict on no level.
///
/// Rules: T10, X-X.
pub async fn nested_deletions_that_the_check_does_not_see_run_in_order(
    backend: Arc<dyn KvBackend>,
) {
    let store = Store::new(backend);
    let from_a = || delete(KeyRange::from_key("a"));
    let one = Some("1");
    passes(
        &store,
        vec![
            (vec![from_a(), nested([put_a()])], one),
            (vec![nested([put_a()]), from_a()], None),
            (vec![put_a(), nested([nested([from_a()])])], None),
            (vec![nested([from_a()]), nested([nested([put_a()])])], one),
            (vec![nested([nested([from_a()]), put_a()])], one),
            (vec![nested([from_a()]), nested([put_a()]), nested([delete_a()])], None),
            (vec![delete(KeyRange::from_wire("a", "a")), nested([put_a()])], one),
            (vec![nested([delete(KeyRange::span("b", "a"))]), put_a()], one),
        ],
    )
    .await;
}
