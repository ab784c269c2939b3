//! `memkv`: an in-memory etcd as a program. `memkv --help` says what it takes.
//!
//! A test in any language starts it with `--listen 127.0.0.1:0`, reads the address from the first
//! line of its output, and ends it with SIGTERM or SIGKILL, whichever is at hand.

mod args;

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::Parser as _;
use tailetc_memkv::grpc::{Server, ServerOptions};
use tokio::signal::unix::{SignalKind, signal};

use self::args::Args;

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    match run(&args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("memkv: cannot serve on {}: {error}", args.listen);
            ExitCode::FAILURE
        }
    }
}

async fn run(args: &Args) -> io::Result<()> {
    let mut options = ServerOptions::default();
    if args.log {
        options = options.with_log(|line| {
            // A log that nobody reads any more is no reason to stop.
            let _ = writeln!(io::stderr(), "{line}");
        });
    }
    let mut terminate = signal(SignalKind::terminate())?;
    let server = Server::bind_with(args.store(), args.listen, options).await?;
    // The reader may close the pipe once it knows.
    let _ = writeln!(io::stdout(), "memkv listens on {}", server.local_addr());
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted?,
        _ = terminate.recv() => {}
    }
    server.shutdown().await;
    Ok(())
}
