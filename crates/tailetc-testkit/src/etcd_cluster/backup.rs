//! Backups, and a cluster that comes back from one.

use std::path::PathBuf;

use serde_json::Value;

use super::control::run;
use super::{EtcdCluster, MEMBERS};
use crate::etcd_server::EtcdServerError;

/// What a member held when the backup was made. It is a file beside that member's data, and gone
/// when the cluster is restored or dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backup {
    path: PathBuf,
    revision: i64,
}

impl Backup {
    /// The last revision in it.
    pub fn revision(&self) -> i64 {
        self.revision
    }
}

/// What a restored cluster is for its clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a cluster token is the same or another")]
pub enum RestoredAs {
    /// The same cluster: it has the identifier that it had, and its terms begin anew.
    Same,
    /// Another cluster, by its identifier.
    Other,
}

impl EtcdCluster {
    /// Makes a backup of what a member holds (`etcdctl snapshot save`), and looks at it with
    /// `etcdutl` where that is beside `etcdctl`, as it is from 3.6 on.
    ///
    /// # Errors
    ///
    /// When it fails.
    ///
    /// # Cancel safety
    ///
    /// After a drop a part of a file may stay until the cluster is dropped.
    pub async fn backup(&self, member: usize) -> Result<Backup, EtcdServerError> {
        let dir = self.data_dir(member);
        let number = (0..).find(|number| !dir.join(file_name(*number)).exists()).unwrap_or(0_usize);
        let path = dir.join(file_name(number));
        let shown = path.display().to_string();
        self.etcdctl_of(member, &["snapshot", "save", &shown]).await?;
        let status = ["snapshot", "status", &shown, "--write-out=json"].map(str::to_owned);
        let status = run(self.binary.snapshot_tool(), &status).await?;
        let revision = serde_json::from_str::<Value>(&status).ok();
        let revision = revision
            .and_then(|status| status["revision"].as_i64())
            .ok_or_else(|| EtcdServerError::new(format!("a backup of no revision: {status}")))?;
        Ok(Backup { path, revision })
    }

    /// Kills all members, makes new data of a backup for each (`etcdctl snapshot restore`, or
    /// `etcdutl`), starts them with it, and waits until they serve. All that was written since the backup is lost, as
    /// are all backups.
    ///
    /// # Errors
    ///
    /// When a step fails; the cluster is of no use then.
    ///
    /// # Cancel safety
    ///
    /// After a drop the cluster is of no use.
    pub async fn restore(
        &mut self,
        backup: &Backup,
        restored_as: RestoredAs,
    ) -> Result<(), EtcdServerError> {
        for member in 0..MEMBERS {
            self.kill(member).await?;
        }
        self.generation += 1;
        if restored_as == RestoredAs::Other {
            self.token = format!("{}-{}", self.name, self.generation);
        }
        for member in 0..MEMBERS {
            let mut args = vec!["snapshot".to_owned(), "restore".to_owned()];
            args.push(backup.path.display().to_string());
            args.push(format!("--data-dir={}", self.data_dir(member).display()));
            args.extend(self.membership_args(member));
            run(self.binary.snapshot_tool(), &args).await?;
        }
        for member in 0..MEMBERS {
            self.members[member].remove_data();
            self.restart(member).await?;
        }
        self.healthy().await?;
        self.learn_identifiers().await
    }
}

fn file_name(number: usize) -> String {
    format!("backup-{number}.db")
}
