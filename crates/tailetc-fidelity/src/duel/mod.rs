//! One program on two servers, step by step, each answer and each watch response compared.

mod canonical;
mod divergence;
mod exchange;
mod expiry;
mod finish;
mod follower;
mod pauses;
mod resolve;
mod server;
mod side;
mod watching;
mod world;

use std::sync::Arc;

use tokio::sync::Notify;

pub(crate) use self::divergence::Divergence;
pub(crate) use self::pauses::Pauses;
pub(crate) use self::server::Broken;
pub use self::server::Kind;
use self::side::Side;
use self::world::World;
use crate::program::{Action, Program, Step};
use crate::wire::Call;

/// The watch streams that a program can name.
const STREAMS: usize = 3;
/// Puts of a burst after which the watches may catch up: a slow client is treated otherwise.
const BURST_STRETCH: usize = 40;

/// What was compared.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Compared {
    pub(crate) requests: u64,
    pub(crate) watch_responses: u64,
}

/// Two servers with the same history.
#[derive(Debug)]
pub(crate) struct Duel {
    a: Side,
    b: Side,
    world: World,
    pauses: Pauses,
    /// Told of each watch response on either side.
    arrival: Arc<Notify>,
    /// The step that runs, for a divergence.
    now: String,
    compared: Compared,
}

impl Duel {
    /// Starts a server of each kind.
    pub(crate) async fn start(a: &Kind, b: &Kind, pauses: Pauses) -> Result<Self, Broken> {
        let arrival = Arc::new(Notify::new());
        let mut a = Side::start(a, None, &arrival).await?;
        let mut b = Side::start(b, a.server.version(), &arrival).await?;
        let stable = a.stable.min(b.stable);
        (a.stable, b.stable) = (stable, stable);
        let (world, now, compared) = (World::fresh(), String::new(), Compared::default());
        Ok(Self { a, b, world, pauses, arrival, now, compared })
    }

    /// Runs a program, and takes back what it left, except for the history. After a divergence
    /// the two servers are of no use.
    pub(crate) async fn run(&mut self, program: &Program) -> Result<(), Divergence> {
        self.world.begin();
        if program.0.iter().any(|step| step.action == Action::Status) {
            self.note_raft_indexes().await?;
        }
        for (number, step) in program.0.iter().enumerate() {
            self.now = format!("step {number}");
            if self.world.lease_ends_soon() {
                self.expire().await?;
            }
            self.step(step).await?;
        }
        "the end of the program".clone_into(&mut self.now);
        self.finish().await
    }

    /// How much was compared since the last call.
    pub(crate) fn take_compared(&mut self) -> Compared {
        std::mem::take(&mut self.compared)
    }

    async fn step(&mut self, step: &Step) -> Result<(), Divergence> {
        match &step.action {
            Action::Watch(watch) => self.watch(step.client, watch).await,
            Action::Cancel { stream, id } => self.cancel(step.client, *stream, *id).await,
            Action::Progress { stream } => self.request_progress(step.client, *stream).await,
            Action::EmptyWatchRequest { stream } => {
                self.empty_watch_request(step.client, *stream).await
            }
            Action::EndStream { stream } => self.end_stream(*stream).await,
            Action::Burst { key, count } => self.burst(key, *count).await,
            Action::Expire => self.expire().await,
            action => match self.world.call(action) {
                Some(call) => self.request(step.client, call).await,
                None => Ok(()),
            },
        }
    }

    async fn request(&mut self, client: u8, call: Call) -> Result<(), Divergence> {
        if call.is_write() {
            self.settle().await?;
        }
        match &call {
            Call::Compact(request) => {
                self.settle().await?;
                // Watchers read the pair before an event when they send it.
                self.quiesce().await?;
                // Left out.
                if !self.a.spy.changes_each_key_once(request.revision) {
                    return Ok(());
                }
            }
            Call::HashKv(_) => self.let_compaction_finish().await,
            _ => {}
        }
        self.exchange(client, call).await
    }

    async fn burst(&mut self, key: &str, count: usize) -> Result<(), Divergence> {
        self.settle().await?;
        for number in 0..count {
            self.exchange(0, self.world.put(key, &number.to_string())).await?;
            if number % BURST_STRETCH == 0 {
                self.quiesce().await?;
            }
        }
        Ok(())
    }
}
