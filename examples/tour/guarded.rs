//! Guarded collections: a transaction that has read thousands of keys needs one guard.

use tailetc::{BoxError, Collection, Db, Error, Json, Txn};

use super::{Open, error_of};

type Amounts = Collection<Json<u64>>;

/// Each key guards itself, as by default.
const PLAIN: Amounts = Collection::new("plain/");
/// One key guards all of it.
const GUARDED: Amounts = Collection::new("guarded/");

const ENTRIES: u64 = 5_000;

async fn fill(db: &Db, amounts: Amounts) -> Result<(), BoxError> {
    let mut bulk = db.bulk();
    for entry in 0..ENTRIES {
        bulk.put(amounts, format!("{entry:04}"), 1).await?;
    }
    bulk.finish().await?;
    Ok(())
}

/// Adds an entry, if the sum of all stays below a limit: a decision that rests on every key.
fn add(txn: &mut Txn, amounts: Amounts, key: &str) -> Result<u64, Error> {
    let sum = txn.range(amounts, ..)?.iter().map(|(_key, amount)| **amount).sum();
    if sum < 2 * ENTRIES {
        txn.put(amounts, key, 1)?;
    }
    Ok(sum)
}

pub(crate) async fn show(open: Open<'_>) -> Result<(), BoxError> {
    // All who write to the collection declare it guarded.
    let connect = || open().collection(PLAIN).collection(GUARDED).guarded(GUARDED).connect();
    let (one, two) = (connect().await?, connect().await?);
    fill(&one, PLAIN).await?;
    fill(&one, GUARDED).await?;

    // One guard for each key: more than etcd takes. Nothing is sent, and the error has the numbers.
    let refused = error_of(one.transact(|txn| add(txn, PLAIN, "new")).await)?;
    println!("refused: {refused}");
    let numbers = matches!(refused, Error::LimitExceeded { actual: 5_002, limit: 128, .. });
    assert!(numbers, "5,000 entries, the range, and the new key");

    let (sum, commit) = one.transact(|txn| add(txn, GUARDED, "new")).await?;
    println!("{sum} in {ENTRIES} entries, and one more, at revision {}", commit.revision());
    assert_eq!(sum, ENTRIES);

    // Whatever is written to the collection meanwhile, wherever in it, is a conflict..
    two.at_least(&commit.token()).await?;
    let mut late = two.txn();
    add(&mut late, GUARDED, "late")?;
    let commit = one.transact(|txn| txn.put(GUARDED, "0007", 2)).await?.1;
    assert!(error_of(late.commit().await)?.is_conflict());

    // .. but writers that have not read it all do not conflict with each other.
    two.at_least(&commit.token()).await?;
    let (mut a, mut b) = (one.txn(), two.txn());
    a.put(GUARDED, "a", 1)?;
    b.put(GUARDED, "b", 1)?;
    let (a, b) = tokio::join!(a.commit(), b.commit());
    println!("two writers: revisions {} and {}", a?.revision(), b?.revision());
    assert_eq!(one.stats().unguarded_writes, 0);
    Ok(())
}
