//! Indexes, unique indexes and guarded collections in transactions.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test ends at the first thing that is not as expected"
)]

mod support;

use serde::{Deserialize, Serialize};
use support::{Store, until, within};
use tailetc::backend::KvBackend as _;
use tailetc::{Collection, Db, Error, Index, Json, LeaseId, Limit, Prefix, Txn};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Doctor {
    ward: String,
    on_call: bool,
}

const DOCTORS: Collection<Json<Doctor>> = Collection::new("doctors/");
const ON_CALL: Index<Json<Doctor>, String> = DOCTORS.index("on-call", |_, doctor, keys| {
    if doctor.on_call {
        keys.add(&doctor.ward);
    }
});

on_every_backend! {
    pending_writes_are_seen_through_an_index,
    write_skew_on_an_index_is_refused,
    write_skew_on_an_index_of_a_guarded_collection_is_refused,
    deletion_of_what_an_index_found_conflicts,
    deletion_of_what_an_index_did_not_find_does_not_conflict,
    first_of_an_index_takes_guards_for_what_it_found_alone,
    scan_beyond_the_limit_is_refused_before_it_is_sent,
    guarded_scan_of_any_size_takes_one_guard,
    writers_of_a_guarded_collection_do_not_conflict,
    write_without_the_guard_key_is_counted,
    leases_are_refused_in_a_guarded_collection,
    own_commits_keep_the_guard_key_exact,
}

fn doctor(ward: &str, on_call: bool) -> Doctor {
    Doctor { ward: ward.to_owned(), on_call }
}

async fn open(store: &Store) -> Db {
    store.builder().collection(DOCTORS).index(ON_CALL).connect().await.unwrap()
}

async fn open_guarded(store: &Store) -> Db {
    let builder = store.builder().collection(DOCTORS).index(ON_CALL).guarded(DOCTORS);
    builder.connect().await.unwrap()
}

async fn put(db: &Db, key: &str, doctor: Doctor) {
    let put = db.transact(|txn| txn.put(DOCTORS, key, doctor.clone()));
    within("commit", put).await.unwrap();
}

fn names(found: Vec<(tailetc::Key, std::sync::Arc<Doctor>)>) -> Vec<String> {
    found.into_iter().map(|(key, _)| key.to_string()).collect()
}

async fn pending_writes_are_seen_through_an_index(store: Store) {
    let db = open(&store).await;
    put(&db, "ann", doctor("a", true)).await;
    put(&db, "bob", doctor("a", true)).await;
    put(&db, "eve", doctor("b", true)).await;
    let mut txn = db.txn();
    txn.put(DOCTORS, "ann", doctor("a", false)).unwrap();
    txn.put(DOCTORS, "dan", doctor("a", true)).unwrap();
    txn.delete(DOCTORS, "eve").unwrap();
    assert_eq!(names(txn.index_get(ON_CALL, "a").unwrap()), ["bob", "dan"]);
    assert_eq!(names(txn.index_range(ON_CALL, ..).unwrap()), ["bob", "dan"]);
    assert!(txn.index_range(ON_CALL, Prefix("b")).unwrap().is_empty());
    within("commit", txn.commit()).await.unwrap();
    let snapshot = db.snapshot();
    let found = snapshot.index(ON_CALL).unwrap().range(..);
    assert_eq!(found.map(|item| item.key.to_string()).collect::<Vec<_>>(), ["bob", "dan"]);
}

/// Two doctors each go off call, because the other one is on.
async fn leave(db: &Db) -> [Result<tailetc::Commit, Error>; 2] {
    put(db, "ann", doctor("a", true)).await;
    put(db, "bob", doctor("a", true)).await;
    let go = |name: &str| -> Txn {
        let mut txn = db.txn();
        assert_eq!(txn.index_get(ON_CALL, "a").unwrap().len(), 2);
        txn.put(DOCTORS, name, doctor("a", false)).unwrap();
        txn
    };
    let (ann, bob) = (go("ann"), go("bob"));
    [within("commit", ann.commit()).await, within("commit", bob.commit()).await]
}

