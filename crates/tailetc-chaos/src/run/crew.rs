//! The worker processes, and the pipes to and from them.

use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fastrand::Rng;
use tailetc_testkit::simulation::Merged;
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::RunArgs;
use crate::Failure;
use crate::pipe::{self, Frame};

/// How long a process may take to do as it is told.
const PATIENCE: Duration = Duration::from_secs(90);

/// Ends with all its processes when it is dropped.
pub(crate) struct Crew {
    _children: Vec<Child>,
    orders: Orders,
    said: mpsc::Receiver<(usize, String)>,
    merged: Arc<Mutex<Merged>>,
    readers: JoinSet<()>,
    count: usize,
}

/// The way to tell all processes something.
#[derive(Clone)]
pub(crate) struct Orders(Arc<tokio::sync::Mutex<Vec<ChildStdin>>>);

impl Orders {
    pub(crate) async fn tell(&self, line: &str) -> Result<(), Failure> {
        for stdin in &mut *self.0.lock().await {
            stdin.write_all(format!("{line}\n").as_bytes()).await?;
        }
        Ok(())
    }
}

impl Crew {
    /// Starts the processes and waits until each has its `Db`s.
    pub(crate) async fn start(
        args: &RunArgs,
        endpoints: &[String],
        rng: &mut Rng,
    ) -> Result<Self, Failure> {
        let program = std::env::current_exe()?;
        let (say, said) = mpsc::channel(1_024);
        let merged = Arc::new(Mutex::new(Merged::default()));
        let (mut children, mut stdins, mut readers) = (Vec::new(), Vec::new(), JoinSet::new());
        for process in 0..args.processes {
            let mut child = Command::new(&program)
                .arg("worker")
                .arg(format!("--process={process}"))
                .arg(format!("--seed={}", rng.u64(..)))
                .arg(format!("--endpoints={}", endpoints.join(",")))
                .arg(format!("--dbs={}", args.dbs))
                .arg(format!("--programs={}", args.programs))
                .arg(format!("--pause={}", args.pause))
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .kill_on_drop(true)
                .spawn()?;
            let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
                return Err("a worker has no pipes".into());
            };
            readers.spawn(listen(process, stdout, say.clone(), Arc::clone(&merged)));
            stdins.push(stdin);
            children.push(child);
        }
        let orders = Orders(Arc::new(tokio::sync::Mutex::new(stdins)));
        let count = args.processes;
        let mut crew = Self { _children: children, orders, said, merged, readers, count };
        crew.hear("ready", 1).await?;
        Ok(crew)
    }

    pub(crate) fn orders(&self) -> Orders {
        self.orders.clone()
    }

    pub(crate) async fn tell(&self, line: &str) -> Result<(), Failure> {
        self.orders.tell(line).await
    }

    /// Waits until each process has said so many lines that begin with this word.
    pub(crate) async fn hear(&mut self, word: &str, each: usize) -> Result<(), Failure> {
        let mut missing = each * self.count;
        while missing > 0 {
            let (process, line) = self.next().await?;
            if !line.starts_with(word) {
                return Err(format!("process {process} says {line:?} instead of {word:?}").into());
            }
            missing -= 1;
        }
        Ok(())
    }

    /// The next line of any process.
    pub(crate) async fn next(&mut self) -> Result<(usize, String), Failure> {
        match timeout(PATIENCE, self.said.recv()).await {
            Ok(Some((process, line))) if line == ENDED => {
                Err(format!("process {process} has ended by itself").into())
            }
            Ok(Some(said)) => Ok(said),
            Ok(None) => Err("all processes have ended".into()),
            Err(_) => Err(format!("the processes say nothing for {PATIENCE:?}").into()),
        }
    }

    /// How many processes there are.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// What they all have recorded.
    pub(crate) fn into_records(mut self) -> Merged {
        self.readers.abort_all();
        std::mem::take(&mut *self.merged.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What a process seems to say when it ends.
const ENDED: &str = "(ended)";

async fn listen(
    process: usize,
    stdout: ChildStdout,
    say: mpsc::Sender<(usize, String)>,
    merged: Arc<Mutex<Merged>>,
) {
    let mut stdout = BufReader::new(stdout);
    loop {
        let line = match pipe::read(&mut stdout).await {
            Ok(Some(Frame::Records(bytes))) => {
                let mut merged = merged.lock().unwrap_or_else(PoisonError::into_inner);
                match merged.add(process, &bytes) {
                    Ok(()) => continue,
                    Err(error) => error,
                }
            }
            Ok(Some(Frame::Said(line))) => line,
            Ok(None) | Err(_) => ENDED.to_owned(),
        };
        let ended = line == ENDED;
        if say.send((process, line)).await.is_err() || ended {
            return;
        }
    }
}
