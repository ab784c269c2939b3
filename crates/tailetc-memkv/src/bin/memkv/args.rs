//! The command line.

use std::net::SocketAddr;
use std::time::Duration;

use clap::Parser;
use tailetc_memkv::{EtcdVersion, MemKv, MemKvOptions};

/// An etcd of one node for tests, in memory: nothing is kept when it ends.
///
/// It answers etcd's v3 API for keys, watches, leases and maintenance as the imitated release does,
/// so that `etcdctl` and the clients of any language work with it. Authentication, clusters,
/// snapshots and TLS are not offered. The first line of its output says where it listens.
#[derive(Debug, Parser)]
#[command(name = "memkv", version)]
pub(crate) struct Args {
    /// Where to listen; port 0 lets the system choose.
    #[arg(long, default_value = "127.0.0.1:2379", value_name = "ADDRESS")]
    pub(crate) listen: SocketAddr,

    /// The etcd to imitate where releases differ: 3.4, 3.5, 3.6, 3.7, or a release such as 3.5.1.
    #[arg(long, default_value_t = EtcdVersion::NEWEST, value_name = "VERSION")]
    imitate: EtcdVersion,

    /// Write a line about each request to the standard error.
    #[arg(long)]
    pub(crate) log: bool,

    /// The most compares of a transaction, and the most operations in a branch.
    #[arg(long, value_name = "NUMBER")]
    max_txn_ops: Option<usize>,

    /// The largest write in bytes.
    #[arg(long, value_name = "BYTES")]
    max_request_bytes: Option<usize>,

    /// How large the store may grow until it takes no more puts; 0 is etcd's default.
    #[arg(long, value_name = "BYTES", allow_negative_numbers = true)]
    quota_backend_bytes: Option<i64>,

    /// What shorter lease times are raised to.
    #[arg(long, value_name = "SECONDS")]
    min_lease_ttl: Option<i64>,

    /// How long a watch that asked for it stays without events until it gets progress, such as
    /// `500ms`, `90s` or `10m`.
    #[arg(
        long,
        alias = "experimental-watch-progress-notify-interval",
        value_name = "DURATION",
        value_parser = duration
    )]
    watch_progress_notify_interval: Option<Duration>,

    /// The cluster to name in answers.
    #[arg(long, value_name = "NUMBER")]
    cluster_id: Option<u64>,
}

impl Args {
    pub(crate) fn store(&self) -> MemKv {
        let mut options = MemKvOptions::default();
        options.imitate = self.imitate;
        if let Some(ops) = self.max_txn_ops {
            options.max_txn_ops = ops;
        }
        if let Some(bytes) = self.max_request_bytes {
            options.max_request_bytes = bytes;
        }
        if let Some(bytes) = self.quota_backend_bytes {
            options.quota_backend_bytes = bytes;
        }
        if let Some(seconds) = self.min_lease_ttl {
            options.min_lease_ttl_seconds = seconds;
        }
        if let Some(interval) = self.watch_progress_notify_interval {
            options.progress_notify_interval = interval;
        }
        if let Some(cluster_id) = self.cluster_id {
            options.cluster_id = cluster_id;
        }
        options.build()
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let unit = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(unit);
    let milliseconds = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        _ => return Err("a whole number with `ms`, `s` or `m` is expected".to_owned()),
    };
    let number: u64 = number.parse().map_err(|e| format!("{number:?}: {e}"))?;
    Ok(Duration::from_millis(number.saturating_mul(milliseconds)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_numbers_with_a_unit() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("10m"), Ok(Duration::from_secs(600)));
        for text in ["", "10", "s", "1.5s", "-1s", "1h"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