async fn write_skew_on_an_index_is_refused(store: Store) {
    let [ann, bob] = leave(&open(&store).await).await;
    assert!(ann.is_ok());
    assert!(matches!(bob, Err(Error::Conflict { .. })), "{bob:?}");
    // And the other way: nobody is on call, and both come.
    let db = open(&store).await;
    let come = |name: &str| -> Txn {
        let mut txn = db.txn();
        assert!(txn.index_get(ON_CALL, "b").unwrap().is_empty());
        txn.put(DOCTORS, name, doctor("b", true)).unwrap();
        txn
    };
    let (eve, fay) = (come("eve"), come("fay"));
    within("commit", eve.commit()).await.unwrap();
    let conflict = within("commit", fay.commit()).await.unwrap_err();
    assert!(matches!(conflict, Error::Conflict { .. }), "{conflict:?}");
    // The store refuses it too, where one's own copy does not know yet.
    let other = open(&store).await;
    let mut txn = other.txn();
    assert_eq!(txn.index_get(ON_CALL, "b").unwrap().len(), 1);
    txn.put(DOCTORS, "gus", doctor("b", true)).unwrap();
    put(&db, "hal", doctor("b", true)).await;
    assert!(within("commit", txn.commit()).await.unwrap_err().is_conflict());
}

async fn write_skew_on_an_index_of_a_guarded_collection_is_refused(store: Store) {
    let [ann, bob] = leave(&open_guarded(&store).await).await;
    assert!(ann.is_ok());
    assert!(matches!(bob, Err(Error::Conflict { .. })), "{bob:?}");
}

async fn deletion_of_what_an_index_found_conflicts(store: Store) {
    for db in [open(&store).await, open_guarded(&store).await] {
        put(&db, "ann", doctor("a", true)).await;
        let mut txn = db.txn();
        assert_eq!(names(txn.index_get(ON_CALL, "a").unwrap()), ["ann"]);
        txn.put(DOCTORS, "bob", doctor("a", false)).unwrap();
        within("commit", db.transact(|txn| txn.delete(DOCTORS, "ann"))).await.unwrap();
        let conflict = within("commit", txn.commit()).await.unwrap_err();
        assert!(matches!(conflict, Error::Conflict { .. }), "{conflict:?}");
    }
}

async fn deletion_of_what_an_index_did_not_find_does_not_conflict(store: Store) {
    let db = open(&store).await;
    put(&db, "ann", doctor("a", false)).await;
    let mut txn = db.txn();
    assert!(txn.index_get(ON_CALL, "a").unwrap().is_empty());
    txn.put(DOCTORS, "bob", doctor("a", true)).unwrap();
    within("commit", db.transact(|txn| txn.delete(DOCTORS, "ann"))).await.unwrap();
    within("commit", txn.commit()).await.unwrap();
}

async fn fill(db: &Db, doctors: usize) {
    let names: Vec<String> = (0..doctors).map(|i| format!("{i:04}")).collect();
    for chunk in names.chunks(100) {
        let put = db.transact(|txn| {
            chunk.iter().try_for_each(|name| txn.put(DOCTORS, name, doctor("a", true)))
        });
        within("commit", put).await.unwrap();
    }
}

async fn scan_beyond_the_limit_is_refused_before_it_is_sent(store: Store) {
    let db = open(&store).await;
    fill(&db, 300).await;
    let mut txn = db.txn();
    assert_eq!(txn.index_get(ON_CALL, "a").unwrap().len(), 300);
    txn.put(DOCTORS, "new", doctor("a", true)).unwrap();
    let before = db.snapshot().revision();
    let error = within("commit", txn.commit()).await.unwrap_err();
    let Error::LimitExceeded { what: Limit::Guards, actual: 302, limit: 128 } = error else {
        panic!("{error:?}")
    };
    assert!(error.to_string().contains("a guarded collection takes one"), "{error}");
    assert_eq!(within("fresh", db.fresh()).await.unwrap().revision(), before);
}

async fn first_of_an_index_takes_guards_for_what_it_found_alone(store: Store) {
    let db = open(&store).await;
    fill(&db, 300).await;
    let first = |txn: &mut Txn| names(txn.index_first(ON_CALL, .., 2).unwrap());
    let mut txn = db.txn();
    assert_eq!(first(&mut txn), ["0000", "0001"]);
    txn.delete(DOCTORS, "0000").unwrap();
    txn.put(DOCTORS, "00005", doctor("a", true)).unwrap();
    assert_eq!(first(&mut txn), ["00005", "0001"]);
    txn.put(DOCTORS, "early", doctor("0", true)).unwrap();
    assert_eq!(first(&mut txn), ["early", "00005"]);
    assert!(txn.index_first(ON_CALL, .., 0).unwrap().is_empty());
    // What is behind them may go; what comes before them may not, nor what was found.
    let delete = |name: &'static str| db.transact(move |txn| txn.delete(DOCTORS, name));
    within("commit", delete("0200")).await.unwrap();
    within("commit", txn.commit()).await.unwrap();
    for what in ["found", "before"] {
        let mut txn = db.txn();
        let found = first(&mut txn);
        txn.put(DOCTORS, "other", doctor("z", false)).unwrap();
        match what {
            "found" => drop(within("commit", db.transact(|t| t.delete(DOCTORS, &found[0]))).await),
            _ => put(&db, "first", doctor("00", true)).await,
        }
        let conflict = within("commit", txn.commit()).await.unwrap_err();
        assert!(matches!(conflict, Error::Conflict { .. }), "{what}: {conflict:?}");
    }
}

