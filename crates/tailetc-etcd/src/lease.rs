//! Renewing leases.

use std::collections::HashMap;
use std::fmt;
use std::pin::pin;
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
#[derive(Default)]
pub(crate) struct Renewals(Mutex<Streams>);

#[derive(Default)]
struct Streams {
    /// By lease. Those in use are not here.
    idle: HashMap<LeaseId, Idle>,
    /// How many there may be before those of leases that have ended are looked for.
    sweep_above: usize,
    /// How many there may be, for some time.
    limit: Option<(usize, Instant)>,
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

/// How long the opening of a stream may take before others are closed in its favour: well below a
/// third of the shortest lease, which is what sessions give a renewal.
const PATIENCE: Duration = Duration::from_millis(250);

/// How long it is remembered that there were too many: a server that was slow looks the same.
const LIMITED_FOR: Duration = Duration::from_secs(300);

impl Renewals {
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
        let mut opening = pin!(Stream::open(client, id));
        let opened = loop {
            match timeout(PATIENCE, opening.as_mut()).await {
                Ok(opened) => break opened,
                // Those in use now are idle, and would be kept, when they are used no more.
                Err(_) => self.make_room(),
            }
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

    /// Closes half of the streams, and keeps no more than that for some time.
    fn make_room(&self) {
        let streams = &mut *self.streams();
        if streams.idle.is_empty() {
            return;
        }
        let most = streams.idle.len() / 2;
        streams.limit = Some((most, Instant::now() + LIMITED_FOR));
        let mut kept = 0;
        streams.idle.retain(|_, _| {
            kept += 1;
            kept <= most
        });
    }

    /// Keeps the stream of a lease that is alive.
    fn keep(&self, id: LeaseId, stream: Stream, answer: Option<Lease>) -> Option<Lease> {
        let lease = answer?;
        let now = Instant::now();
        // As long as any clock can say.
        let ttl = Duration::from_secs(lease.ttl_seconds.clamp(0, 1 << 30).unsigned_abs());
        let streams = &mut *self.streams();
        streams.limit = streams.limit.filter(|(_, until)| *until > now);
        if streams.limit.is_none_or(|(most, _)| streams.idle.len() < most) {
            streams.idle.insert(id, Idle { stream, until: now + ttl });
        }
        if streams.idle.len() > streams.sweep_above.max(FEW) {
            streams.idle.retain(|_, idle| idle.until > now);
            streams.sweep_above = 2 * streams.idle.len();
        }
        Some(lease)
    }

    fn streams(&self) -> MutexGuard<'_, Streams> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
