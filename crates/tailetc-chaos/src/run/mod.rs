//! The parent: it owns the cluster and the log, lets things happen, and has all of it judged.

mod chronicle;
mod crew;
mod figures;
mod schedule;
mod strike;

use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use fastrand::Rng;
use tailetc::Revision;
use tailetc_etcd::EtcdBackend;
use tailetc_testkit::etcd_cluster::{
    Backup, Disturbance, EtcdCluster, EtcdClusterOptions, RestoredAs,
};
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use self::chronicle::Chronicle;
use self::crew::{Crew, Orders};
use self::figures::Figures;
use self::schedule::{Episode, Fault, Schedule};
use self::strike::Damage;
use crate::Failure;
use crate::options::PROBE;

#[derive(Args, Clone, Debug)]
pub(crate) struct RunArgs {
    /// How long things happen. Everything happens at least once, however long that takes.
    #[arg(long, default_value_t = 0.0)]
    pub(crate) minutes: f64,
    /// Decides what happens, and in which order. By default another one each time.
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// Whether the cluster is also restored from backups.
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set)]
    pub(crate) restores: bool,
    /// How many processes commit.
    #[arg(long, default_value_t = 3)]
    pub(crate) processes: usize,
    /// How many `Db`s each of them has. Every second one has commit markers.
    #[arg(long, default_value_t = 2)]
    pub(crate) dbs: usize,
    /// How many programs use each `Db`.
    #[arg(long, default_value_t = 2)]
    pub(crate) programs: usize,
    /// The longest pause between two operations of a program, in milliseconds.
    #[arg(long, default_value_t = 60)]
    pub(crate) pause: u64,
}

/// How often processes are told what others have seen.
const TOLD_EVERY: Duration = Duration::from_millis(50);

/// How often something is tried that the cluster must take part in: at times there is no leader.
const ATTEMPTS: u32 = 5;
/// What takes longer is shown when it happens.
const SLOW: Duration = Duration::from_secs(1);

type Log = Arc<Mutex<Chronicle>>;

struct Run {
    cluster: EtcdCluster,
    crew: Crew,
    log: Log,
    /// Past the proxies, and past the reader of the log, which may be waiting.
    writer: EtcdBackend,
    figures: Figures,
    damage: Damage,
    backup: Option<Backup>,
    probes: u64,
    /// How many `Db`s there are in all.
    dbs: usize,
}

pub(crate) async fn run(args: RunArgs) -> Result<(), Failure> {
    let seed = args.seed.unwrap_or_else(|| fastrand::u64(..));
    println!("seed {seed}: repeat what happens with --seed {seed}");
    let cluster = EtcdCluster::start_with(EtcdClusterOptions::default()).await?;
    println!("3 members of etcd {}", cluster.version());
    let chronicle = Chronicle::begin(cluster.direct_urls()).await?;
    let writer = chronicle.writer();
    chronicle::prepare(&writer).await?;
    let log = Arc::new(Mutex::new(chronicle));
    let mut rng = Rng::with_seed(seed);
    let crew = Crew::start(&args, &cluster.client_urls(), &mut rng).await?;
    let mut tasks = JoinSet::new();
    tasks.spawn(follow(Arc::clone(&log), crew.orders()));
    let mut run = Run {
        cluster,
        crew,
        log,
        writer,
        figures: Figures::default(),
        damage: Damage::default(),
        backup: None,
        probes: 0,
        dbs: args.processes * args.dbs,
    };
    run.crew.tell("go").await?;
    let mut schedule = Schedule::new(rng.u64(..), args.restores);
    let (began, lasting) = (Instant::now(), Duration::from_secs_f64(args.minutes * 60.0));
    while !schedule.is_complete() || began.elapsed() < lasting {
        let episode = schedule.next();
        println!("{:>7.2} s  {episode}", began.elapsed().as_secs_f64());
        run.suffer(&episode).await?;
        sleep(episode.calm).await;
    }
    let took = began.elapsed();
    run.finish().await?;
    tasks.shutdown().await;
    run.judge(took).await
}

/// Keeps reading the log, and tells the processes how far the store is.
async fn follow(log: Log, orders: Orders) {
    loop {
        sleep(TOLD_EVERY).await;
        let (era, caught_up) = {
            let mut log = log.lock().await;
            (log.era(), log.try_to_catch_up().await)
        };
        // While the cluster fails, there is nothing to tell.
        let Ok(revision) = caught_up else { continue };
        if orders.tell(&format!("seen {era} {revision}")).await.is_err() {
            return;
        }
    }
}

