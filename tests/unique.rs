//! Unique indexes: reservations in the same transaction, across processes.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test ends at the first thing that is not as expected"
)]

mod support;

use serde::{Deserialize, Serialize};
use support::{Store, until, within};
use tailetc::backend::{DeleteRequest, KeyRange, KvBackend as _, PutRequest, TxnRequest};
use tailetc::{Bytes, Collection, Db, Error, Index, Json, Key, LeaseId, RAW};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct User {
    email: Option<String>,
}

const USERS: Collection<Json<User>> = Collection::new("users/");
const BY_EMAIL: Index<Json<User>, String> = USERS.unique_index("email", |_, user, keys| {
    if let Some(email) = &user.email {
        keys.add(email);
    }
});

on_every_backend! {
    second_claim_is_refused_and_names_the_holder,
    claim_by_another_process_that_has_not_caught_up_is_refused,
    index_key_is_free_again_when_it_is_given_up,
    index_keys_can_be_exchanged_in_one_transaction,
    two_claims_in_one_transaction_are_refused,
    refusal_holds_in_the_store_and_not_only_in_a_stale_copy,
    lookup_conflicts_only_with_who_touches_the_index_key,
    reservations_expire_with_their_entries,
    what_foreign_writers_left_is_found_and_repaired,
    orphaned_reservation_is_taken_over,
    holder_that_does_not_decode_keeps_its_index_key,
    kept_value_says_nothing_about_reservations,
    value_whose_index_keys_are_unknown_is_refused,
    reservations_of_another_type_of_keys_are_removed,
    index_that_is_not_what_it_was_declared_as_is_a_typed_error,
    reservations_are_no_raw_keys,
}

fn user(email: &str) -> User {
    User { email: Some(email.to_owned()) }
}

async fn open(store: &Store) -> Db {
    store.builder().collection(USERS).index(BY_EMAIL).connect().await.unwrap()
}

async fn put(db: &Db, key: &str, user: User) -> Result<(), Error> {
    let put = db.transact(|txn| txn.put(USERS, key, user.clone()));
    within("commit", put).await.map(drop)
}

fn holder(refused: Result<(), Error>) -> String {
    match refused {
        Err(Error::NotUnique { holder, .. }) => holder.to_string(),
        other => panic!("{other:?}"),
    }
}

fn holders(db: &Db, email: &str) -> Vec<String> {
    let snapshot = db.snapshot();
    let found = snapshot.index(BY_EMAIL).unwrap().get(email);
    found.map(|item| item.key.to_string()).collect()
}

async fn second_claim_is_refused_and_names_the_holder(store: Store) {
    let db = open(&store).await;
    put(&db, "ann", user("a@x")).await.unwrap();
    put(&db, "ann", user("a@x")).await.unwrap();
    let error = put(&db, "bob", user("a@x")).await.unwrap_err();
    let text = "/t/users/bob cannot have the index key a@x of users/#email: /t/users/ann has it";
    assert_eq!(error.to_string(), text);
    assert_eq!(holder(Err(error)), "/t/users/ann");
    assert!(db.get(USERS, "bob").unwrap().is_none());
    put(&db, "bob", user("b@x")).await.unwrap();
    put(&db, "eve", User { email: None }).await.unwrap();
    assert_eq!(holder(put(&db, "eve", user("b@x")).await), "/t/users/bob");
    assert!(db.snapshot().check_unique(BY_EMAIL).unwrap().is_clean());
}

async fn claim_by_another_process_that_has_not_caught_up_is_refused(store: Store) {
    let (db, other) = (open(&store).await, open(&store).await);
    let mut late = other.txn();
    late.put(USERS, "bob", user("a@x")).unwrap();
    put(&db, "ann", user("a@x")).await.unwrap();
    let conflict = within("commit", late.commit()).await.unwrap_err();
    assert!(matches!(conflict, Error::Conflict { .. }), "{conflict:?}");
    assert_eq!(holder(put(&other, "bob", user("a@x")).await), "/t/users/ann");
}

