//! The command line.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

/// A service registry over HTTP, served from a copy of an etcd prefix in memory.
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Args {
    /// The store: memory://, or http://host:port of an etcd cluster (feature `etcd`).
    #[arg(long, default_value = "memory://")]
    pub(crate) url: String,

    /// Where to listen. Port 0 takes a free one and prints it.
    #[arg(long, default_value = "127.0.0.1:8080")]
    pub(crate) listen: String,

    /// What this replica is called among those on the same store; with its lease, if another one
    /// is called so [default: where it listens]
    #[arg(long)]
    pub(crate) name: Option<String>,

    /// What all keys in the store begin with; must end with '/'.
    #[arg(long, default_value = "/registry/")]
    pub(crate) prefix: String,

    /// Imports a file of JSON lines {"name": .., "service": {..}} first. May be given several
    /// times. Services that are there already are left as they are, so that an import that was
    /// interrupted goes on when it is run again.
    #[arg(long, value_name = "FILE")]
    pub(crate) import: Vec<PathBuf>,

    /// Ends when the import is complete.
    #[arg(long, requires = "import")]
    pub(crate) import_only: bool,

    /// Seconds that a request may wait for the store (etcd: at most 5), or for this copy to catch
    /// up.
    #[arg(long, default_value = "5", value_name = "SECONDS", value_parser = seconds)]
    pub(crate) timeout: Duration,

    /// Seconds between the heartbeats of an idle change stream.
    #[arg(long, default_value = "15", value_name = "SECONDS", value_parser = seconds)]
    pub(crate) heartbeat: Duration,

    /// How many transactions a change stream may be behind, or be away, before it starts again.
    #[arg(long, default_value = "1024", value_name = "TRANSACTIONS")]
    pub(crate) stream_buffer: NonZeroUsize,

    /// Seconds that open requests are given to end after Ctrl-C.
    #[arg(long, default_value = "5", value_name = "SECONDS", value_parser = seconds)]
    pub(crate) grace: Duration,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number of seconds".to_owned())?;
    match Duration::try_from_secs_f64(seconds) {
        Ok(duration) if !duration.is_zero() => Ok(duration),
        _ => Err("must be more than 0 seconds".to_owned()),
    }
}
