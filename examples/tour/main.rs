//! What tailetc offers, one feature at a time. Each module shows one: it prints what it shows, and
//! asserts what it says.
//!
//! ```sh
//! cargo run --example tour                        # everything, in memory
//! cargo run --example tour -- indexes unique      # some of it
//! cargo run --example tour --features etcd -- --url http://127.0.0.1:2379
//! ```
//!
//! The keys below `/tour/` are deleted first. `outages` has a store in memory of its own. Sessions
//! are in the example `membership`, tokens over HTTP in `tokens`.

pub(crate) mod bulk;
pub(crate) mod guarded;
pub(crate) mod history;
pub(crate) mod indexes;
pub(crate) mod outages;
pub(crate) mod transactions;
pub(crate) mod unique;
pub(crate) mod values;
pub(crate) mod watches;

use clap::{Parser, ValueEnum};
use tailetc::{BoxError, Builder, Error};

/// Begins to open a `Db`. Each `Db` stands for a process: all are on the same store.
pub(crate) type Open<'o> = &'o (dyn Fn() -> Builder + Sync);

/// The error that something must have ended with.
pub(crate) fn error_of<T>(outcome: Result<T, Error>) -> Result<Error, BoxError> {
    outcome.err().ok_or_else(|| "it was not refused".into())
}

#[derive(Parser)]
struct Arguments {
    /// Where: a store in memory, or an etcd cluster.
    #[arg(long, default_value = "memory://tour")]
    url: String,
    /// What to show; everything if nothing is said.
    features: Vec<Feature>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Feature {
    Transactions,
    Values,
    Outages,
    Indexes,
    Unique,
    Guarded,
    Watches,
    History,
    Bulk,
}

async fn show(feature: Feature, open: Open<'_>) -> Result<(), BoxError> {
    println!("-- {feature:?}");
    drop(open().delete_all_on_start().connect().await?);
    match feature {
        Feature::Transactions => transactions::show(open).await,
        Feature::Values => values::show(open).await,
        Feature::Outages => outages::show().await,
        Feature::Indexes => indexes::show(open).await,
        Feature::Unique => unique::show(open).await,
        Feature::Guarded => guarded::show(open).await,
        Feature::Watches => watches::show(open).await,
        Feature::History => history::show(open).await,
        Feature::Bulk => bulk::show(open).await,
    }
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let Arguments { url, features } = Arguments::parse();
    let open = || tailetc::open(&url).prefix("/tour/");
    for feature in if features.is_empty() { Feature::value_variants() } else { &features } {
        show(*feature, &open).await?;
    }
    Ok(())
}
