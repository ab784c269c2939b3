//! The server: a listener, its connections, and their end.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream, ToSocketAddrs};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};

use super::face::Face;
use super::front::Front;
use super::options::ServerOptions;
use crate::MemKv;

/// How long to wait when no connection can be accepted: the process may be out of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A [`MemKv`] served over etcd's v3 API. Dropping it cuts every connection and closes every watch
/// of a client; the store itself stays with its other handles.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    grace: Duration,
    listening: JoinHandle<()>,
}

impl Server {
    /// Serves `store` on `address` with the default [`ServerOptions`].
    ///
    /// # Errors
    ///
    /// Those of [`bind_with`](Self::bind_with).
    ///
    /// # Cancel safety
    ///
    /// A dropped future serves nothing.
    pub async fn bind(store: MemKv, address: impl ToSocketAddrs) -> io::Result<Self> {
        Self::bind_with(store, address, ServerOptions::default()).await
    }

    /// Serves `store` on `address`, from now on and in the background. With port 0 the system
    /// chooses a free one. The store [keeps hashes](MemKv::keep_hashes) from then on, for whoever
    /// asks for them.
    ///
    /// # Errors
    ///
    /// When the address cannot be listened on.
    ///
    /// # Cancel safety
    ///
    /// A dropped future serves nothing.
    pub async fn bind_with(
        store: MemKv,
        address: impl ToSocketAddrs,
        options: ServerOptions,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let (stop, stopping) = watch::channel(false);
        let grace = options.shutdown_grace;
        store.keep_hashes();
        let face = Face::new(Arc::clone(&store.shared), options, stopping);
        let listening = tokio::spawn(listen(listener, face));
        Ok(Self { address, stop, grace, listening })
    }

    /// The address that it listens on.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// The URL for clients, such as `http://127.0.0.1:2379`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Takes no more connections, ends the streams with `Unavailable`, lets the requests that are
    /// being answered finish, and cuts what is left after
    /// [`shutdown_grace`](ServerOptions::shutdown_grace).
    ///
    /// # Cancel safety
    ///
    /// A dropped future cuts the connections at once.
    pub async fn shutdown(mut self) {
        self.stop.send_replace(true);
        // On a timeout the drop does the rest.
        let _ = timeout(self.grace, &mut self.listening).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The task owns the connections.
        self.listening.abort();
    }
}

/// Returns when the server shuts down and every connection has ended.
async fn listen(listener: TcpListener, face: Face) {
    let front = Arc::new(Front::new(&face));
    let mut connections = JoinSet::new();
    let mut stopped = std::pin::pin!(face.stopped());
    loop {
        tokio::select! {
            () = &mut stopped => break,
            // Those that have ended must not pile up.
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection(stream, Arc::clone(&front), face.clone()));
                }
                Err(_) => sleep(ACCEPT_PAUSE).await,
            },
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// One connection, HTTP/2 for gRPC or HTTP/1 for the rest.
async fn connection(stream: TcpStream, front: Arc<Front>, face: Face) {
    // Only slower without it.
    let _ = stream.set_nodelay(true);
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new());
    builder.http2().timer(TokioTimer::new()).max_concurrent_streams(u32::MAX);
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let front = Arc::clone(&front);
        async move { Ok::<_, Infallible>(front.answer(request).await) }
    });
    let mut served = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
    // How a client leaves is its own affair.
    tokio::select! {
        _ = &mut served => return,
        () = face.stopped() => {}
    }
    served.as_mut().graceful_shutdown();
    let _ = served.await;
}
