//! One process: several `Db`s and the programs that use them. It does as its parent says on the
//! standard input, and sends what it recorded on the standard output.

mod clock;
mod floor;
mod tap;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clap::Args;
use fastrand::Rng;
use tailetc::{Db, RAW, Revision};
use tailetc_etcd::EtcdBackend;
use tailetc_testkit::simulation::{DBS, Record, Stage, programs};
use tokio::io::{AsyncBufReadExt, BufReader, stdin, stdout};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, sleep, timeout};

use self::clock::Clock;
use self::floor::Floor;
use self::tap::Tap;
use crate::Failure;
use crate::options::{self, PROBE};
use crate::pipe::{self, Frame};

/// How often what was recorded is sent.
const SENT_EVERY: Duration = Duration::from_millis(200);
/// How long a `Db` may take to be current once all is well again.
const CONVERGED: Duration = Duration::from_secs(30);
const LOOKED_EVERY: Duration = Duration::from_millis(2);

#[derive(Args, Clone, Debug)]
pub(crate) struct WorkerArgs {
    /// Its number.
    #[arg(long)]
    pub(crate) process: usize,
    #[arg(long)]
    pub(crate) seed: u64,
    /// The URLs of the members.
    #[arg(long, value_delimiter = ',')]
    pub(crate) endpoints: Vec<String>,
    #[arg(long)]
    pub(crate) dbs: usize,
    /// Programs for each `Db`.
    #[arg(long)]
    pub(crate) programs: usize,
    /// The longest pause between two operations of a program, in milliseconds.
    #[arg(long)]
    pub(crate) pause: u64,
}

type Say = mpsc::Sender<Frame>;

pub(crate) async fn run(args: WorkerArgs) -> Result<(), Failure> {
    if args.dbs > DBS {
        return Err(format!("at most {DBS} databases in one process").into());
    }
    let (say, said) = mpsc::channel(64);
    let mut tasks = JoinSet::new();
    tasks.spawn(speak(said));
    let mut rng = Rng::with_seed(args.seed);
    let (clock, record) = (Arc::new(Clock::new()), Arc::new(Mutex::new(Record::default())));
    let mut dbs = Vec::new();
    for index in 0..args.dbs {
        dbs.push(connect(&args, index, &mut rng, &clock, &record).await?);
    }
    let outside = Tap::new(EtcdBackend::connect(ways(&args, 1)).await?, Arc::clone(&clock));
    let pause = Duration::from_millis(args.pause);
    let record_of = Arc::clone(&record);
    let floor = Arc::new(Floor::new(args.process, dbs, outside, clock.clone(), record_of, pause));
    tasks.spawn(send_records(record, say.clone()));
    say.send(Frame::Said("ready".to_owned())).await?;
    obey(&args, &floor, &clock, &say, &mut rng, &mut tasks).await
}

fn ways(args: &WorkerArgs, first: usize) -> tailetc_etcd::EtcdOptions {
    let mut endpoints = args.endpoints.clone();
    endpoints.rotate_left((args.process + first) % args.endpoints.len().max(1));
    options::etcd(&endpoints)
}

async fn connect(
    args: &WorkerArgs,
    index: usize,
    rng: &mut Rng,
    clock: &Arc<Clock>,
    record: &Arc<Mutex<Record>>,
) -> Result<Db, Failure> {
    let store = EtcdBackend::connect(ways(args, index)).await?;
    let builder = Db::builder(Tap::new(store, Arc::clone(clock))).options(options::db(rng));
    let mut builder = programs::register(builder, index, record);
    if index.is_multiple_of(2) {
        builder = builder.commit_markers(programs::MARKERS);
    }
    Ok(builder.connect().await?)
}