impl Run {
    async fn suffer(&mut self, episode: &Episode) -> Result<(), Failure> {
        for fault in &episode.faults {
            if fault.is_restore() {
                return self.restore(*fault, episode).await;
            }
            let mut attempts = if episode.faults.len() == 1 { ATTEMPTS } else { 1 };
            while let Err(error) = self.strike(*fault, episode).await {
                self.figures.failed(*fault, &error);
                attempts -= 1;
                if attempts == 0 {
                    break;
                }
                sleep(episode.calm).await;
            }
        }
        sleep(episode.lasting).await;
        let healed = Instant::now();
        self.damage.heal(&mut self.cluster).await?;
        self.converge(healed).await
    }

    async fn strike(&mut self, fault: Fault, episode: &Episode) -> Result<(), Failure> {
        match fault {
            Fault::Compact => self.log.lock().await.compact(2).await?,
            Fault::Backup => self.back_up(episode.member).await?,
            fault => self.damage.strike(&mut self.cluster, fault, episode).await?,
        }
        self.figures.happened(fault);
        Ok(())
    }

    async fn back_up(&mut self, member: usize) -> Result<(), Failure> {
        self.backup = Some(self.cluster.backup(member).await?);
        Ok(())
    }

    async fn restore(&mut self, fault: Fault, episode: &Episode) -> Result<(), Failure> {
        let backup = match self.backup.take() {
            Some(backup) => backup,
            None => {
                let backup = self.cluster.backup(episode.member).await?;
                sleep(episode.lasting).await;
                backup
            }
        };
        // What reaches the old cluster from now on would be missing in the log.
        self.cluster.network().disturb_clients(Disturbance::Refuse);
        sleep(Duration::from_millis(300)).await;
        let mut log = self.log.lock().await;
        while log.last() < log.catch_up().await? {}
        let lost = log.last().get() - backup.revision();
        self.crew.tell(&format!("era {}", log.era() + 1)).await?;
        self.crew.hear("ack", 1).await?;
        let restored_as = match fault {
            Fault::RestoreOther => RestoredAs::Other,
            _ => RestoredAs::Same,
        };
        self.cluster.restore(&backup, restored_as).await?;
        log.begin_era(Revision::new(backup.revision())).await?;
        self.writer = log.writer();
        drop(log);
        println!("           {lost} revisions are lost");
        self.figures.happened(fault);
        let healed = Instant::now();
        self.cluster.network().heal();
        self.converge(healed).await
    }

    /// Waits until every `Db` shows what was written after the healing.
    async fn converge(&mut self, healed: Instant) -> Result<(), Failure> {
        self.probes += 1;
        let probe = format!("probe-{}", self.probes);
        chronicle::put(&self.writer, PROBE, &probe).await?;
        self.figures.served(healed.elapsed());
        let served = Instant::now();
        self.crew.tell(&format!("current {probe}")).await?;
        for _ in 0..self.dbs {
            let (process, line) = self.crew.next().await?;
            if line.starts_with("current ") {
                if served.elapsed() > SLOW {
                    let took = served.elapsed();
                    println!("           process {process} took {took:.2?}: {line}");
                }
                self.figures.converged(served.elapsed(), healed.elapsed());
            } else {
                self.figures.violation(format!("process {process} after a healing: {line}"));
            }
        }
        self.cluster.healthy().await?;
        Ok(())
    }

    /// Ends the programs, and has every `Db` show its last state.
    async fn finish(&mut self) -> Result<(), Failure> {
        self.cluster.network().heal();
        self.crew.tell("finish").await?;
        self.crew.hear("finished", 1).await?;
        chronicle::await_leases(&self.writer, "/sim/").await?;
        let present = self.log.lock().await.catch_up().await?;
        self.crew.tell(&format!("close {present}")).await?;
        let mut open = self.crew.count();
        while open > 0 {
            let (process, line) = self.crew.next().await?;
            match line.strip_prefix("stats ") {
                Some(stats) => self.figures.add_stats(stats),
                None if line == "closed" => open -= 1,
                None => return Err(format!("process {process} says {line:?} at the end").into()),
            }
        }
        self.log.lock().await.catch_up().await?;
        Ok(())
    }

    async fn judge(self, took: Duration) -> Result<(), Failure> {
        let Self { cluster, crew, log, figures, .. } = self;
        drop(cluster);
        let merged = crew.into_records();
        let log = Arc::into_inner(log).ok_or("somebody still reads the log")?;
        let histories = log.into_inner().into_histories();
        let revisions = histories.iter().map(|history| history.revisions.len()).max().unwrap_or(0);
        let verdict = tokio::task::spawn_blocking(move || merged.judge(&histories)).await?;
        let violations = figures.print(took, revisions, &verdict);
        if violations > 0 {
            return Err(format!("{violations} violations").into());
        }
        Ok(())
    }
}
