//! A server is away for a while, frozen at first and then killed: what a `Db` does meanwhile.

mod commits;
mod reads;

use std::time::Duration;

use clap::Args;
use tailetc::{Bytes, Db, Error, Options, Phase, RAW};
use tailetc_etcd::{EtcdBackend, EtcdOptions};
use tailetc_testkit::etcd_server::EtcdServer;
use tokio::time::{Instant, sleep, timeout};

use self::commits::Committer;
use self::reads::Reader;
use crate::Failure;

#[derive(Args, Clone, Debug)]
pub(crate) struct OutageArgs {
    /// How long the server is away, each time. From 60 s on, all deadlines are the defaults;
    /// shorter ones come with shorter deadlines.
    #[arg(long, default_value_t = 60)]
    pub(crate) seconds: u64,
}

/// From which length on the default deadlines fit in.
const WITH_DEFAULTS: u64 = 60;
/// How long reads are counted before the outage.
const BEFORE: Duration = Duration::from_secs(3);
/// How long everything may take to resume: a server that is killed must start first.
const RESUMED: Duration = Duration::from_secs(60);
/// How late a busy machine may be.
const SLACK: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug)]
enum Outage {
    /// SIGSTOP: connections stay open, and nothing answers.
    Frozen,
    /// SIGKILL: nobody listens.
    Killed,
}

impl Outage {
    fn name(self) -> &'static str {
        match self {
            Self::Frozen => "frozen",
            Self::Killed => "killed",
        }
    }
}

/// The deadlines of the `Db`, and what follows from them.
struct Deadlines {
    options: Options,
    etcd: EtcdOptions,
}

impl Deadlines {
    fn new(lasting: Duration, url: &str) -> Self {
        let (mut options, mut etcd) = (Options::default(), EtcdOptions::new([url]));
        if lasting < Duration::from_secs(WITH_DEFAULTS) {
            options.commit_timeout = Duration::from_millis(500);
            options.progress_interval = Duration::from_millis(500);
            options.progress_timeout = Duration::from_millis(500);
            options.request_timeout = Duration::from_millis(500);
            options.backoff_max = Duration::from_millis(500);
            etcd = etcd.with_request_timeout(Duration::from_millis(500));
        }
        Self { options, etcd }
    }

    /// Within this a store that is silent is noticed, as `Health::is_tailing` says.
    fn notice(&self) -> Duration {
        self.options.progress_interval + self.options.progress_timeout
    }

    /// Within this a commit has ended that does not need to wait for the copy.
    fn commit(&self) -> Duration {
        self.options.commit_timeout.min(self.etcd.request_timeout)
    }
}

pub(crate) async fn run(args: OutageArgs) -> Result<(), Failure> {
    let lasting = Duration::from_secs(args.seconds);
    let mut server = EtcdServer::start().await?;
    println!("etcd {}, away for {lasting:?} each time", server.version());
    let deadlines = Deadlines::new(lasting, &server.url());
    let store = EtcdBackend::connect(deadlines.etcd.clone()).await?;
    let connect = || {
        let db = Db::builder(store.clone()).prefix("/app/").options(deadlines.options.clone());
        db.connect()
    };
    let db = in_the_end(connect).await?;
    for number in 0..1_000 {
        let put = async || {
            let mut txn = db.txn();
            txn.put(RAW, format!("key/{number}"), Bytes::from(format!("value {number}")))?;
            txn.commit().await
        };
        in_the_end(put).await?;
    }
    for outage in [Outage::Frozen, Outage::Killed] {
        suffer(&mut server, &db, &deadlines, outage, lasting).await?;
    }
    Ok(())
}

/// What a server that runs does, though not always within short deadlines.
async fn in_the_end<T>(attempt: impl AsyncFn() -> Result<T, Error>) -> Result<T, Error> {
    let began = Instant::now();
    loop {
        match attempt().await {
            Err(_) if began.elapsed() < RESUMED => {}
            outcome => return outcome,
        }
    }
}

