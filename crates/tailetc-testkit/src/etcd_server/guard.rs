//! The process between a test and its server, which sees to it that the server dies with the test.

use std::path::Path;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};

use super::EtcdServerError;

/// A shell that runs the server and kills it when this is dropped, or when this process dies:
/// both close the pipe that the shell reads.
#[derive(Debug)]
pub(crate) struct Guard {
    shell: Child,
    commands: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
    /// Held open by the server alone.
    lifeline: ChildStderr,
}

impl Guard {
    pub(crate) async fn spawn(
        program: &Path,
        args: &[String],
        dir: &Path,
        log: &Path,
    ) -> Result<Self, EtcdServerError> {
        let mut shell = Command::new("sh")
            .arg("-c")
            .arg(include_str!("guard.sh"))
            .arg("etcd-guard")
            .args([dir, log, program])
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Out of the reach of the Ctrl-C that ends the test, or it could not clean up.
            .process_group(0)
            .spawn()
            .map_err(|e| EtcdServerError::io("sh cannot be run", e))?;
        let pipes = (shell.stdin.take(), shell.stdout.take(), shell.stderr.take());
        let (Some(commands), Some(answers), Some(lifeline)) = pipes else {
            return Err(EtcdServerError::new("sh has no pipes"));
        };
        let mut guard =
            Self { shell, commands, answers: BufReader::new(answers).lines(), lifeline };
        // Until this ends, dropping the guard removes the data: a first start that fails leaves
        // nothing, and a restart that fails is final anyway.
        guard.signal("CONT").await?;
        Ok(guard)
    }

    /// Sends a signal to the server and returns when it was sent.
    pub(crate) async fn signal(&mut self, signal: &str) -> Result<(), EtcdServerError> {
        self.command(signal).await
    }

    /// Waits until the server has ended.
    pub(crate) async fn exited(&mut self) {
        let mut buffer = [0; 256];
        while matches!(self.lifeline.read(&mut buffer).await, Ok(read) if read > 0) {}
    }

    /// Kills the server, waits for its end, and leaves its data.
    pub(crate) async fn kill(mut self) -> Result<(), EtcdServerError> {
        self.command("KEEP").await?;
        drop(self.commands);
        self.shell
            .wait()
            .await
            .map_err(|e| EtcdServerError::io("the guard of etcd cannot be waited for", e))?;
        Ok(())
    }

    async fn command(&mut self, command: &str) -> Result<(), EtcdServerError> {
        let failed = |e| EtcdServerError::io("the guard of etcd does not answer", e);
        self.commands.write_all(format!("{command}\n").as_bytes()).await.map_err(failed)?;
        match self.answers.next_line().await.map_err(failed)? {
            Some(_) => Ok(()),
            None => Err(EtcdServerError::new("the guard of etcd has ended")),
        }
    }
}

/// Removes what a server that is no longer running has left. What cannot be removed stays: it is
/// in the system's directory for temporary files.
pub(crate) fn remove_data(dir: &Path) {
    let _ = std::fs::remove_dir_all(dir);
    let _ = std::fs::remove_file(dir.with_extension("log"));
}
