//! The launcher itself.

use crate::common::{connect, soon};
use tailetc_core::backend::{KvBackendExt, PutRequest};
use tailetc_testkit::etcd_server::{EtcdServer, EtcdServerOptions};

#[tokio::test]
async fn stopped_and_killed_servers_keep_their_data_for_a_restart() {
    let mut server = EtcdServer::start().await.unwrap();
    let url = server.url();
    connect(&server).await.put(PutRequest::new("k", "v")).await.unwrap();
    server.stop().await.unwrap();
    assert!(server.etcdctl(&["endpoint", "status"]).await.is_err());
    server.restart().await.unwrap();
    server.kill().await.unwrap();
    server.restart().await.unwrap();
    assert_eq!(server.url(), url);
    let value = server.etcdctl(&["get", "k", "--print-value-only"]).await;
    assert_eq!(value.unwrap(), "v\n");
}

#[tokio::test]
async fn dropped_server_leaves_no_process_and_no_data() {
    let server = EtcdServer::start().await.unwrap();
    let dir = server.data_dir().to_owned();
    let address = server.url().trim_start_matches("http://").to_owned();
    assert!(dir.exists());
    drop(server);
    soon(async {
        while dir.exists() || tokio::net::TcpStream::connect(&address).await.is_ok() {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn server_that_cannot_start_says_why_and_leaves_nothing() {
    let options = EtcdServerOptions::default().with_arg("--no-such-flag");
    let error = soon(EtcdServer::start_with(options)).await.unwrap_err();
    assert!(error.to_string().contains("no-such-flag"), "{error}");
}

#[tokio::test]
async fn servers_run_side_by_side() {
    let starts: Vec<_> = (0..4).map(|_| tokio::spawn(EtcdServer::start())).collect();
    let mut servers = Vec::new();
    for start in starts {
        servers.push(start.await.unwrap().unwrap());
    }
    for server in &servers {
        server.compact(1).await.unwrap();
    }
    let mut urls: Vec<_> = servers.iter().map(EtcdServer::url).collect();
    urls.sort();
    urls.dedup();
    assert_eq!(urls.len(), servers.len());
}
