//! The example `tour`: what it says about each feature is so.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test ends at the first thing that is not as expected"
)]

mod support;

#[expect(dead_code, reason = "an example, with its `main`")]
#[path = "../examples/tour/main.rs"]
mod tour;

use std::sync::Arc;

use support::{Store, within};
use tailetc::Db;

/// A case for each feature, each on a store of its own.
macro_rules! features {
    ($($feature:ident),* $(,)?) => {
        on_every_backend! { $($feature),* }

        $(async fn $feature(store: Store) {
            let open = || Db::builder(Arc::clone(&store.backend)).prefix("/tour/");
            within(stringify!($feature), tour::$feature::show(&open)).await.unwrap();
        })*
    };
}

features! { transactions, values, watches, indexes, unique, guarded, bulk, history }

#[tokio::test]
async fn outages() {
    within("outages", tour::outages::show()).await.unwrap();
}
