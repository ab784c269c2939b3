//! What all handlers share, and which handler a request goes to.

use std::future::IntoFuture;
use std::io;
use std::time::Duration;

use axum::Router;
use axum::extract::{FromRequest, FromRequestParts};
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use tailetc::Db;
use tokio::net::TcpListener;
use tokio::time::sleep;

use crate::args::Args;
use crate::problem::Problem;
use crate::shutdown::Stop;
use crate::{changes, list, probes, replicas, services, token};

#[derive(Clone)]
pub(crate) struct App {
    pub(crate) db: Db,
    pub(crate) heartbeat: Duration,
    pub(crate) stream_buffer: usize,
    pub(crate) stop: Stop,
}

impl App {
    pub(crate) fn new(db: Db, args: &Args, stop: Stop) -> Self {
        Self { db, heartbeat: args.heartbeat, stream_buffer: args.stream_buffer.get(), stop }
    }

    fn routes(self) -> Router {
        Router::new()
            .route("/v1/services", get(list::list).post(services::create))
            .route(
                "/v1/services/{*name}",
                get(services::read).put(services::put).delete(services::delete),
            )
            .route("/v1/changes", get(changes::changes))
            .route("/v1/replicas", get(replicas::list))
            .route("/healthz", get(probes::alive))
            .route("/readyz", get(probes::ready))
            .route("/stats", get(probes::stats))
            .fallback(no_such_path)
            .method_not_allowed_fallback(no_such_method)
            .layer(from_fn_with_state(self.clone(), token::middleware))
            .with_state(self)
    }

    /// Serves until a stop is requested, and then for as long as open requests take, at most
    /// `grace`.
    pub(crate) async fn serve(
        self,
        listener: TcpListener,
        mut stop: Stop,
        grace: Duration,
    ) -> io::Result<()> {
        let mut asked = stop.clone();
        let server = axum::serve(listener, self.routes())
            .with_graceful_shutdown(async move { asked.requested().await });
        let overdue = async {
            stop.requested().await;
            sleep(grace).await;
        };
        tokio::select! {
            served = server.into_future() => served,
            () = overdue => {
                eprintln!("registry: requests still open after {grace:?} are abandoned");
                Ok(())
            }
        }
    }
}

/// A JSON body, refused as a [`Problem`].
#[derive(FromRequest)]
#[from_request(via(axum::Json), rejection(Problem))]
pub(crate) struct Body<T>(pub(crate) T);

/// The query of the URL, refused as a [`Problem`].
#[derive(FromRequestParts)]
#[from_request(via(axum::extract::Query), rejection(Problem))]
pub(crate) struct Query<T>(pub(crate) T);

/// The variable part of the path, refused as a [`Problem`].
#[derive(FromRequestParts)]
#[from_request(via(axum::extract::Path), rejection(Problem))]
pub(crate) struct Path<T>(pub(crate) T);

async fn no_such_path() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "there is nothing at this path", "see /v1/services")
}

async fn no_such_method() -> Problem {
    let detail = "the header Allow says which can";
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "this method cannot be used here", detail)
}
