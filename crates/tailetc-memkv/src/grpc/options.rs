//! What can be chosen about a server.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The limits of a [`Server`](super::Server), and what it tells of its work.
#[derive(Clone)]
#[non_exhaustive]
pub struct ServerOptions {
    /// The most watch streams at once; one more is refused with `ResourceExhausted`. Default:
    /// 10,000 (etcd: no limit).
    pub max_watch_streams: usize,
    /// The most watchers on one stream, those that have ended for the compaction of their history
    /// included; one more ends the stream with `ResourceExhausted`. Default: 100,000 (etcd: no
    /// limit).
    pub max_watchers_per_stream: usize,
    /// How long a shutdown waits for requests that are being answered until it cuts their
    /// connections. Default: 2 seconds.
    pub shutdown_grace: Duration,
    pub(super) log: Log,
}

/// Tells of requests, if it is to.
#[derive(Clone, Default)]
pub(super) struct Log(Option<Arc<WriteLine>>);

type WriteLine = dyn Fn(&str) + Send + Sync;

impl Log {
    pub(super) fn line(&self, line: impl FnOnce() -> String) {
        if let Some(log) = &self.0 {
            log(&line());
        }
    }
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            max_watch_streams: 10_000,
            max_watchers_per_stream: 100_000,
            shutdown_grace: Duration::from_secs(2),
            log: Log::default(),
        }
    }
}

impl ServerOptions {
    /// Sets [`max_watch_streams`](Self::max_watch_streams).
    #[must_use]
    pub fn with_max_watch_streams(mut self, streams: usize) -> Self {
        self.max_watch_streams = streams;
        self
    }

    /// Sets [`max_watchers_per_stream`](Self::max_watchers_per_stream).
    #[must_use]
    pub fn with_max_watchers_per_stream(mut self, watchers: usize) -> Self {
        self.max_watchers_per_stream = watchers;
        self
    }

    /// Sets [`shutdown_grace`](Self::shutdown_grace).
    #[must_use]
    pub fn with_shutdown_grace(mut self, grace: Duration) -> Self {
        self.shutdown_grace = grace;
        self
    }

    /// Calls `log` with a line about each request, once it is answered, and about each message of
    /// a stream. It is called in the middle of things and must not block. By default nothing is
    /// told.
    #[must_use]
    pub fn with_log(mut self, log: impl Fn(&str) + Send + Sync + 'static) -> Self {
        self.log = Log(Some(Arc::new(log)));
        self
    }
}

impl fmt::Debug for ServerOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerOptions")
            .field("max_watch_streams", &self.max_watch_streams)
            .field("max_watchers_per_stream", &self.max_watchers_per_stream)
            .field("shutdown_grace", &self.shutdown_grace)
            .field("log", &self.log.0.is_some())
            .finish()
    }
}
