//! HashKV. The numbers are what servers of those versions answered to the same requests.

use tailetc_core::Revision;
use tailetc_core::backend::{
    BackendErrorKind, DeleteRequest, KeyRange, KvBackend, PutRequest, TxnRequest,
};
use tailetc_memkv::{EtcdVersion, MemKv};

use crate::support::{delete, erase, imitating, lease, poll_now, put, rev, write};

/// The answer for one revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    /// A hash, and the compaction revision that it counts from.
    Hash(u32, i64),
    Compacted,
    Future,
}

use Answer::{Compacted as C, Future as F, Hash as H};

/// The answers from revision 0 on.
fn answers(store: &MemKv) -> Vec<Answer> {
    let answer = |revision: i64| match store.hash_kv(rev(revision)) {
        Ok(answer) => Answer::Hash(answer.hash, answer.compact_revision.get()),
        Err(error) if error.kind() == BackendErrorKind::FutureRevision => Answer::Future,
        Err(error) => {
            let compact_revision = Revision::ZERO;
            assert_eq!(error.kind(), BackendErrorKind::Compacted { compact_revision });
            Answer::Compacted
        }
    };
    let current = store.full_status().header.revision.get();
    (0..=current + 1).map(answer).collect()
}

/// Up to revision 8: puts, deletions, a lease, several changes in a revision, and a key that comes
/// and goes in one.
async fn history(store: &MemKv) {
    let long = "x".repeat(200);
    write(store, "a", "1").await;
    store.txn(TxnRequest::new([put("b", ""), PutRequest::new("c", long).into()])).await.unwrap();
    store.lease_grant(lease(7), 1000).await.unwrap();
    store.plain_put(&PutRequest::new("d", "leased").with_lease(lease(7))).unwrap();
    erase(store, "a").await;
    let replace = TxnRequest::new([put("e", "5"), delete(KeyRange::from_wire("b", "c"))]);
    store.txn(replace).await.unwrap();
    write(store, "a", "2").await;
    let fleeting = TxnRequest::new([put("z", "9"), delete(KeyRange::from_key("z"))]);
    store.txn(fleeting).await.unwrap();
}

const EMPTY: u32 = 1_084_519_789;
const AT_2: u32 = 2_587_454_935;
const AT_3: u32 = 4_075_705_412;
const AT_4: u32 = 502_674_412;
const AT_5: u32 = 2_194_277_076;
const AT_8: u32 = 1_760_730_280;

// X-Q
#[tokio::test]
async fn hash_counts_every_record_in_order() {
    for version in ["3.4.23", "3.5.1", "3.5.30", "3.6", "3.7"] {
        let store = imitating(version);
        assert_eq!(answers(&store), [H(EMPTY, -1), H(EMPTY, -1), F]);
        history(&store).await;
        let (at_6, at_7) = (3_763_192_631, 1_958_677_651);
        let hashes = [AT_8, EMPTY, AT_2, AT_3, AT_4, AT_5, at_6, at_7, AT_8];
        let mut expected: Vec<Answer> = hashes.into_iter().map(|hash| H(hash, -1)).collect();
        expected.push(F);
        assert_eq!(answers(&store), expected, "{version}");
    }
}

/// The answers after each of the compactions. Revision 0 is the current one; `at` is the answer at
/// a revision that was compacted itself.
async fn compacted(store: &MemKv, at: [Answer; 5]) {
    let [at_5, at_10, at_11, at_13, at_14] = at;
    let (c_6, c_7, c_8) = (H(355_190_009, 5), H(747_392_492, 5), H(3_089_228_536, 5));
    let (c_9, c_10) = (H(716_444_887, 5), H(3_817_138_579, 5));
    history(store).await;
    store.compact(rev(5)).await.unwrap();
    assert_eq!(answers(store), [c_8, C, C, C, C, at_5, c_6, c_7, c_8, F]);

    write(store, "a", "3").await;
    erase(store, "c").await;
    assert_eq!(answers(store), [c_10, C, C, C, C, at_5, c_6, c_7, c_8, c_9, c_10, F]);
    store.compact(rev(10)).await.unwrap();
    let now = H(4_169_042_868, 10);
    assert_eq!(answers(store), [now, C, C, C, C, at_5, C, C, C, C, at_10, F]);

    store.plain_delete(&DeleteRequest::new(KeyRange::all())).unwrap();
    let now = H(2_532_085_568, 10);
    assert_eq!(answers(store), [now, C, C, C, C, at_5, C, C, C, C, at_10, now, F]);
    store.compact(rev(11)).await.unwrap();
    let now = H(EMPTY, 11);
    assert_eq!(answers(store), [now, C, C, C, C, at_5, C, C, C, C, at_10, at_11, F]);

    write(store, "q", "").await;
    erase(store, "q").await;
    store.compact(rev(13)).await.unwrap();
    let now = H(EMPTY, 13);
    let until_11 = [C, C, C, C, at_5, C, C, C, C, at_10, at_11];
    assert_eq!(answers(store), [&[now], &until_11[..], &[C, at_13, F]].concat());
    write(store, "r", "").await;
    store.compact(rev(14)).await.unwrap();
    let now = H(3_336_184_722, 14);
    assert_eq!(answers(store), [&[now], &until_11[..], &[C, at_13, at_14, F]].concat());
}

