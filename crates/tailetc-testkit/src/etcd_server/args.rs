//! The arguments that a server is started with.

use super::EtcdServer;
use super::binary::Kind;

impl EtcdServer {
    pub(super) fn args(&self) -> Vec<String> {
        let mut args = match &self.binary.kind {
            Kind::Etcd { has_no_fsync, .. } => self.etcd_args(*has_no_fsync),
            Kind::Memkv { imitate } => self.memkv_args(imitate.as_deref()),
        };
        args.extend(self.options.args.iter().cloned());
        args
    }

    fn etcd_args(&self, has_no_fsync: bool) -> Vec<String> {
        let url = self.url();
        let mut args = vec![
            format!("--data-dir={}", self.dir.display()),
            format!("--listen-client-urls={url}"),
            format!("--advertise-client-urls={url}"),
            // The only member has no peers, so that any port will do.
            "--listen-peer-urls=http://127.0.0.1:0".to_owned(),
            "--initial-advertise-peer-urls=http://127.0.0.1:0".to_owned(),
            "--initial-cluster=default=http://127.0.0.1:0".to_owned(),
            // Else all servers of this launcher would have one cluster id.
            format!("--initial-cluster-token={}", self.dir.display()),
        ];
        if let Some(tls) = &self.options.tls {
            args.extend(tls.server_args());
        }
        if let Some(port) = self.metrics_port {
            args.push(format!("--listen-metrics-urls=http://127.0.0.1:{port}"));
        }
        if !self.options.durable && has_no_fsync {
            args.push("--unsafe-no-fsync".to_owned());
        }
        args.extend(self.options.timing_args());
        args
    }

    fn memkv_args(&self, imitate: Option<&str>) -> Vec<String> {
        let mut args = vec![
            format!("--listen=127.0.0.1:{}", self.port),
            // One for each server, and for each start of it the same.
            format!("--cluster-id={}", u64::from(std::process::id()) << 16 | u64::from(self.port)),
            format!("--min-lease-ttl={}", self.options.min_ttl_seconds()),
        ];
        args.extend(imitate.map(|version| format!("--imitate={version}")));
        args
    }
}
