//! etcd's v3 API over a [`MemKv`](crate::MemKv), for clients in any language (feature `grpc`).
//!
//! A [`Server`] listens on a port and lends the store to etcd clients, among them `etcdctl`:
//!
//! ```
//! use etcd_client::Client;
//! use tailetc_memkv::MemKv;
//! use tailetc_memkv::grpc::Server;
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! let store = MemKv::new();
//! let server = Server::bind(store.clone(), "127.0.0.1:0").await?;
//!
//! let mut client = Client::connect([server.url()], None).await?;
//! client.put("greeting", "hello", None).await?;
//! assert_eq!(client.get("greeting", None).await?.kvs()[0].value(), b"hello");
//!
//! server.shutdown().await;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The binary `memkv` (feature `cli`) is the same as a program; `memkv --help` says how to start
//! it. Tests in other languages start it with `--listen 127.0.0.1:0`, read the address from the
//! first line of its output, and give that to their etcd client.
//!
//! # What is offered
//!
//! - **KV**: all of it; `RangeStream` if the release that is
//!   [imitated](crate::MemKvOptions::imitate) has it.
//! - **Watch**: all of it, in the framing of the server: answers to requests, several watchers on a
//!   stream, fragments, progress.
//! - **Lease**: all of it.
//! - **Maintenance**: `Status`, `HashKV`, `Alarm`; `Defragment`, after which the size of the
//!   database is what is in use.
//! - Plain HTTP: `/health`, which is 503 under an alarm, and `/version`; `/livez` and `/readyz` if
//!   the release has them.
//! - gzip, if the release has it: answers are compressed when the request is.
//!
//! Everything else, so authentication, clusters, snapshots, and the services for locks and
//! elections, is refused with `Unimplemented`. There is no TLS.
//!
//! # Limits
//!
//! As in etcd, a message may be 512 KiB larger than
//! [`max_request_bytes`](crate::MemKvOptions::max_request_bytes), and answers may be of any size.
//! Unlike in etcd, transactions nested more than 49 deep cannot be read, and the number of watch
//! streams and of watchers on one is [limited](ServerOptions). A client that is slow to take what a
//! watch delivers makes the server keep
//! [128 responses](crate::MemKvOptions::watch_buffer_revisions) and a few more; then the watch
//! falls behind, and catches up when the client does.

mod compression;
mod convert;
mod face;
mod front;
mod kv;
mod lease;
mod maintenance;
mod message_limit;
mod options;
mod pages;
mod range_stream;
mod server;
mod status;
mod watch;

pub use self::options::ServerOptions;
pub use self::server::Server;
