//! Tools to test code that stands on tailetc, and to test backends of it.

pub mod conformance;
pub mod etcd_server;
