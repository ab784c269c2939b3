//! Which server to run.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use tokio::process::Command;

use super::EtcdServerError;

/// The environment variable with the path of the `etcd` or `memkv` binary.
const ENV: &str = "TAILETC_ETCD";
/// The one with the path of `etcdctl`, if that is not beside it.
const ENV_ETCDCTL: &str = "TAILETC_ETCDCTL";
/// The one with the release that `memkv` imitates, if not the newest.
const ENV_IMITATE: &str = "TAILETC_IMITATE";

/// A server binary and what it can do.
#[derive(Clone, Debug)]
pub(crate) struct Binary {
    pub(crate) path: PathBuf,
    pub(crate) etcdctl: PathBuf,
    /// Where it is beside `etcdctl`.
    etcdutl: Option<PathBuf>,
    pub(crate) kind: Kind,
}

#[derive(Clone, Debug)]
pub(crate) enum Kind {
    Etcd {
        version: String,
        has_no_fsync: bool,
    },
    /// The fake of this workspace, which keeps no data when it ends.
    Memkv {
        imitate: Option<String>,
    },
}

impl Binary {
    pub(crate) async fn from_env() -> Result<Self, EtcdServerError> {
        let Some(path) = std::env::var_os(ENV).map(PathBuf::from) else {
            return Err(EtcdServerError::new(format!(
                "{ENV} does not name an etcd binary: run ./test.sh, which installs etcd and sets it"
            )));
        };
        Self::at(path).await
    }

    pub(crate) async fn at(path: PathBuf) -> Result<Self, EtcdServerError> {
        let beside = || path.with_file_name("etcdctl");
        let etcdctl = std::env::var_os(ENV_ETCDCTL).map_or_else(beside, PathBuf::from);
        let kind = kind(&path).await?.ok_or_else(|| {
            EtcdServerError::new(format!("{} is not an etcd binary", path.display()))
        })?;
        let etcdutl = Some(etcdctl.with_file_name("etcdutl")).filter(|path| path.exists());
        Ok(Self { path, etcdctl, etcdutl, kind })
    }

    /// What looks at snapshots and restores them: `etcdctl` has lost that to `etcdutl` in 3.6.
    pub(crate) fn snapshot_tool(&self) -> &Path {
        self.etcdutl.as_deref().unwrap_or(&self.etcdctl)
    }
}

async fn kind(path: &Path) -> Result<Option<Kind>, EtcdServerError> {
    // The flag is missing in older servers, and in the help text of some that have it.
    let with_flag = output(path, &["--unsafe-no-fsync", "--version"]).await?;
    let has_no_fsync = with_flag.is_some();
    let text = match with_flag {
        Some(text) => text,
        None => output(path, &["--version"]).await?.unwrap_or_default(),
    };
    if text.starts_with("memkv ") {
        let imitate = std::env::var_os(ENV_IMITATE).map(OsString::into_string);
        let imitate = imitate
            .transpose()
            .map_err(|_| EtcdServerError::new(format!("{ENV_IMITATE} is not a release of etcd")))?;
        return Ok(Some(Kind::Memkv { imitate }));
    }
    let version = text.lines().find_map(|l| l.strip_prefix("etcd Version: "));
    Ok(version.map(|version| Kind::Etcd { version: version.trim().to_owned(), has_no_fsync }))
}

/// What the binary prints, if it accepts the arguments.
async fn output(path: &Path, args: &[&str]) -> Result<Option<String>, EtcdServerError> {
    let output = Command::new(path).args(args).kill_on_drop(true).output().await.map_err(|e| {
        let hint = "run ./test.sh, which installs etcd and sets it";
        EtcdServerError::io(format!("{ENV}={} cannot be run: {hint}", path.display()), e)
    })?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(output.status.success().then_some(text))
}
