//! Chaos on a real etcd cluster: several processes, each with several `Db`s, commit while members
//! are killed, frozen, cut off, compacted and restored, and the oracle of the simulation judges
//! what they did and saw by the store's own log.
//!
//! The same program, started with `worker` or `racer`, is one of those processes.

mod options;
mod outage;
mod pipe;
mod race;
mod run;
mod worker;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::outage::OutageArgs;
use crate::race::{RaceArgs, RacerArgs};
use crate::run::RunArgs;
use crate::worker::WorkerArgs;

/// Real etcd servers, and everything that can happen to them.
#[derive(Parser, Debug)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Several processes commit to a cluster of three while everything fails, and all is judged.
    Run(RunArgs),
    /// A server is frozen, and then killed: what goes on, what fails, and how all resumes.
    Outage(OutageArgs),
    /// Two processes race to claim the same values of a unique index.
    Race(RaceArgs),
    /// One of the processes of `race`, which starts them itself.
    #[command(hide = true)]
    Racer(RacerArgs),
    /// One of the processes of `run`, which starts them itself.
    #[command(hide = true)]
    Worker(WorkerArgs),
}

/// A failure, for people to read.
type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> ExitCode {
    let result = match Args::parse().command {
        Command::Run(args) => Box::pin(run::run(args)).await,
        Command::Outage(args) => Box::pin(outage::run(args)).await,
        Command::Race(args) => Box::pin(race::run(args)).await,
        Command::Racer(args) => Box::pin(race::racer(args)).await,
        Command::Worker(args) => Box::pin(worker::run(args)).await,
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let mut cause = failure.source();
            eprintln!("chaos: {failure}");
            while let Some(error) = cause {
                eprintln!("  because: {error}");
                cause = error.source();
            }
            ExitCode::FAILURE
        }
    }
}