async fn index_key_is_free_again_when_it_is_given_up(store: Store) {
    let (db, other) = (open(&store).await, open(&store).await);
    put(&db, "ann", user("a@x")).await.unwrap();
    put(&db, "ann", user("b@x")).await.unwrap();
    put(&other, "bob", user("a@x")).await.unwrap();
    within("commit", db.transact(|txn| txn.delete(USERS, "ann"))).await.unwrap();
    put(&other, "eve", user("b@x")).await.unwrap();
    let token = other.snapshot().token();
    within("catching up", db.at_least(&token)).await.unwrap();
    assert_eq!(
        (holders(&db, "a@x"), holders(&db, "b@x")),
        (vec!["bob".into()], vec!["eve".into()])
    );
    assert!(db.snapshot().check_unique(BY_EMAIL).unwrap().is_clean());
}

async fn index_keys_can_be_exchanged_in_one_transaction(store: Store) {
    let db = open(&store).await;
    put(&db, "ann", user("a@x")).await.unwrap();
    put(&db, "bob", user("b@x")).await.unwrap();
    let exchange = db.transact(|txn| {
        txn.put(USERS, "ann", user("b@x"))?;
        txn.put(USERS, "bob", user("a@x"))
    });
    within("commit", exchange).await.unwrap();
    assert_eq!(
        (holders(&db, "a@x"), holders(&db, "b@x")),
        (vec!["bob".into()], vec!["ann".into()])
    );
    assert!(db.snapshot().check_unique(BY_EMAIL).unwrap().is_clean());
    assert_eq!(holder(put(&db, "eve", user("a@x")).await), "/t/users/bob");
}

async fn two_claims_in_one_transaction_are_refused(store: Store) {
    let db = open(&store).await;
    let before = db.snapshot().revision();
    let both = db.transact(|txn| {
        txn.put(USERS, "ann", user("a@x"))?;
        txn.put(USERS, "bob", user("a@x"))
    });
    let refused = within("commit", both).await.map(drop);
    assert_eq!(holder(refused), "/t/users/ann");
    assert_eq!(within("fresh", db.fresh()).await.unwrap().revision(), before);
}

/// A copy that is behind shows a holder that has given the index key up: the claim must not be
/// refused for what is no longer so.
async fn refusal_holds_in_the_store_and_not_only_in_a_stale_copy(store: Store) {
    let gate = support::Gate::new(&store);
    let stale = gate.builder().collection(USERS).index(BY_EMAIL).connect().await.unwrap();
    let db = open(&store).await;
    put(&db, "ann", user("a@x")).await.unwrap();
    let token = db.snapshot().token();
    within("catching up", stale.at_least(&token)).await.unwrap();
    gate.hold_watches();
    within("commit", db.transact(|txn| txn.delete(USERS, "ann"))).await.unwrap();
    let claim = put(&stale, "bob", user("a@x"));
    let release = async {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        gate.release_watches();
    };
    let (claimed, ()) = tokio::join!(claim, release);
    claimed.unwrap();
    assert_eq!(holders(&stale, "a@x"), ["bob"]);
}

async fn lookup_conflicts_only_with_who_touches_the_index_key(store: Store) {
    let db = open(&store).await;
    put(&db, "ann", user("a@x")).await.unwrap();
    for (email, interferer, interference, conflicts) in [
        ("a@x", "bob", user("b@x"), false),
        ("a@x", "ann", user("a@x"), true),
        ("a@x", "ann", user("c@x"), true),
        ("a@x", "eve", user("a@x"), true),
        ("d@x", "fay", user("e@x"), false),
        ("d@x", "fay", user("d@x"), true),
    ] {
        let mut txn = db.txn();
        txn.index_get(BY_EMAIL, email).unwrap();
        txn.put(RAW, "seen", Bytes::from(email)).unwrap();
        put(&db, interferer, interference.clone()).await.unwrap();
        let outcome = within("commit", txn.commit()).await;
        let what = format!("{email} {interferer} {interference:?}: {outcome:?}");
        assert_eq!(outcome.is_err_and(|error| error.is_conflict()), conflicts, "{what}");
    }
}

