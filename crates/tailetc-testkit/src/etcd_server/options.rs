//! How a test server is started.

use std::path::PathBuf;

/// Options of an [`EtcdServer`](super::EtcdServer).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct EtcdServerOptions {
    /// Flush to disk as etcd does in production. Without it the server is started with
    /// `--unsafe-no-fsync` where it has that: faster, and still safe against
    /// [`kill`](super::EtcdServer::kill), which loses no page that was written. Off by default.
    pub durable: bool,
    /// Keep the shortest lease at etcd's default of 2 seconds, at the price of a start that takes
    /// up to a second. etcd derives it from the election timeout (1.5 times, in whole seconds), and
    /// a short election timeout is what makes a start quick: without this it is 1 second. Off by
    /// default.
    pub default_min_ttl: bool,
    /// Serve clients over TLS. Off by default.
    pub tls: Option<EtcdServerTls>,
    /// The `etcd` to run, with `etcdctl` beside it. Default: what `TAILETC_ETCD` names.
    pub binary: Option<PathBuf>,
    /// More arguments for `etcd`, such as `--max-txn-ops=10`. None by default.
    pub args: Vec<String>,
}

impl EtcdServerOptions {
    /// Flushes to disk as in production.
    #[must_use]
    pub fn with_durable(mut self) -> Self {
        self.durable = true;
        self
    }

    /// Keeps the shortest lease at etcd's default of 2 seconds.
    #[must_use]
    pub fn with_default_min_ttl(mut self) -> Self {
        self.default_min_ttl = true;
        self
    }

    /// Serves clients over TLS.
    #[must_use]
    pub fn with_tls(mut self, tls: EtcdServerTls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Runs this `etcd` and not the one that `TAILETC_ETCD` names.
    #[must_use]
    pub fn with_binary(mut self, binary: impl Into<PathBuf>) -> Self {
        self.binary = Some(binary.into());
        self
    }

    /// Adds an argument for `etcd`.
    #[must_use]
    pub fn with_arg(mut self, arg: impl Into<String>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// The shortest lease that follows from [`timing_args`](Self::timing_args).
    pub(super) fn min_ttl_seconds(&self) -> u32 {
        if self.default_min_ttl { 2 } else { 1 }
    }

    /// A lone member elects itself after one to two election timeouts.
    pub(super) fn timing_args(&self) -> [String; 2] {
        // 700 ms is the shortest of round numbers whose 1.5-fold is above one second.
        let election = if self.default_min_ttl { 700 } else { 100 };
        ["--heartbeat-interval=10".to_owned(), format!("--election-timeout={election}")]
    }
}

/// The certificate that a server shows to its clients, and what it asks of them.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EtcdServerTls {
    /// A file with the certificate for 127.0.0.1 (PEM). It must be good for clients too, as
    /// [`etcdctl`](super::EtcdServer::etcdctl) shows it.
    pub certificate: PathBuf,
    /// A file with its private key (PEM).
    pub key: PathBuf,
    /// A file with the authority (PEM) that the certificates of clients must come from. By default
    /// clients need none.
    pub client_ca: Option<PathBuf>,
}

impl EtcdServerTls {
    /// A certificate, without asking clients for theirs.
    pub fn new(certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        Self { certificate: certificate.into(), key: key.into(), client_ca: None }
    }

    /// Asks clients for a certificate of this authority.
    #[must_use]
    pub fn with_client_ca(mut self, client_ca: impl Into<PathBuf>) -> Self {
        self.client_ca = Some(client_ca.into());
        self
    }

    pub(super) fn server_args(&self) -> Vec<String> {
        let mut args = vec![
            format!("--cert-file={}", self.certificate.display()),
            format!("--key-file={}", self.key.display()),
        ];
        if let Some(client_ca) = &self.client_ca {
            args.push(format!("--trusted-ca-file={}", client_ca.display()));
            args.push("--client-cert-auth".to_owned());
        }
        args
    }

    pub(super) fn etcdctl_args(&self) -> [String; 3] {
        [
            "--insecure-skip-tls-verify".to_owned(),
            format!("--cert={}", self.certificate.display()),
            format!("--key={}", self.key.display()),
        ]
    }
}
