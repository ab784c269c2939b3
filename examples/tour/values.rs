//! Values: what a read gives, and what becomes of values that do not decode.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tailetc::{BoxError, Bytes, ClonePolicy, Cloned, Collection, DecodePolicy, Error, Json, Raw};

use super::{Open, error_of};

#[derive(Clone, Serialize, Deserialize)]
struct Limits {
    rate: u64,
}

const LIMITS: Collection<Json<Limits>> = Collection::new("limits/");
/// The same keys, read as owned copies, and as the rate alone.
const COPIES: Collection<Json<Limits>, Cloned> = LIMITS.with_policy();
const RATES: Collection<Json<Limits>, Rate> = LIMITS.with_policy();

/// And as bytes, by a program that knows better.
const BYTES: Collection<Raw> = Collection::new("limits/");
const FOREIGN: &str = "{\"rate\": \"fast\"}";

enum Rate {}

impl ClonePolicy<Limits> for Rate {
    type Out = u64;

    fn out(value: &Arc<Limits>) -> u64 {
        value.rate
    }
}

pub(crate) async fn show(open: Open<'_>) -> Result<(), BoxError> {
    let strict = open().collection(LIMITS).connect().await?;
    let lenient = open().collection(LIMITS).decode_policy(LIMITS, DecodePolicy::KeepPrevious);
    let lenient = lenient.connect().await?;
    let good = strict.transact(|txn| txn.put(LIMITS, "api", Limits { rate: 10 })).await?.1;
    lenient.at_least(&good.token()).await?;

    // Nothing that is done with a value that was read changes the copy.
    let shared = strict.get(LIMITS, "api")?.ok_or("it is there")?;
    let mut copy = strict.get(COPIES, "api")?.ok_or("it is there")?;
    copy.rate += 1;
    println!("shared {}, copied and changed {}", shared.rate, copy.rate);
    assert_eq!(strict.get(RATES, "api")?, Some(10));

    // Another program, or another version of this one, writes what this one cannot read.
    let other = open().collection(BYTES).connect().await?;
    let bad = other.transact(|txn| txn.put(BYTES, "api", Bytes::from(FOREIGN))).await?.1;
    strict.at_least(&bad.token()).await?;
    lenient.at_least(&bad.token()).await?;

    // By default its reads are errors, and its bytes are kept where they can be looked at..
    let refused = error_of(strict.get(LIMITS, "api"))?;
    println!("{refused}: {}", strict.quarantined()[0].error);
    assert!(matches!(refused, Error::Undecodable { .. }));
    assert_eq!(strict.quarantined()[0].bytes, FOREIGN);

    // .. or the last good value is shown in its place, and marked; but no transaction reads it.
    let kept_from = lenient.quarantined()[0].kept_from;
    println!("still {:?}, of revision {kept_from:?}", lenient.get(RATES, "api")?);
    assert!(lenient.get(RATES, "api")? == Some(10) && kept_from == Some(good.revision()));
    assert!(lenient.txn().get(LIMITS, "api").is_err());
    Ok(())
}
