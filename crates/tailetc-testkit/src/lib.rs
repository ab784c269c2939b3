//! Tools to test code that stands on tailetc, and to test backends of it.
//!
//! - [`conformance`]: what every backend must do, as tests with a name each. A backend runs them
//!   with a fixture and one macro.
//! - [`etcd_server`]: a real etcd server for one test, which ends with it.
//! - [`etcd_cluster`]: three of them as one cluster, with a network between them that fails when it
//!   is told to.

pub mod conformance;
pub mod etcd_cluster;
pub mod etcd_server;
pub mod faulty;
#[cfg(feature = "simulation")]
mod oracle;
#[cfg(feature = "simulation")]
pub mod simulation;