async fn guarded_scan_of_any_size_takes_one_guard(store: Store) {
    let db = open_guarded(&store).await;
    fill(&db, 300).await;
    let scan = |name: &str| -> Txn {
        let mut txn = db.txn();
        assert_eq!(txn.range(DOCTORS, ..).unwrap().len(), txn.snapshot().len() - 1);
        txn.index_get(ON_CALL, "a").unwrap();
        txn.put(DOCTORS, name, doctor("a", true)).unwrap();
        txn
    };
    within("commit", scan("new").commit()).await.unwrap();
    for change in ["insert", "update", "delete"] {
        let txn = scan("another");
        let interfere = db.transact(|txn| match change {
            "insert" => txn.put(DOCTORS, "inserted", doctor("z", false)),
            "update" => txn.put(DOCTORS, "0007", doctor("a", false)),
            _ => txn.delete(DOCTORS, "0008"),
        });
        within("commit", interfere).await.unwrap();
        let conflict = within("commit", txn.commit()).await.unwrap_err();
        assert!(matches!(conflict, Error::Conflict { .. }), "{change}: {conflict:?}");
    }
}

async fn writers_of_a_guarded_collection_do_not_conflict(store: Store) {
    let (db, other) = (open_guarded(&store).await, open_guarded(&store).await);
    let (mut a, mut b) = (db.txn(), other.txn());
    a.put(DOCTORS, "ann", doctor("a", true)).unwrap();
    b.put(DOCTORS, "bob", doctor("a", true)).unwrap();
    within("commit", a.commit()).await.unwrap();
    within("commit", b.commit()).await.unwrap();
}

async fn write_without_the_guard_key_is_counted(store: Store) {
    let db = open_guarded(&store).await;
    put(&db, "ann", doctor("a", true)).await;
    assert_eq!(db.stats().unguarded_writes, 0);
    let revision = store.delete("/t/doctors/ann").await;
    assert_eq!(revision, 1);
    until("the deletion", || db.snapshot().get(DOCTORS, "ann").unwrap().is_none()).await;
    assert_eq!(db.stats().unguarded_writes, 1);
    store.put("/t/elsewhere", "x").await;
    within("fresh", db.fresh()).await.unwrap();
    assert_eq!(db.stats().unguarded_writes, 1);
}

async fn leases_are_refused_in_a_guarded_collection(store: Store) {
    let db = open_guarded(&store).await;
    let lease = store.backend.lease_grant(LeaseId::NONE, 60).await.unwrap().id;
    let mut txn = db.txn();
    let error = txn.put_with_lease(DOCTORS, "ann", doctor("a", true), lease).unwrap_err();
    assert!(matches!(error, Error::GuardedLease { .. }), "{error:?}");
}

/// The guard key is put without a guard of its own, so that what it was before is not known to the
/// transaction.
async fn own_commits_keep_the_guard_key_exact(store: Store) {
    let (db, other) = (open_guarded(&store).await, open_guarded(&store).await);
    for round in 0..20 {
        let (mut a, mut b) = (db.txn(), other.txn());
        a.put(DOCTORS, format!("a{round}"), doctor("a", true)).unwrap();
        b.put(DOCTORS, format!("b{round}"), doctor("a", true)).unwrap();
        let (a, b) = tokio::join!(a.commit(), b.commit());
        let (a, b) = (a.unwrap(), b.unwrap());
        within("catching up", db.at_least(&b.token())).await.unwrap();
        within("catching up", other.at_least(&a.token())).await.unwrap();
    }
    let guard = "/t/.tailetc/guard/doctors/";
    let stored = store.stored(guard).await.unwrap();
    for db in [db, other] {
        let metadata = db.snapshot().metadata_of(guard).unwrap().unwrap();
        assert_eq!(metadata.version, 40);
        assert_eq!(
            (metadata.create_revision, metadata.mod_revision, metadata.version),
            (stored.create_revision, stored.mod_revision, stored.version)
        );
    }
}
