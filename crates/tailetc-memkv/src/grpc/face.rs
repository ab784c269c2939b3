//! What all services of a server share.

use std::sync::Arc;

use tailetc_core::backend::BackendError;
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;
use tonic::{Response, Status};

use super::options::ServerOptions;
use super::status::refused;
use crate::memkv::Shared;
use crate::store::{Deletions, Store};
use crate::version::EtcdVersion;

/// A handle: clones are of the same server.
#[derive(Clone)]
pub(super) struct Face {
    pub(super) shared: Arc<Shared>,
    pub(super) options: ServerOptions,
    pub(super) watch_streams: Arc<Semaphore>,
    /// Becomes true when the server shuts down.
    pub(super) stopping: watch::Receiver<bool>,
}

impl Face {
    pub(super) fn new(
        shared: Arc<Shared>,
        options: ServerOptions,
        stopping: watch::Receiver<bool>,
    ) -> Self {
        let streams = options.max_watch_streams.min(Semaphore::MAX_PERMITS);
        Self { shared, options, watch_streams: Arc::new(Semaphore::new(streams)), stopping }
    }

    pub(super) fn version(&self) -> EtcdVersion {
        self.shared.options.imitate
    }

    /// Answers a request from the store. `request` is for the log alone.
    pub(super) async fn answer<T>(
        &self,
        request: impl FnOnce() -> String,
        operation: impl FnOnce(&mut Store, Instant) -> Result<T, BackendError>,
    ) -> Result<Response<T>, Status> {
        tokio::task::coop::consume_budget().await;
        self.answered(request, self.shared.with(operation))
    }

    /// The same for an operation that may delete very many keys: when that is written down.
    pub(super) async fn answer_when_written<T>(
        &self,
        request: impl FnOnce() -> String,
        operation: impl FnOnce(&mut Store, Instant) -> Result<T, BackendError>,
    ) -> Result<Response<T>, Status>
    where
        T: Deletions,
    {
        tokio::task::coop::consume_budget().await;
        self.answered(request, self.shared.written(operation).await)
    }

    /// The same for an operation that has no answer while it needs what earlier ones left to do.
    pub(super) async fn answer_when_done<T>(
        &self,
        request: impl FnOnce() -> String,
        operation: impl FnMut(&mut Store, Instant) -> Option<Result<T, BackendError>>,
    ) -> Result<Response<T>, Status> {
        tokio::task::coop::consume_budget().await;
        self.answered(request, self.shared.until(operation).await)
    }

    fn answered<T>(
        &self,
        request: impl FnOnce() -> String,
        answer: Result<T, BackendError>,
    ) -> Result<Response<T>, Status> {
        self.options.log.line(|| match &answer {
            Ok(_) => format!("{}: ok", request()),
            Err(error) => format!("{}: {error}", request()),
        });
        answer.map(Response::new).map_err(|error| refused(&error))
    }

    /// Resolves when the server shuts down.
    pub(super) async fn stopped(&self) {
        let mut stopping = self.stopping.clone();
        // A sender that is gone has stopped as well.
        let _ = stopping.wait_for(|stopping| *stopping).await;
    }
}
