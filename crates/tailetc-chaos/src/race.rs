//! Two processes that race to claim the same value of a unique index, again and again.

use std::process::Stdio;

use clap::Args;
use tailetc::{Collection, Db, Error, Index, Json};
use tailetc_testkit::etcd_server::EtcdServer;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines, Stdin};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::Failure;

/// Who claimed which number.
const CLAIMS: Collection<Json<u32>> = Collection::new("claims/");
const BY_NUMBER: Index<Json<u32>, u32> =
    CLAIMS.unique_index("number", |_, number, keys| keys.add(*number));

#[derive(Args, Debug)]
pub(crate) struct RaceArgs {
    /// How many numbers are claimed.
    #[arg(long, default_value_t = 1_000)]
    rounds: u32,
}

#[derive(Args, Debug)]
pub(crate) struct RacerArgs {
    #[arg(long)]
    url: String,
    #[arg(long)]
    name: String,
}

/// Has two processes claim each number at the same moment: exactly one must get it, and the other
/// must be told who has it.
pub(crate) async fn run(args: RaceArgs) -> Result<(), Failure> {
    let server = EtcdServer::start().await?;
    let mut racers = [Racer::start(&server, "a").await?, Racer::start(&server, "b").await?];
    let mut won = [0_u32; 2];
    for round in 0..args.rounds {
        let [a, b] = &mut racers;
        let (a, b) = tokio::try_join!(a.claim(round), b.claim(round))?;
        let winner = match (a.as_str(), b.as_str()) {
            ("won", "a") => 0,
            ("b", "won") => 1,
            _ => return Err(format!("round {round}: a said {a:?}, b said {b:?}").into()),
        };
        won[winner] += 1;
    }
    let db = open(&server.url()).await?;
    let snapshot = db.snapshot();
    let check = snapshot.check_unique(BY_NUMBER)?;
    let claimed = snapshot.index(BY_NUMBER)?.range(..).count();
    if claimed != args.rounds as usize || !check.is_clean() {
        return Err(format!("{claimed} numbers are claimed: {check:?}").into());
    }
    println!("rounds: {}, won by a: {}, by b: {}", args.rounds, won[0], won[1]);
    Ok(())
}

/// A process that claims the numbers it is told.
struct Racer {
    _child: Child,
    to: ChildStdin,
    from: Lines<BufReader<ChildStdout>>,
}

impl Racer {
    async fn start(server: &EtcdServer, name: &str) -> Result<Self, Failure> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["racer", "--url", &server.url(), "--name", name])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let to = child.stdin.take().ok_or("no standard input")?;
        let from = child.stdout.take().ok_or("no standard output")?;
        let mut racer = Self { _child: child, to, from: BufReader::new(from).lines() };
        racer.answer().await?;
        Ok(racer)
    }

    async fn claim(&mut self, number: u32) -> Result<String, Failure> {
        self.to.write_all(format!("{number}\n").as_bytes()).await?;
        self.to.flush().await?;
        self.answer().await
    }

    async fn answer(&mut self) -> Result<String, Failure> {
        Ok(self.from.next_line().await?.ok_or("a racer has ended")?)
    }
}

/// One of the two: says "won", or who has the number.
pub(crate) async fn racer(args: RacerArgs) -> Result<(), Failure> {
    let db = open(&args.url).await?;
    println!("ready");
    let mut lines: Lines<BufReader<Stdin>> = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        let number: u32 = line.parse()?;
        let key = format!("{}/{number}", args.name);
        match db.transact(|txn| txn.put(CLAIMS, &key, number)).await {
            Ok(_) => println!("won"),
            Err(Error::NotUnique { holder, .. }) => {
                let holder = holder.to_string();
                println!("{}", holder.split('/').nth(3).unwrap_or_default());
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

async fn open(url: &str) -> Result<Db, Error> {
    let builder = tailetc::open(url).prefix("/race/");
    builder.collection(CLAIMS).index(BY_NUMBER).connect().await
}