async fn suffer(
    server: &mut EtcdServer,
    db: &Db,
    deadlines: &Deadlines,
    outage: Outage,
    lasting: Duration,
) -> Result<(), Failure> {
    println!("\n{outage:?}");
    let reader = Reader::start(db.clone());
    sleep(BEFORE).await;
    let before = reader.take();
    let committer = Committer::start(db.clone(), outage.name());
    let began = Instant::now();
    match outage {
        Outage::Frozen => server.pause().await?,
        Outage::Killed => server.kill().await?,
    }
    // Nothing of the time in which the server still ran.
    reader.take();
    let noticed = noticed(db, began, lasting).await?;
    sleep(lasting.saturating_sub(began.elapsed())).await;
    let during = reader.take();
    let health = db.health();
    let failures = committer.take();
    match outage {
        Outage::Frozen => server.resume().await?,
        Outage::Killed => server.restart().await?,
    }
    let back = Instant::now();
    let resumed = resumed(db, back).await?;
    let ended = committer.end().await;
    let reads_after = reader.end().await;

    println!("  reads per second before                {before:>12.0}");
    println!("  reads per second during                {during:>12.0}");
    println!("  ratio                                  {:>12.2}", during / before);
    println!("  reads per second after                 {reads_after:>12.0}");
    let bound = deadlines.notice();
    println!("  health was no longer tailing after     {noticed:>12.2?} (bound {bound:?})");
    println!("  health during                          {:?}, age {:.2?}", health.phase, health.age);
    println!("  last error                             {:?}", health.last_error);
    failures.print();
    println!("  a commit succeeded again after         {:>12.2?}", resumed.committed);
    println!("  health was tailing again after         {:>12.2?}", resumed.tailing);
    println!("  commits acknowledged in all            {:>12}", ended.acknowledged.len());

    if noticed > bound * 2 + SLACK {
        return Err(format!("noticed after {noticed:?}: the bound is {bound:?}").into());
    }
    failures.check(deadlines.commit() * 2 + SLACK)?;
    let snapshot = in_the_end(|| db.fresh()).await?;
    for number in ended.acknowledged {
        if snapshot.get(RAW, commits::key(outage.name(), number))?.is_none() {
            return Err(format!("commit {number} was acknowledged and is lost").into());
        }
    }
    Ok(())
}

/// How long it took until the health said that the store is not followed.
async fn noticed(db: &Db, began: Instant, lasting: Duration) -> Result<Duration, Failure> {
    let mut changes = db.health_changes();
    let noticed = async {
        while let Some(health) = changes.next().await {
            if !health.is_tailing() {
                break;
            }
        }
    };
    let unnoticed = |_| format!("the health still says that all is well after {lasting:?}");
    timeout(lasting, noticed).await.map_err(unnoticed)?;
    Ok(began.elapsed())
}

struct Resumed {
    committed: Duration,
    tailing: Duration,
}

/// How long it takes until commits succeed and the store is followed, by itself.
async fn resumed(db: &Db, back: Instant) -> Result<Resumed, Failure> {
    let (mut committed, mut tailing) = (None, None);
    loop {
        if committed.is_none() {
            let mut txn = db.txn();
            txn.put(RAW, "resumed", Bytes::from(format!("{back:?}")))?;
            if txn.commit().await.is_ok() {
                committed = Some(back.elapsed());
            }
        }
        if tailing.is_none() && db.health().phase == Phase::Tailing {
            tailing = Some(back.elapsed());
        }
        if let (Some(committed), Some(tailing)) = (committed, tailing) {
            return Ok(Resumed { committed, tailing });
        }
        if back.elapsed() > RESUMED {
            return Err(format!("not resumed after {RESUMED:?}: {:?}", db.health()).into());
        }
        sleep(Duration::from_millis(5)).await;
    }
}
