use tailetc_core::backend::{
    BackendErrorKind, KeyRange, KvBackend, RangeRequest, SortOrder, SortTarget, TxnRequest,
};
use tailetc_memkv::MemKv;

use crate::support::{assert_refused, current, erase, keys, put, read_at, rev, write};

async fn sample() -> MemKv {
    let store = MemKv::new();
    for key in ["a", "ab", "b", "c"] {
        write(&store, key, key).await;
    }
    store
}

async fn found(store: &MemKv, range: KeyRange) -> Vec<Vec<u8>> {
    let response = store.range(RangeRequest::new(range)).await.unwrap();
    let found = keys(&response.kvs);
    found.into_iter().map(<[u8]>::to_vec).collect()
}

// G1
#[tokio::test]
async fn range_end_decides_the_keys() {
    let store = sample().await;
    assert_eq!(found(&store, KeyRange::key("a")).await, [b"a"]);
    assert_eq!(found(&store, KeyRange::prefix("a")).await, [&b"a"[..], b"ab"]);
    assert_eq!(found(&store, KeyRange::from_key("ab")).await.len(), 3);
    assert_eq!(found(&store, KeyRange::span("a", "b")).await.len(), 2);
    assert_eq!(found(&store, KeyRange::all()).await.len(), 4);
    assert!(found(&store, KeyRange::from_wire("b", "a")).await.is_empty());
    assert!(found(&store, KeyRange::from_wire("b", "b")).await.is_empty());
}

// R8
#[tokio::test]
async fn keys_are_bytes_in_byte_order() {
    let store = MemKv::new();
    for key in ["\u{e9}", "z", "\0", "\x7f"] {
        write(&store, key, "").await;
    }
    let expected: [&[u8]; 4] = [b"\0", b"z", b"\x7f", b"\xc3\xa9"];
    assert_eq!(found(&store, KeyRange::all()).await, expected);
}

// G2, G3
#[tokio::test]
async fn old_revisions_stay_readable_with_the_current_header() {
    let store = sample().await;
    erase(&store, "a").await;
    write(&store, "b", "new").await;
    let then = read_at(&store, KeyRange::all(), 4).await.unwrap();
    assert_eq!(keys(&then.kvs), [&b"a"[..], b"ab", b"b"]);
    assert_eq!(then.kvs[2].value, "b");
    assert_eq!(then.header.revision, rev(7));
    let empty = read_at(&store, KeyRange::all(), 1).await.unwrap();
    assert_eq!((empty.kvs.len(), empty.count), (0, 0));
    let now = read_at(&store, KeyRange::all(), 7).await.unwrap();
    assert_eq!(keys(&now.kvs), [&b"ab"[..], b"b", b"c"]);
}

// G2
#[tokio::test]
async fn negative_revision_is_the_current_one() {
    let store = sample().await;
    for revision in [0, -1, i64::MIN] {
        assert_eq!(read_at(&store, KeyRange::all(), revision).await.unwrap().count, 4);
    }
}

// G2
#[tokio::test]
async fn future_revision_is_refused() {
    let store = sample().await;
    let above = current(&store).await + 1;
    for range in [KeyRange::all(), KeyRange::from_wire("b", "a")] {
        assert_refused(
            read_at(&store, range, above).await,
            BackendErrorKind::FutureRevision,
            "etcdserver: mvcc: required revision is a future revision",
        );
    }
}

// R8
#[tokio::test]
async fn empty_key_is_refused() {
    let store = sample().await;
    for end in ["", "z", "\0"] {
        let request = RangeRequest::new(KeyRange::from_wire("", end));
        assert_refused(
            store.range(request).await,
            BackendErrorKind::InvalidRequest,
            "etcdserver: key is not provided",
        );
    }
}

// G11
#[tokio::test]
async fn pages_pinned_to_a_revision_give_one_state() {
    let store = sample().await;
    let first = RangeRequest::new(KeyRange::all()).with_limit(2);
    let first = store.range(first).await.unwrap();
    assert!(first.more && first.count == 4);
    erase(&store, "b").await;
    write(&store, "bb", "").await;
    let rest = RangeRequest::new(KeyRange::from_key("ab\0"))
        .with_revision(first.header.revision)
        .with_limit(2);
    let rest = store.range(rest).await.unwrap();
    assert_eq!(keys(&rest.kvs), [b"b", b"c"]);
    assert!(!rest.more);
}

// G9
#[tokio::test]
async fn serializable_reads_are_as_fresh_as_others() {
    let store = sample().await;
    let request = RangeRequest::new(KeyRange::all()).with_serializable();
    assert_eq!(store.range(request).await.unwrap().count, 4);
}

// G5, G6
#[tokio::test]
async fn equals_stay_in_key_order_in_both_directions() {
    let store = MemKv::new();
    let puts = ["f", "b", "d", "a", "e", "c"].map(|key| put(key, "same"));
    store.txn(TxnRequest::new(puts)).await.unwrap();
    write(&store, "c", "same").await;
    let sorted = async |target, order, limit| {
        let request = RangeRequest::new(KeyRange::all()).with_sort(target, order);
        let response = store.range(request.with_limit(limit)).await.unwrap();
        let kvs = response.kvs.into_iter().map(|kv| String::from_utf8(kv.key.into()).unwrap());
        kvs.collect::<String>()
    };
    use SortOrder::{Ascend, Descend, None};
    use SortTarget::{CreateRevision, Key, ModRevision, Value, Version};
    for target in [CreateRevision, Value] {
        for order in [None, Ascend, Descend] {
            assert_eq!(sorted(target, order, 0).await, "abcdef", "{target:?} {order:?}");
        }
        // "The last one created" of six puts at one revision is the first of them.
        assert_eq!(sorted(target, Descend, 1).await, "a");
    }
    for target in [ModRevision, Version] {
        assert_eq!(sorted(target, None, 0).await, "abdefc");
        assert_eq!(sorted(target, Ascend, 4).await, "abde");
        assert_eq!(sorted(target, Descend, 4).await, "cabd");
        // What is sorted is one more than the limit.
        assert_eq!(sorted(target, None, 2).await, "ab");
        assert_eq!(sorted(target, None, 3).await, "abd");
    }
    assert_eq!(sorted(Key, Descend, 0).await, "fedcba");
}