async fn reservations_expire_with_their_entries(store: Store) {
    let db = open(&store).await;
    let lease = store.backend.lease_grant(LeaseId::NONE, 60).await.unwrap().id;
    let put_leased = db.transact(|txn| txn.put_with_lease(USERS, "ann", user("a@x"), lease));
    within("commit", put_leased).await.unwrap();
    assert_eq!(holder(put(&db, "bob", user("a@x")).await), "/t/users/ann");
    store.backend.lease_revoke(lease).await.unwrap();
    put(&db, "bob", user("a@x")).await.unwrap();
    assert!(db.snapshot().check_unique(BY_EMAIL).unwrap().is_clean());
    // An entry that loses its lease keeps its index key.
    let lease = store.backend.lease_grant(LeaseId::NONE, 60).await.unwrap().id;
    let put_leased = db.transact(|txn| txn.put_with_lease(USERS, "eve", user("e@x"), lease));
    within("commit", put_leased).await.unwrap();
    put(&db, "eve", user("e@x")).await.unwrap();
    store.backend.lease_revoke(lease).await.unwrap();
    within("fresh", db.fresh()).await.unwrap();
    assert!(db.snapshot().check_unique(BY_EMAIL).unwrap().is_clean());
    assert_eq!(holder(put(&db, "fay", user("e@x")).await), "/t/users/eve");
}