// X-Q
#[tokio::test]
async fn compaction_revision_itself_was_not_hashed_before_3_4_27_and_3_5_10() {
    for version in ["3.4.23", "3.4.26", "3.5.1"] {
        compacted(&imitating(version), [C; 5]).await;
    }
}

// X-Q
#[tokio::test]
async fn compactions_leave_their_hashes_behind_since_3_5_5() {
    let left = [
        H(AT_5, -1),
        H(3_817_138_579, 5),
        H(3_922_991_343, 10),
        H(4_222_021_314, 11),
        H(3_336_184_722, 13),
    ];
    for version in ["3.5.30", "3.6", "3.7"] {
        let store = imitating(version);
        store.keep_hashes();
        compacted(&store, left).await;
    }
}

// X-Q
#[tokio::test]
async fn hash_of_a_compaction_at_0_stands_for_the_current_revision() {
    let store = imitating("3.5.30");
    store.keep_hashes();
    store.compact(rev(0)).await.unwrap();
    assert_eq!(answers(&store), [H(EMPTY, -1), H(EMPTY, 0), F]);
    history(&store).await;
    assert_eq!(answers(&store)[..3], [H(EMPTY, -1), H(EMPTY, 0), H(AT_2, 0)]);
    let old = imitating("3.5.1");
    old.keep_hashes();
    old.compact(rev(0)).await.unwrap();
    assert_eq!(answers(&old), [H(EMPTY, 0), H(EMPTY, 0), F]);
}

// X-Q
#[tokio::test]
async fn hash_leaves_out_what_its_revision_deleted_and_put_again() {
    let store = imitating("3.5.30");
    write(&store, "d", "").await;
    write(&store, "b", "").await;
    let again = TxnRequest::new([delete(KeyRange::all()), put("d", "")]);
    store.txn(again).await.unwrap();
    store.plain_delete(&DeleteRequest::new(KeyRange::all())).unwrap();
    store.compact(rev(2)).await.unwrap();
    assert_eq!(answers(&store)[4], H(2_511_304_885, 2));
}

// X-Q
#[tokio::test]
async fn ten_hashes_of_compactions_are_kept() {
    let store = MemKv::new();
    store.keep_hashes();
    for revision in 2..=12 {
        write(&store, "a", "").await;
        store.compact(rev(revision)).await.unwrap();
    }
    let answers = answers(&store);
    assert_eq!(answers[2], C);
    assert!(answers[3..=12].iter().all(|answer| matches!(answer, H(..))));
}

/// Compactions come faster than their hashes are found out, and nobody waits for them.
// X-Q
#[tokio::test]
async fn last_ten_hashes_are_the_same_however_late_they_are_found_out() {
    let hashes = async |slice| {
        let store = MemKv::builder().with_slice(slice).build();
        store.keep_hashes();
        for number in 0..100 {
            store.plain_put(&PutRequest::new(format!("k{number}"), "")).unwrap();
        }
        for _ in 0..25 {
            write(&store, "x", "").await;
            let last = write(&store, "y", "").await;
            let _ = poll_now(store.compact(rev(last)));
        }
        let answers = answers(&store);
        assert_eq!(answers.iter().filter(|answer| matches!(answer, H(..))).count(), 11);
        answers
    };
    assert_eq!(hashes(1).await, hashes(usize::MAX).await);
}

// X-Q
#[tokio::test]
async fn answer_tells_its_revision_since_3_6() {
    for (version, told) in [(EtcdVersion::V3_5, 0), (EtcdVersion::V3_6, 2)] {
        let store = MemKv::builder().with_imitate(version).build();
        write(&store, "a", "").await;
        write(&store, "a", "").await;
        let answer = store.hash_kv(rev(2)).unwrap();
        assert_eq!((answer.hash_revision, answer.header.revision), (rev(told), rev(3)));
    }
}
