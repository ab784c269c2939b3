//! A store whose network, servers and operators fail on purpose, over any backend.
//!
//! A [`FaultyBackend`] is one client's way to a [`Cluster`]. Faults come by chance, from a seeded
//! [`FaultPlan`], or when a test asks for them:
//!
//! ```
//! use tailetc_core::{Bytes, Db, RAW};
//! use tailetc_testkit::faulty::{FaultPlan, FaultyBackend};
//!
//! # async fn example(store: impl tailetc_core::backend::KvBackend) -> Result<(), tailetc_core::Error> {
//! let faulty = FaultyBackend::new(store);
//! let db = Db::builder(faulty.clone()).prefix("/app/").connect().await?;
//!
//! faulty.lose_next_commit_reply();
//! let mut txn = db.txn();
//! txn.put(RAW, "greeting", Bytes::from("hello"))?;
//! let error = txn.commit().await.unwrap_err();
//! assert!(error.is_outcome_unknown());
//! // It was applied all the same, and this `Db` sees it.
//! assert_eq!(db.fresh().await?.get(RAW, "greeting")?.as_deref(), Some(&Bytes::from("hello")));
//! # Ok(())
//! # }
//! ```
//!
//! All delays are on tokio's clock, which a test can pause. On one thread, with a paused clock, a
//! seed gives the same faults at the same times.

mod client;
mod cluster;
mod control;
mod dice;
mod fault;
mod history;
mod plan;
mod rebuild;
mod watcher;

pub use self::client::FaultyBackend;
pub use self::cluster::{Cluster, Identity, Restore};
pub use self::fault::Fault;
pub use self::history::History;
pub use self::plan::FaultPlan;