async fn what_foreign_writers_left_is_found_and_repaired(store: Store) {
    let db = open(&store).await;
    for (key, email) in [("ann", "a@x"), ("bob", "b@x"), ("eve", "e@x")] {
        put(&db, key, user(email)).await.unwrap();
    }
    store.delete("/t/users/ann").await;
    store.put("/t/users/bob", r#"{"email": "new@x"}"#).await;
    store.put("/t/users/fay", r#"{"email": "e@x"}"#).await;
    let last = store.put("/t/users/gus", r#"{"email": "g@x"}"#).await;
    until("the foreign writes", || db.snapshot().revision() >= last).await;
    let found = within("repair", db.repair_unique(BY_EMAIL)).await.unwrap();
    let names =
        |holders: Vec<&Key>| -> Vec<String> { holders.into_iter().map(Key::to_string).collect() };
    let orphaned = found.orphaned.iter().map(|orphan| &orphan.holder).collect();
    assert_eq!(names(orphaned), ["/t/users/ann", "/t/users/bob"]);
    let missing = found.missing.iter().map(|missing| &missing.holder).collect();
    assert_eq!(names(missing), ["/t/users/gus", "/t/users/bob"]);
    assert_eq!(found.duplicates.len(), 1);
    let both = found.duplicates[0].holders.iter().collect();
    assert_eq!(names(both), ["/t/users/eve", "/t/users/fay"]);
    let left = db.snapshot().check_unique(BY_EMAIL).unwrap();
    assert!(left.orphaned.is_empty() && left.missing.is_empty(), "{left:?}");
    assert_eq!(left.duplicates, found.duplicates);
    within("commit", db.transact(|txn| txn.delete(USERS, "fay"))).await.unwrap();
    assert!(db.snapshot().check_unique(BY_EMAIL).unwrap().is_clean());
}

async fn orphaned_reservation_is_taken_over(store: Store) {
    let db = open(&store).await;
    put(&db, "ann", user("a@x")).await.unwrap();
    store.delete("/t/users/ann").await;
    within("fresh", db.fresh()).await.unwrap();
    assert_eq!(db.snapshot().check_unique(BY_EMAIL).unwrap().orphaned.len(), 1);
    put(&db, "bob", user("a@x")).await.unwrap();
    assert!(db.snapshot().check_unique(BY_EMAIL).unwrap().is_clean());
    assert_eq!(holder(put(&db, "ann", user("a@x")).await), "/t/users/bob");
}

async fn holder_that_does_not_decode_keeps_its_index_key(store: Store) {
    let db = open(&store).await;
    put(&db, "ann", user("a@x")).await.unwrap();
    store.put("/t/users/ann", "not JSON").await;
    within("fresh", db.fresh()).await.unwrap();
    assert_eq!(holder(put(&db, "bob", user("a@x")).await), "/t/users/ann");
    assert!(db.snapshot().check_unique(BY_EMAIL).unwrap().is_clean());
    put(&db, "ann", user("a@x")).await.unwrap();
    assert_eq!(holder(put(&db, "bob", user("a@x")).await), "/t/users/ann");
}

/// An old program keeps showing what it could decode; a new one has moved on.
async fn kept_value_says_nothing_about_reservations(store: Store) {
    let keeps = store.builder().collection(USERS).index(BY_EMAIL);
    let keeps = keeps.decode_policy(USERS, tailetc::DecodePolicy::KeepPrevious);
    let db = keeps.connect().await.unwrap();
    put(&db, "bob", user("a@x")).await.unwrap();
    // In one transaction: bob, in a form that is new, with b@x in the place of a@x.
    let reservation = |email: &str| format!("/t/.tailetc/unique/users/#email/{email}\0\u{1}");
    let ops = [
        PutRequest::new("/t/users/bob", "new form").into(),
        PutRequest::new(reservation("b@x"), "bob").into(),
        DeleteRequest::new(KeyRange::key(reservation("a@x"))).into(),
    ];
    store.backend.txn(TxnRequest::new(ops)).await.unwrap();
    within("fresh", db.fresh()).await.unwrap();
    assert_eq!(holders(&db, "a@x"), ["bob"], "what is kept is shown");
    assert_eq!(holder(put(&db, "eve", user("b@x")).await), "/t/users/bob");
    assert!(within("repair", db.repair_unique(BY_EMAIL)).await.unwrap().is_clean());
    assert!(store.get(&reservation("b@x")).await.is_some());
    let read = db.txn().index_get(BY_EMAIL, "b@x");
    assert!(matches!(read, Err(Error::Undecodable { .. })), "{read:?}");
    put(&db, "ann", user("a@x")).await.unwrap();
    assert_eq!(holder(put(&db, "eve", user("a@x")).await), "/t/users/ann");
    put(&db, "bob", user("c@x")).await.unwrap();
    put(&db, "eve", user("b@x")).await.unwrap();
    assert!(db.snapshot().check_unique(BY_EMAIL).unwrap().is_clean());
}

async fn value_whose_index_keys_are_unknown_is_refused(store: Store) {
    let db = open(&store).await;
    let before = db.snapshot().revision();
    let error = put(&db, "ann", user(&"x".repeat(5_000))).await.unwrap_err();
    assert!(matches!(error, Error::NotIndexed { .. }), "{error:?}");
    assert_eq!(error.to_string(), "/t/users/ann cannot be placed in the unique index users/#email");
    assert_eq!(within("fresh", db.fresh()).await.unwrap().revision(), before);
}

async fn reservations_of_another_type_of_keys_are_removed(store: Store) {
    const BY_PAIR: Index<Json<User>, (String, u8)> =
        USERS.unique_index("email", |_, user, keys| {
            if let Some(email) = &user.email {
                keys.add((email.as_str(), 7));
            }
        });
    let old = open(&store).await;
    put(&old, "ann", user("a@x")).await.unwrap();
    let db = store.builder().collection(USERS).index(BY_PAIR).connect().await.unwrap();
    let check = db.snapshot().check_unique(BY_PAIR).unwrap();
    assert_eq!((check.orphaned.len(), check.missing.len()), (1, 1));
    within("repair", db.repair_unique(BY_PAIR)).await.unwrap();
    assert!(db.snapshot().check_unique(BY_PAIR).unwrap().is_clean());
}

async fn index_that_is_not_what_it_was_declared_as_is_a_typed_error(store: Store) {
    const PLAIN: Index<Json<User>, String> = USERS.index("email", |_, _, _| {});
    const RAW_USERS: Collection<tailetc::Raw> = Collection::new("users/");
    const OF_RAW: Index<tailetc::Raw, String> = RAW_USERS.index("email", |_, _, _| {});
    let db = open(&store).await;
    let error = db.snapshot().index(PLAIN).unwrap_err();
    assert!(matches!(error, Error::TypeMismatch { .. }), "{error}");
    let error = store.builder().collection(USERS).index(OF_RAW).connect().await.unwrap_err();
    assert!(matches!(error, Error::InvalidOption { option: "index", .. }), "{error}");
}

async fn reservations_are_no_raw_keys(store: Store) {
    let db = open(&store).await;
    put(&db, "ann", user("a@x")).await.unwrap();
    let snapshot = db.snapshot();
    assert_eq!(snapshot.range(RAW, ..).unwrap().count(), 0);
    assert_eq!(snapshot.len(), 2);
    let mut txn = db.txn();
    let error = txn.delete(RAW, ".tailetc/unique/users/#email/a@x\0\u{1}").unwrap_err();
    assert!(matches!(error, Error::TypeMismatch { .. }), "{error}");
}
