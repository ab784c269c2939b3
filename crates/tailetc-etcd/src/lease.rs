//! Renewing leases.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use etcd_client::{Error, LeaseClient, LeaseKeepAliveStream, LeaseKeeper};
use tailetc_core::LeaseId;
use tailetc_core::backend::{BackendError, BackendErrorKind, Lease};
use tokio::time::{Instant, timeout};

use crate::convert;
use crate::error::from_client;

/// The streams on which leases are renewed, one for each: with authentication on, a renewal that is
/// refused ends its whole stream (etcd: `server/etcdserver/api/v3rpc/lease.go`). Each is kept open
/// from one renewal to the next, which then takes one exchange; but for those that are too many for
/// the server, or for a proxy before it, which then lets no more be opened and says nothing.
pub(crate) struct Renewals {
    streams: Mutex<Streams>,
    /// How long the opening of a stream may take before others are closed in its favour.
    patience: Duration,
}

struct Streams {
    /// By lease. Those in use are not here.
    idle: HashMap<LeaseId, Idle>,
    /// How many there may be before those of leases that have ended are looked for.
    sweep_above: usize,
    /// How many there may be.
    most: usize,
}

struct Idle {
    stream: Stream,
    /// When the lease has ended, unless it was renewed elsewhere.
    until: Instant,
}

struct Stream {
    keeper: LeaseKeeper,
    answers: LeaseKeepAliveStream,
}

/// Fewer streams than this are not worth looking through.
const FEW: usize = 64;

impl Renewals {
    pub(crate) fn new(request_timeout: Duration) -> Self {
        let streams = Streams { idle: HashMap::new(), sweep_above: FEW, most: usize::MAX };
        Self { streams: Mutex::new(streams), patience: request_timeout / 4 }
    }

    /// Renews once. None: there is no such lease.
    ///
    /// A dropped future takes the stream with it, whose next answer would be that of a question of
    /// before.
    pub(crate) async fn renew(
        &self,
        client: LeaseClient,
        id: LeaseId,
    ) -> Result<Option<Lease>, BackendError> {
        if let Some(mut stream) = self.take(id) {
            match stream.renew().await {
                Ok(answer) => return Ok(self.keep(id, stream, answer)),
                // It may have broken long ago. To renew twice does no harm.
                Err(error) => tracing::debug!(%error, lease = %id, "a keep-alive stream has ended"),
            }
        }
        let opening = Stream::open(client.clone(), id);
        let opened = match timeout(self.patience, opening).await {
            Err(_) if self.make_room() => Stream::open(client, id).await,
            Err(_) => Err(BackendError::new(BackendErrorKind::Timeout, "no stream for a renewal")),
            Ok(opened) => opened,
        };
        let Some(mut stream) = opened? else { return Ok(None) };
        let answer = stream.renew().await?;
        Ok(self.keep(id, stream, answer))
    }

    /// Closes the stream of a lease that is to end.
    pub(crate) fn forget(&self, id: LeaseId) {
        drop(self.take(id));
    }

    fn take(&self, id: LeaseId) -> Option<Stream> {
        self.streams().idle.remove(&id).map(|idle| idle.stream)
    }

    /// Closes half of the streams, for good. Returns whether there were any.
    fn make_room(&self) -> bool {
        let streams = &mut *self.streams();
        streams.most = streams.idle.len() / 2;
        let most = streams.most;
        let mut kept = 0;
        let had_any = !streams.idle.is_empty();
        streams.idle.retain(|_, _| {
            kept += 1;
            kept <= most
        });
        had_any
    }

    /// Keeps the stream of a lease that is alive.
    fn keep(&self, id: LeaseId, stream: Stream, answer: Option<Lease>) -> Option<Lease> {
        let lease = answer?;
        let now = Instant::now();
        // As long as any clock can say.
        let ttl = Duration::from_secs(lease.ttl_seconds.clamp(0, 1 << 30).unsigned_abs());
        let streams = &mut *self.streams();
        if streams.idle.len() < streams.most {
            streams.idle.insert(id, Idle { stream, until: now + ttl });
        }
        if streams.idle.len() > streams.sweep_above {
            streams.idle.retain(|_, idle| idle.until > now);
            streams.sweep_above = FEW.max(2 * streams.idle.len());
        }
        Some(lease)
    }

    fn streams(&self) -> MutexGuard<'_, Streams> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stream {
    async fn open(mut client: LeaseClient, id: LeaseId) -> Result<Option<Self>, BackendError> {
        // The client makes a first exchange itself, and keeps the answer unless it is a failure.
        match client.keep_alive(id.get()).await {
            Ok((keeper, answers)) => Ok(Some(Self { keeper, answers })),
            Err(Error::LeaseKeepAliveError(text)) if text == "lease not found" => Ok(None),
            Err(error) => Err(from_client(error)),
        }
    }

    async fn renew(&mut self) -> Result<Option<Lease>, BackendError> {
        self.keeper.keep_alive().await.map_err(from_client)?;
        match self.answers.message().await.map_err(from_client)? {
            Some(answer) => Ok(convert::lease_keep_alive(&answer)),
            None => Err(BackendError::new(
                BackendErrorKind::Unavailable,
                "the server closed the keep-alive stream",
            )),
        }
    }
}

impl fmt::Debug for Renewals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Renewals").field("idle", &self.streams().idle.len()).finish_non_exhaustive()
    }
}
