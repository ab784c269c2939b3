//! The server of a store, over real connections: streams, limits, and the end of both.

#![expect(clippy::expect_used, reason = "a failure is what these tests are for")]

mod compression;
mod limits;
mod pages;
mod services;
mod shutdown;
mod streams;
#[path = "../wire/mod.rs"]
mod wire;

use std::future::Future;
use std::time::Duration;

use tailetc_memkv::MemKv;
use tailetc_memkv::grpc::{Server, ServerOptions};

use self::wire::Wire;

/// Nothing here takes longer unless it hangs.
async fn soon<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(60), future).await.expect("it hangs")
}

async fn serve(store: &MemKv) -> (Server, Wire) {
    serve_with(store, ServerOptions::default()).await
}

async fn serve_with(store: &MemKv, options: ServerOptions) -> (Server, Wire) {
    let server = Server::bind_with(store.clone(), "127.0.0.1:0", options).await;
    let server = server.expect("loopback can be listened on");
    let wire = Wire::connect(server.url()).await;
    (server, wire)
}
