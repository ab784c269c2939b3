//! A service registry over HTTP, served from one [`Db`].
//!
//! ```text
//! cargo run --release --example registry
//! cargo run --release --example registry --features etcd -- --url http://127.0.0.1:2379
//! ```
//!
//! | request | answer |
//! |---|---|
//! | `POST /v1/services` `{"name", "service"}` | 201, or 409 when the name is taken |
//! | `GET /v1/services/{name}` | 200 with `ETag`; 304 for a matching `If-None-Match`; 404 |
//! | `PUT /v1/services/{name}` with `If-None-Match: *` | creates: 201, or 412 when it exists |
//! | `PUT /v1/services/{name}` with `If-Match: "etag"` (or `*`) | updates: 200, or 412 |
//! | `PUT /v1/services/{name}` with neither | 428: an update that nobody checked loses writes |
//! | `DELETE /v1/services/{name}`, with or without `If-Match` | 204, 404, or 412 |
//! | `GET /v1/services?prefix=&limit=&after=` | a page, from one snapshot, and where to go on |
//! | `GET /v1/services?tag=&limit=&after=` | the same of the services that have a tag |
//! | `GET /v1/changes?prefix=&from=` | server-sent events, one for each etcd transaction |
//! | `GET /v1/changes?mode=coalesced` | no more events than the client can take |
//! | `GET /v1/replicas` | who serves this registry, and where |
//! | `GET /healthz`, `/readyz`, `/stats` | for probes and people |
//!
//! Each answer carries the header `Tailetc-Token`. A request that carries it back reads a snapshot
//! at least that new, or writes after it, on whichever replica it reaches: read your writes, across
//! processes. A text that is no token is a 400, one of another cluster a 409, and a replica that
//! does not catch up in time says 503 with `Retry-After`.

mod app;
mod args;
mod changes;
mod hints;
mod import;
mod list;
mod model;
mod precondition;
mod probes;
mod problem;
mod replicas;
mod services;
mod shutdown;
mod token;

use std::process::ExitCode;

use clap::Parser;
use tailetc::{BoxError, Db, Options};
use tokio::net::TcpListener;

use crate::app::App;
use crate::args::Args;
use crate::import::import;
use crate::model::{BY_TAG, REPLICAS, SERVICES};
use crate::problem::with_causes;
use crate::shutdown::Stop;

/// What shells say of a program that Ctrl-C ended: the import is not complete.
const INTERRUPTED: u8 = 130;

#[tokio::main]
async fn main() -> ExitCode {
    run(Args::parse()).await.unwrap_or_else(|error| {
        eprintln!("registry: {}", with_causes(&*error));
        ExitCode::FAILURE
    })
}

async fn run(args: Args) -> Result<ExitCode, BoxError> {
    let mut stop = Stop::on_signals()?;
    let db = tokio::select! {
        db = open(&args) => db?,
        () = stop.requested() => return Ok(ExitCode::SUCCESS),
    };
    for file in &args.import {
        tokio::select! {
            imported = import(&db, file.clone()) => imported?,
            () = stop.requested() => {
                eprintln!("import: stopped; the same command goes on from here");
                return Ok(ExitCode::from(INTERRUPTED));
            }
        }
    }
    if !args.import_only {
        serve(&args, &db, stop).await?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn open(args: &Args) -> Result<Db, tailetc::Error> {
    let mut options = Options::default();
    options.commit_timeout = args.timeout;
    options.catch_up_timeout = args.timeout;
    options.history = args.stream_buffer.get();
    tailetc::open(&args.url)
        .prefix(args.prefix.clone())
        .collection(SERVICES)
        .index(BY_TAG)
        .collection(REPLICAS)
        .options(options)
        .connect()
        .await
}

async fn serve(args: &Args, db: &Db, stop: Stop) -> Result<(), BoxError> {
    let listener = TcpListener::bind(&args.listen)
        .await
        .map_err(|error| format!("cannot listen on {}: {error}", args.listen))?;
    let address = listener.local_addr()?;
    let name = args.name.clone().unwrap_or_else(|| address.to_string());
    let (session, listed) = replicas::announce(db, &name, address).await?;
    if listed != name {
        eprintln!("the name {name} is taken: this replica is listed as {listed}");
    }
    println!("listening on http://{address}, {} keys from {}", db.snapshot().len(), args.url);
    hints::print(address);
    let app = App::new(db.clone(), args, stop.clone());
    app.serve(listener, stop, args.grace).await?;
    // If the store cannot be told, it finds out by itself.
    let _ = session.close().await;
    println!("stopped");
    Ok(())
}
