//! How to reach an etcd cluster.

use std::fmt;
use std::time::Duration;

#[cfg(feature = "tls")]
use crate::EtcdTls;

/// Options of an [`EtcdBackend`](crate::EtcdBackend).
#[derive(Clone)]
#[non_exhaustive]
pub struct EtcdOptions {
    /// The members of the cluster, such as `http://10.0.0.1:2379`, in the order of preference.
    /// Name them all: a member that is not named is not used, and its version is not known. An
    /// address without a scheme is `http`, or `https` if [`tls`](Self::tls) is set. Default:
    /// `http://127.0.0.1:2379`.
    pub endpoints: Vec<String>,
    /// Name and password. The token made of them is renewed when the server no longer accepts it.
    /// A server with authentication switched off ignores them. Default: none.
    pub user: Option<(String, String)>,
    /// TLS for endpoints with the scheme `https`. Default: the system's root certificates.
    #[cfg(feature = "tls")]
    pub tls: Option<EtcdTls>,
    /// How long [`EtcdBackend::connect`](crate::EtcdBackend::connect) waits for each endpoint, all
    /// at once. Default: 5 s.
    ///
    /// A connection that is made later, within a request, is given up after this time or half of
    /// [`request_timeout`](Self::request_timeout), whichever is shorter, so that there is time
    /// left for the next endpoint.
    pub connect_timeout: Duration,
    /// The deadline of every request. Default: 5 s.
    pub request_timeout: Duration,
    /// How often an HTTP/2 ping asks whether the connection lives, while a watch or a request is
    /// open on it; what is idle is kept by TCP's own keep-alive. Default: 10 s. An etcd server
    /// refuses more than one in 5 s (its `--grpc-keepalive-min-time`), and pings without anything
    /// open at all.
    pub keep_alive_interval: Duration,
    /// How long a ping may stay unanswered before the connection counts as dead. Default: 5 s.
    pub keep_alive_timeout: Duration,
    /// Fail requests and end watches with `Unavailable` on a member that is cut off from its
    /// leader, for about three election timeouts in the case of watches. Without it such a watch
    /// stays silent. Default: true.
    pub require_leader: bool,
    /// The server's `--max-txn-ops`, if it is set. Default: 128, etcd's own.
    pub max_txn_ops: usize,
    /// The server's `--max-request-bytes`, if it is set. Default: 1,572,864, etcd's own.
    pub max_request_bytes: usize,
    /// The largest response in bytes, fragments of a watch response taken together by the size of
    /// their keys and values. One watch response holds up to 1,000 revisions (etcd:
    /// `server/storage/mvcc/watcher_group.go`, `watchBatchMaxRevs`), so a small limit can make a
    /// busy range impossible to follow. Default: 2 GiB - 1, that of etcd's own client.
    pub max_message_bytes: usize,
}

impl EtcdOptions {
    /// The defaults, with these endpoints.
    pub fn new<S: Into<String>>(endpoints: impl IntoIterator<Item = S>) -> Self {
        Self { endpoints: endpoints.into_iter().map(Into::into).collect(), ..Self::default() }
    }

    /// Sets name and password.
    #[must_use]
    pub fn with_user(mut self, name: impl Into<String>, password: impl Into<String>) -> Self {
        self.user = Some((name.into(), password.into()));
        self
    }

    /// Sets certificates for TLS.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn with_tls(mut self, tls: EtcdTls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Sets how long to wait for a connection.
    #[must_use]
    pub fn with_connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Sets the deadline of every request.
    #[must_use]
    pub fn with_request_timeout(mut self, timeout: Duration) -> Self {
        self.request_timeout = timeout;
        self
    }

    /// Sets how often the connection is checked, and how long an answer may take.
    #[must_use]
    pub fn with_keep_alive(mut self, interval: Duration, timeout: Duration) -> Self {
        self.keep_alive_interval = interval;
        self.keep_alive_timeout = timeout;
        self
    }

    /// Sets whether a member without a leader is refused.
    #[must_use]
    pub fn with_require_leader(mut self, require_leader: bool) -> Self {
        self.require_leader = require_leader;
        self
    }

    /// Sets the server's limit of compares and operations.
    #[must_use]
    pub fn with_max_txn_ops(mut self, max_txn_ops: usize) -> Self {
        self.max_txn_ops = max_txn_ops;
        self
    }

    /// Sets the server's limit of request sizes.
    #[must_use]
    pub fn with_max_request_bytes(mut self, max_request_bytes: usize) -> Self {
        self.max_request_bytes = max_request_bytes;
        self
    }

    /// Sets the largest response.
    #[must_use]
    pub fn with_max_message_bytes(mut self, max_message_bytes: usize) -> Self {
        self.max_message_bytes = max_message_bytes;
        self
    }
}

impl Default for EtcdOptions {
    fn default() -> Self {
        Self {
            endpoints: vec!["http://127.0.0.1:2379".to_owned()],
            user: None,
            #[cfg(feature = "tls")]
            tls: None,
            connect_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(5),
            keep_alive_interval: Duration::from_secs(10),
            keep_alive_timeout: Duration::from_secs(5),
            require_leader: true,
            max_txn_ops: 128,
            max_request_bytes: 1_572_864,
            max_message_bytes: i32::MAX as usize,
        }
    }
}

/// Without the password, and without endpoints that hold one by mistake.
impl fmt::Debug for EtcdOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let endpoints: Vec<_> = self.endpoints.iter().map(|url| redacted(url)).collect();
        f.debug_struct("EtcdOptions")
            .field("endpoints", &endpoints)
            .field("user", &self.user.as_ref().map(|(name, _)| name))
            .field("connect_timeout", &self.connect_timeout)
            .field("request_timeout", &self.request_timeout)
            .field("keep_alive_interval", &self.keep_alive_interval)
            .field("keep_alive_timeout", &self.keep_alive_timeout)
            .field("require_leader", &self.require_leader)
            .field("max_txn_ops", &self.max_txn_ops)
            .field("max_request_bytes", &self.max_request_bytes)
            .field("max_message_bytes", &self.max_message_bytes)
            .finish_non_exhaustive()
    }
}

/// The endpoint without anything before an `@`.
pub(crate) fn redacted(endpoint: &str) -> String {
    match endpoint.rsplit_once('@') {
        Some((_, address)) => format!("(redacted)@{address}"),
        None => endpoint.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_password() {
        let options = EtcdOptions::new(["http://root:secret@localhost:2379"])
            .with_user("root", "also-secret");
        let text = format!("{options:?}");
        assert!(!text.contains("secret"), "{text}");
        assert!(text.contains("localhost:2379") && text.contains("root"));
    }
}
