//! Snapshots and transactions: one revision for a reader, one serial order for all writers.

use tailetc::{BoxError, Collection, Error, Json, Txn};

use super::{Open, error_of};

/// Who is on call. Somebody must be.
const ON_CALL: Collection<Json<bool>> = Collection::new("on-call/");

/// Goes off call, if somebody else is on: a decision that rests on a range.
fn leave(txn: &mut Txn, doctor: &str) -> Result<bool, Error> {
    let on_call = txn.range(ON_CALL, ..)?;
    let others = on_call.iter().filter(|(name, on)| **on && *name != doctor).count();
    if others > 0 {
        txn.put(ON_CALL, doctor, false)?;
    }
    Ok(others > 0)
}

pub(crate) async fn show(open: Open<'_>) -> Result<(), BoxError> {
    let connect = || open().collection(ON_CALL).connect();
    let (one, two) = (connect().await?, connect().await?);
    let shift = one.transact(|txn| {
        txn.put(ON_CALL, "ann", true)?;
        txn.put(ON_CALL, "bob", true)
    });
    let begin = shift.await?.1;
    let before = one.snapshot();
    two.at_least(&begin.token()).await?;

    // Two processes decide at the same time, each on what it sees. Both write, of what the other
    // has read, another key: one of them must not succeed.
    let (mut ann, mut bob) = (one.txn(), two.txn());
    assert!(leave(&mut ann, "ann")? && leave(&mut bob, "bob")?);
    let (ann, bob) = tokio::join!(ann.commit(), bob.commit());
    println!("ann leaves: {}, bob leaves: {}", ann.is_ok(), bob.is_ok());
    assert!(ann.is_ok() != bob.is_ok());
    let refused = error_of(ann.and(bob))?;
    println!("refused: {refused}");
    assert!(refused.is_conflict());

    // `transact` runs the body again on a conflict; here there is nobody else left.
    let (now, _) = (one.fresh().await?, two.fresh().await?);
    let last = now.range(ON_CALL, ..)?.find(|(_name, on)| **on).ok_or("somebody is")?.0.to_string();
    assert!(!one.transact(|txn| leave(txn, &last)).await?.0);

    // A key that is absent is guarded like one that is there: nobody is hired twice.
    let hire = async |db: &tailetc::Db| {
        let hired = db.transact(|txn| {
            let is_new = !txn.contains(ON_CALL, "eve")?;
            if is_new {
                txn.put(ON_CALL, "eve", true)?;
            }
            Ok::<_, Error>(is_new)
        });
        hired.await.map(|(is_new, _commit)| is_new)
    };
    let (first, second) = tokio::join!(hire(&one), hire(&two));
    assert!(first? != second?);

    // A snapshot stays what it was, for as long as it is held.
    let count = before.range(ON_CALL, ..)?.filter(|(_name, on)| **on).count();
    println!("at revision {}: {count} on call, and eve is unknown", before.revision());
    assert!(count == 2 && !before.contains(ON_CALL, "eve")?);
    Ok(())
}