async fn obey(
    args: &WorkerArgs,
    floor: &Arc<Floor>,
    clock: &Clock,
    say: &Say,
    rng: &mut Rng,
    tasks: &mut JoinSet<()>,
) -> Result<(), Failure> {
    let (mut programs, mut consumers) = (JoinSet::new(), JoinSet::new());
    let stage: Arc<dyn Stage> = Arc::clone(floor) as _;
    let mut lines = BufReader::new(stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["go"] => {
                for db in 0..args.dbs {
                    let (programs, consumers) = (&mut programs, &mut consumers);
                    programs::start(&stage, db, args.programs, rng, programs, consumers);
                }
                programs.spawn(programs::write(Arc::clone(&stage), rng.fork()));
            }
            ["seen", era, revision] => clock.saw(era.parse()?, Revision::new(revision.parse()?)),
            ["era", era] => {
                clock.begin_era(era.parse()?);
                say.send(Frame::Said("ack".to_owned())).await?;
            }
            // Whoever asks waits for the answers before asking anew.
            ["current", probe] => {
                for db in 0..args.dbs {
                    let (floor, probe) = (Arc::clone(floor), probe.to_owned());
                    tasks.spawn(report_current(floor, db, probe, say.clone()));
                }
            }
            ["finish"] => {
                floor.finish();
                while let Some(ended) = programs.join_next().await {
                    ended?;
                }
                say.send(Frame::Said("finished".to_owned())).await?;
            }
            ["close", revision] => {
                close(floor, Revision::new(revision.parse()?)).await;
                while let Some(ended) = consumers.join_next().await {
                    ended?;
                }
                let record = floor.records().lock().map(|mut record| record.drain());
                let record = record.unwrap_or_else(|poisoned| poisoned.into_inner().drain());
                say.send(Frame::Records(record)).await?;
                for db in &floor.dbs {
                    say.send(Frame::Said(stats(db))).await?;
                }
                say.send(Frame::Said("closed".to_owned())).await?;
            }
            _ => return Err(format!("told what makes no sense: {line}").into()),
        }
    }
    Ok(())
}

/// Says when a `Db` shows what the parent has just written, without asking for it.
async fn report_current(floor: Arc<Floor>, db: usize, probe: String, say: Say) {
    let began = Instant::now();
    let shows = || matches!(floor.dbs[db].get(RAW, PROBE), Ok(Some(value)) if *value == probe);
    let mut word = "current";
    while !shows() {
        if began.elapsed() > CONVERGED {
            word = "late";
            break;
        }
        sleep(LOOKED_EVERY).await;
    }
    let health = floor.dbs[db].health();
    // The parent has ended if nobody listens.
    let _ = say.send(Frame::Said(format!("{word} {db} {health:?}"))).await;
}

/// All is well again, and nobody writes: every `Db` must show the same, and is closed.
async fn close(floor: &Arc<Floor>, present: Revision) {
    let stage: &dyn Stage = &**floor;
    for (index, db) in floor.dbs.iter().enumerate() {
        let (began, mut asked) = (Instant::now(), stage.stamp());
        asked.seen = asked.seen.max(present);
        let label = format!("db {index} at the end");
        let snapshot = loop {
            match db.fresh().await {
                Ok(snapshot) => break Some(snapshot),
                Err(_) if began.elapsed() < CONVERGED => sleep(Duration::from_millis(50)).await,
                Err(error) => {
                    stage.violation(format!("{label}: not current in {CONVERGED:?}: {error}"));
                    break None;
                }
            }
        };
        if let Some(snapshot) = snapshot {
            programs::keep(stage, label, asked, Some(present), &snapshot);
        }
    }
    // Consumers do not dawdle any more.
    sleep(Duration::from_secs(1)).await;
    for db in &floor.dbs {
        stage.resynced(db.stats().resyncs);
        db.close();
    }
}

fn stats(db: &Db) -> String {
    let stats = db.stats();
    format!(
        "stats {} {} {} {} {} {} {} {} {}",
        stats.commits,
        stats.resolved_outcomes,
        stats.reconnects,
        stats.resyncs,
        stats.silent_watches,
        stats.self_checks,
        stats.self_check_mismatches,
        stats.lagged_watches,
        stats.observer_panics,
    )
}

async fn send_records(record: Arc<Mutex<Record>>, say: Say) {
    let mut ticks = interval(SENT_EVERY);
    loop {
        ticks.tick().await;
        let bytes = record.lock().unwrap_or_else(PoisonError::into_inner).drain();
        if say.send(Frame::Records(bytes)).await.is_err() {
            return;
        }
    }
}

/// A parent that does not listen within this has ended or hangs: so does this process.
const HEARD: Duration = Duration::from_secs(60);

async fn speak(mut said: mpsc::Receiver<Frame>) {
    let mut out = stdout();
    while let Some(frame) = said.recv().await {
        if !matches!(timeout(HEARD, pipe::write(&mut out, &frame)).await, Ok(Ok(()))) {
            return;
        }
    }
}
