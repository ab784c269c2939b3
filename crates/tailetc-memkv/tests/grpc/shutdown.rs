//! The end of a server.

use std::time::Duration;

use tailetc_memkv::MemKv;
use tailetc_memkv::grpc::{Server, ServerOptions};
use tokio::net::TcpStream;
use tonic::Code;

use crate::wire::create;
use crate::{serve, serve_with, soon};

#[tokio::test]
async fn shutdown_ends_streams_with_a_word() {
    // Far longer than the test: nothing has to be cut.
    let options = ServerOptions::default().with_shutdown_grace(Duration::from_secs(3600));
    let (server, wire) = serve_with(&MemKv::new(), options).await;
    let address = server.local_addr();
    let (requests, mut watch) = wire.watch();
    requests.send(create(("a", "\0"), 0, 0)).await.expect("it reads");
    assert!(soon(watch.message()).await.expect("a response").expect("a response").created);
    let (_requests, mut keep_alive) = wire.keep_alive();

    soon(server.shutdown()).await;
    let end = soon(watch.message()).await.expect_err("it ends");
    assert_eq!((end.code(), end.message()), (Code::Unavailable, "etcdserver: server stopped"));
    let end = soon(keep_alive.message()).await.expect_err("it ends");
    assert_eq!(end.code(), Code::Unavailable);
    TcpStream::connect(address).await.expect_err("nobody listens");
}

#[tokio::test]
async fn dropped_server_cuts_its_connections() {
    let (server, wire) = serve(&MemKv::new()).await;
    let address = server.local_addr();
    let (requests, mut watch) = wire.watch();
    requests.send(create(("a", "\0"), 0, 0)).await.expect("it reads");
    assert!(soon(watch.message()).await.expect("a response").expect("a response").created);
    drop(server);
    soon(watch.message()).await.expect_err("it is cut");
    let gone = async {
        while TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    soon(gone).await;
}

#[tokio::test]
async fn address_in_use_is_an_error() {
    let server = Server::bind(MemKv::new(), "127.0.0.1:0").await.expect("a free port");
    let again = Server::bind(MemKv::new(), server.local_addr()).await;
    assert_eq!(again.expect_err("it is taken").kind(), std::io::ErrorKind::AddrInUse);
}
