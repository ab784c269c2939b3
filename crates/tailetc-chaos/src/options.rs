//! How the `Db`s of a run reach the store, and how patient they are.

use std::time::Duration;

use fastrand::Rng;
use tailetc::Options;
use tailetc_etcd::EtcdOptions;

/// The raw key that tells whether a `Db` is current.
pub(crate) const PROBE: &str = "raw/probe";

/// Deadlines by which a dead connection is noticed well within a second or two.
pub(crate) fn etcd(endpoints: &[String]) -> EtcdOptions {
    EtcdOptions::new(endpoints)
        .with_connect_timeout(Duration::from_millis(500))
        .with_request_timeout(Duration::from_secs(1))
        .with_keep_alive(Duration::from_millis(600), Duration::from_millis(600))
}

/// Some `Db`s are impatient, so that outcomes are unknown and commits are not caught up with.
pub(crate) fn db(rng: &mut Rng) -> Options {
    let mut options = Options::default();
    let impatient = rng.u8(..3) == 0;
    let patience = |rng: &mut Rng| match impatient {
        true => Duration::from_millis(rng.u64(20..=200)),
        false => Duration::from_secs(3),
    };
    options.commit_timeout = patience(rng);
    options.catch_up_timeout = patience(rng);
    options.backoff_min = Duration::from_millis(20);
    options.backoff_max = Duration::from_millis(400);
    options.progress_interval = Duration::from_secs(1);
    options.progress_timeout = Duration::from_secs(1);
    options.request_timeout = Duration::from_secs(1);
    options.page_keys = rng.usize(5..=100);
    options.history = rng.usize(0..=8);
    options.self_check_interval = (rng.u8(..3) == 0).then_some(Duration::from_secs(3));
    options.seed = Some(rng.u64(..));
    options
}
