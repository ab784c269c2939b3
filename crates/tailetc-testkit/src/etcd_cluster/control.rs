//! What an operator does, with etcd's own tool and past the proxies.

use std::path::Path;

use serde_json::Value;
use tokio::process::Command;

use super::{EtcdCluster, MEMBERS, Member};
use crate::etcd_server::EtcdServerError;

impl EtcdCluster {
    /// The number of the leader.
    ///
    /// # Errors
    ///
    /// When no member that answers is the leader.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn leader(&self) -> Result<usize, EtcdServerError> {
        let text = self.etcdctl(&["endpoint", "status", "--write-out=json"]).await?;
        let urls = self.direct_urls();
        let place = leading_endpoint(&text).and_then(|url| urls.iter().position(|u| *u == url));
        place.ok_or_else(|| EtcdServerError::new(format!("no leader: {text}")))
    }

    /// Makes another member the leader.
    ///
    /// # Errors
    ///
    /// When etcd refuses, or there is no leader now.
    ///
    /// # Cancel safety
    ///
    /// After a drop it may have been done.
    pub async fn move_leader(&self, to: usize) -> Result<(), EtcdServerError> {
        let identifiers = self.identifiers().await?;
        self.etcdctl(&["move-leader", &format!("{:x}", identifiers[to])]).await.map(drop)
    }

    /// Compacts the history up to `revision`.
    ///
    /// # Errors
    ///
    /// When etcd refuses.
    ///
    /// # Cancel safety
    ///
    /// After a drop the compaction may have been done.
    pub async fn compact(&self, revision: i64) -> Result<(), EtcdServerError> {
        self.etcdctl(&["compact", &revision.to_string()]).await.map(drop)
    }

    /// Defragments the data of one member, which answers nothing meanwhile.
    ///
    /// # Errors
    ///
    /// When it fails.
    ///
    /// # Cancel safety
    ///
    /// After a drop it may go on.
    pub async fn defragment(&self, member: usize) -> Result<(), EtcdServerError> {
        self.etcdctl_of(member, &["defrag"]).await.map(drop)
    }

    /// Runs `etcdctl` (API version 3) against all members that run, past the proxies, and returns
    /// its standard output.
    ///
    /// # Errors
    ///
    /// When it fails, with its standard error.
    ///
    /// # Cancel safety
    ///
    /// A dropped future kills `etcdctl`; what it asked for may have been done.
    pub async fn etcdctl(&self, args: &[&str]) -> Result<String, EtcdServerError> {
        let running = self.members.iter().filter(|member| member.is_running());
        let urls: Vec<String> = running.map(Member::direct_url).collect();
        self.run_etcdctl(&urls.join(","), args).await
    }

    pub(super) async fn etcdctl_of(
        &self,
        member: usize,
        args: &[&str],
    ) -> Result<String, EtcdServerError> {
        self.run_etcdctl(&self.members[member].direct_url(), args).await
    }

    async fn run_etcdctl(&self, urls: &str, args: &[&str]) -> Result<String, EtcdServerError> {
        let mut all = vec![format!("--endpoints={urls}"), "--command-timeout=10s".to_owned()];
        all.extend(args.iter().map(|arg| (*arg).to_owned()));
        run(&self.binary.etcdctl, &all).await
    }

    /// Lets the network know the members by their identifiers.
    pub(super) async fn learn_identifiers(&self) -> Result<(), EtcdServerError> {
        self.network.know(self.identifiers().await?);
        Ok(())
    }

    /// etcd's identifiers of the members.
    async fn identifiers(&self) -> Result<Vec<u64>, EtcdServerError> {
        let list = self.etcdctl(&["member", "list"]).await?;
        let identifier = |index: usize| {
            let name = Self::name(index);
            let line = list.lines().find(|line| line.split(", ").nth(2) == Some(&name));
            let identifier = line.and_then(|line| line.split(", ").next());
            u64::from_str_radix(identifier.unwrap_or_default(), 16)
                .map_err(|_| EtcdServerError::new(format!("{name} is no member: {list}")))
        };
        (0..MEMBERS).map(identifier).collect()
    }
}

/// The endpoint of the member that takes itself for the leader, in what `etcdctl endpoint status`
/// prints as JSON. The columns of its plain output differ between releases.
fn leading_endpoint(text: &str) -> Option<String> {
    let members: Vec<Value> = serde_json::from_str(text).ok()?;
    let leads = |member: &&Value| {
        let status = &member["Status"];
        status["leader"].is_u64() && status["leader"] == status["header"]["member_id"]
    };
    let leader = members.iter().find(leads)?;
    leader["Endpoint"].as_str().map(str::to_owned)
}

/// Runs one of etcd's tools.
pub(super) async fn run(tool: &Path, args: &[String]) -> Result<String, EtcdServerError> {
    let mut command = Command::new(tool);
    command.env("ETCDCTL_API", "3").args(args).kill_on_drop(true);
    let output = command
        .output()
        .await
        .map_err(|e| EtcdServerError::io(format!("{} cannot be run", tool.display()), e))?;
    if !output.status.success() {
        return Err(EtcdServerError::new(format!(
            "{} {args:?} failed: {}",
            tool.display(),
            String::from_utf8_lossy(&output.stderr).trim()
        )));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leader_is_the_member_that_names_itself() {
        let member = |url: &str, id: u64, leader: u64| {
            let status = serde_json::json!({"header": {"member_id": id}, "leader": leader});
            serde_json::json!({"Endpoint": url, "Status": status})
        };
        let text = |leader: u64| {
            Value::from(vec![member("http://a", u64::MAX, leader), member("http://b", 2, leader)])
        };
        let found = |leader| leading_endpoint(&text(leader).to_string());
        assert_eq!(found(u64::MAX).as_deref(), Some("http://a"));
        assert_eq!(found(2).as_deref(), Some("http://b"));
        assert_eq!(found(3), None);
        // A server leaves the field out where it knows no leader.
        let none = r#"[{"Endpoint": "http://a", "Status": {"header": {"member_id": 7}}}]"#;
        assert_eq!(leading_endpoint(none), None);
        assert_eq!(leading_endpoint("not JSON"), None);
    }
}
