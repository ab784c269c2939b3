//! Unique indexes: an index key belongs to one entry at most, whichever processes write.

use serde::{Deserialize, Serialize};
use tailetc::{BoxError, Collection, Db, Error, Index, Json, Key};

use super::{Open, error_of};

#[derive(Serialize, Deserialize)]
struct User {
    email: Option<String>,
}

const USERS: Collection<Json<User>> = Collection::new("users/");

/// Users without an address do not get into each other's way.
const BY_EMAIL: Index<Json<User>, String> =
    USERS.unique_index("email", |_key, user, keys| keys.extend(&user.email));

/// Gives a user an address, if nobody else has it.
async fn claim(db: &Db, user: &str, email: &str) -> Result<(), Error> {
    let email = Some(email.to_owned());
    db.transact(|txn| txn.put(USERS, user, User { email: email.clone() })).await?;
    Ok(())
}

pub(crate) async fn show(open: Open<'_>) -> Result<(), BoxError> {
    let connect = || open().collection(USERS).index(BY_EMAIL).connect();
    let (one, two) = (connect().await?, connect().await?);

    // Two processes want the same: one gets it, the other one is told who has it.
    let (ann, bob) = tokio::join!(claim(&one, "ann", "x@y"), claim(&two, "bob", "x@y"));
    let (winner, refused) = if ann.is_ok() { ("ann", bob) } else { ("bob", ann) };
    let refused = error_of(refused)?;
    println!("refused: {refused}");
    let holder = Key::from(format!("/tour/users/{winner}").as_str());
    assert!(matches!(refused, Error::NotUnique { holder: found, .. } if found == holder));

    // Whoever gives it up frees it in the same transaction.
    one.fresh().await?;
    claim(&one, winner, "other@y").await?;
    claim(&one, "eve", "x@y").await?;
    let found =
        one.snapshot().index(BY_EMAIL)?.get("x@y").next().ok_or("eve has it")?.key == *"eve";
    assert!(found);

    // A program that does not declare the index leaves reservations behind. They keep nobody from
    // the index key, and can be found and removed.
    let careless = open().collection(USERS).connect().await?;
    let deletion = careless.transact(|txn| txn.delete(USERS, "eve")).await?.1;
    one.at_least(&deletion.token()).await?;
    let repaired = one.repair_unique(BY_EMAIL).await?;
    println!("left behind, and removed: {:?}", repaired.orphaned);
    assert!(repaired.orphaned.len() == 1 && repaired.duplicates.is_empty());
    assert!(one.snapshot().check_unique(BY_EMAIL)?.is_clean());
    claim(&two, "joe", "x@y").await?;
    Ok(())
}
