//! History: the last revisions stay readable, comparable, and a place to begin a watch at.

use tailetc::{BoxError, Bytes, ChangeKind, Db, Error, RAW, Revision, WatchMode};

use super::{Open, error_of};

async fn put(db: &Db, key: &str, value: &str) -> Result<Revision, Error> {
    let put = db.transact(|txn| txn.put(RAW, key, Bytes::from(value.to_owned())));
    Ok(put.await?.1.revision())
}

pub(crate) async fn show(open: Open<'_>) -> Result<(), BoxError> {
    // As many, or with `Options::history_age` as old as asked for.
    let db = open().history(100).connect().await?;
    let first = put(&db, "limit", "10").await?;
    put(&db, "limit", "20").await?;
    put(&db, "mode", "slow").await?;
    put(&db, "limit", "30").await?;

    // What was it, then?
    let (then, now) = (db.snapshot_at(first)?, db.snapshot());
    let limit = then.get(RAW, "limit")?.ok_or("it was there")?;
    println!("at revision {}: limit {limit:?}, {} keys", then.revision(), then.len());
    assert!(*limit == "10" && then.len() == 1);

    // What is different? Takes time in proportion to that, however much there is.
    let difference = then.diff(&now)?;
    for change in difference.of(RAW)? {
        println!("{}: {:?} -> {:?}", change.key(), change.before()?, change.after()?);
    }
    assert_eq!(difference.keys().collect::<Vec<_>>(), ["/tour/limit", "/tour/mode"]);
    assert_eq!(now.diff(&then)?.len(), 2, "and the way back");

    // What has happened since? Each transaction, then those to come, without gap or duplicate.
    let mut watch = db.watch_from(RAW, .., WatchMode::EXACT, first)?;
    let last = put(&db, "mode", "fast").await?;
    let mut revisions = Vec::new();
    while revisions.last() != Some(&last) {
        let update = watch.next().await.ok_or("closed")??;
        assert!(update.kind() == ChangeKind::Transaction && update.changes().count() == 1);
        revisions.push(update.revision());
    }
    println!("changed at {revisions:?}");
    assert!(revisions.len() == 4 && revisions.is_sorted() && revisions[0] > first);

    // What is not kept is told, with what is.
    let refused = error_of(db.snapshot_at(Revision::new(first.get() - 2)))?;
    println!("refused: {refused}");
    assert!(matches!(refused, Error::RevisionNotKept { .. }));
    Ok(())
}
