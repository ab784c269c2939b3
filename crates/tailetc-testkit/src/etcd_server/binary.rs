//! Which etcd to run.

use std::path::PathBuf;

use tokio::process::Command;

use super::EtcdServerError;

/// The environment variable with the path of the `etcd` binary.
const ENV: &str = "TAILETC_ETCD";

/// An etcd binary and what it can do.
#[derive(Clone, Debug)]
pub(super) struct Binary {
    pub(super) etcd: PathBuf,
    pub(super) etcdctl: PathBuf,
    pub(super) version: String,
    pub(super) has_no_fsync: bool,
}

impl Binary {
    pub(super) async fn from_env() -> Result<Self, EtcdServerError> {
        let Some(etcd) = std::env::var_os(ENV).map(PathBuf::from) else {
            return Err(EtcdServerError::new(format!(
                "{ENV} does not name an etcd binary: run ./test.sh, which installs etcd and sets it"
            )));
        };
        // The flag is missing in older servers, and in the help text of some that have it.
        let with_flag = version(&etcd, &["--unsafe-no-fsync", "--version"]).await?;
        let has_no_fsync = with_flag.is_some();
        let version = match with_flag {
            Some(version) => Some(version),
            None => version(&etcd, &["--version"]).await?,
        };
        let version = version.ok_or_else(|| {
            EtcdServerError::new(format!("{ENV}={} is not an etcd binary", etcd.display()))
        })?;
        Ok(Self { etcdctl: etcd.with_file_name("etcdctl"), etcd, version, has_no_fsync })
    }
}

/// The version that the binary prints, if it accepts the arguments.
async fn version(etcd: &PathBuf, args: &[&str]) -> Result<Option<String>, EtcdServerError> {
    let output = Command::new(etcd).args(args).kill_on_drop(true).output().await.map_err(|e| {
        let hint = "run ./test.sh, which installs etcd and sets it";
        EtcdServerError::io(format!("{ENV}={} cannot be run: {hint}", etcd.display()), e)
    })?;
    let text = String::from_utf8_lossy(&output.stdout);
    let version = text.lines().find_map(|l| l.strip_prefix("etcd Version: "));
    Ok(version.filter(|_| output.status.success()).map(|version| version.trim().to_owned()))
}
