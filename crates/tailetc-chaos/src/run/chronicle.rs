//! The store's own log, read past the proxies and kept across compactions and restores.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use tailetc::Revision;
use tailetc::backend::{
    BackendError, BackendErrorKind, Event, KeyRange, KvBackend, PutRequest, RangeRequest,
    TxnRequest, WatchRequest, WatchResponse, Watcher,
};
use tailetc_etcd::EtcdBackend;
use tailetc_testkit::faulty::History;
use tailetc_testkit::simulation;
use tokio::time::{Instant, sleep, timeout};

use crate::{Failure, options};

/// How long a watch may be silent before another member is asked.
const SILENCE: Duration = Duration::from_secs(1);
/// How long the store may take in all.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Chronicle {
    endpoints: Vec<String>,
    store: EtcdBackend,
    watcher: Option<Box<dyn Watcher>>,
    histories: Vec<History>,
}

impl Chronicle {
    pub(crate) async fn begin(endpoints: Vec<String>) -> Result<Self, Failure> {
        let store = EtcdBackend::connect(options::etcd(&endpoints)).await?;
        Ok(Self { endpoints, store, watcher: None, histories: vec![History::default()] })
    }

    /// How often the store was restored.
    pub(crate) fn era(&self) -> usize {
        self.histories.len() - 1
    }

    pub(crate) fn into_histories(self) -> Vec<History> {
        self.histories
    }

    /// The last revision that has been read.
    pub(crate) fn last(&self) -> Revision {
        let last = self.histories.last().and_then(|history| history.revisions.last());
        last.map_or(Revision::new(1), |(revision, _)| *revision)
    }

    /// Reads up to the store's present revision, trying for a while.
    pub(crate) async fn catch_up(&mut self) -> Result<Revision, Failure> {
        let began = Instant::now();
        loop {
            match self.try_to_catch_up().await {
                Ok(present) => return Ok(present),
                Err(error) if began.elapsed() > PATIENCE => return Err(error),
                Err(_) => sleep(Duration::from_millis(50)).await,
            }
        }
    }

    /// The same, without patience: fails while the cluster does.
    pub(crate) async fn try_to_catch_up(&mut self) -> Result<Revision, Failure> {
        let any = RangeRequest::new(KeyRange::key(Bytes::from_static(b"\0"))).with_limit(1);
        let present = self.store.range(any).await?.header.revision;
        while self.last() < present {
            if let Err(error) = self.read().await {
                self.watcher = None;
                return Err(error);
            }
        }
        Ok(present)
    }

    async fn read(&mut self) -> Result<(), Failure> {
        let watcher = match &mut self.watcher {
            Some(watcher) => watcher,
            none => {
                let from = self.histories.last().and_then(|history| history.revisions.last());
                let from = from.map_or(Revision::new(1), |(revision, _)| revision.next());
                let request = WatchRequest::new(KeyRange::all(), from);
                none.insert(self.store.watch(request).await?)
            }
        };
        let silence = |_| BackendError::new(BackendErrorKind::Timeout, "the watch is silent");
        let response = timeout(SILENCE, watcher.next()).await.map_err(silence)??;
        if let WatchResponse::Events { events, .. } = response {
            self.add(events)?;
        }
        Ok(())
    }

    fn add(&mut self, events: Vec<Event>) -> Result<(), Failure> {
        let before = self.last();
        let Some(history) = self.histories.last_mut() else { return Ok(()) };
        for event in events.into_iter().filter(|event| event.revision() > before) {
            let at = event.revision();
            let last = history.revisions.last().map_or(Revision::new(1), |(last, _)| *last);
            if at != last {
                if at != last.next() {
                    return Err(format!("the log of the store goes from {last} to {at}").into());
                }
                history.revisions.push((at, Vec::new()));
            }
            if let Some((_, events)) = history.revisions.last_mut() {
                events.push(event);
            }
        }
        Ok(())
    }

    /// From now on, the store is what it was at an earlier revision, and goes on from there.
    pub(crate) async fn begin_era(&mut self, forked_at: Revision) -> Result<(), Failure> {
        let mut history = History::default();
        history.forked_at = forked_at;
        if let Some(before) = self.histories.last() {
            let shared = before.revisions.iter().take_while(|(at, _)| *at <= forked_at);
            history.revisions = shared.cloned().collect();
        }
        self.histories.push(history);
        self.watcher = None;
        self.store = EtcdBackend::connect(options::etcd(&self.endpoints)).await?;
        Ok(())
    }

    /// A way to write past the proxies that waits for no reader of the log.
    pub(crate) fn writer(&self) -> EtcdBackend {
        self.store.clone()
    }

    /// Compacts all but the last few revisions, of which nothing is unread.
    pub(crate) async fn compact(&mut self, keep: i64) -> Result<(), Failure> {
        let present = self.catch_up().await?;
        let mut to = Revision::new(present.get() - keep);
        while self.changes_a_key_twice(to) {
            to = Revision::new(to.get() - 1);
        }
        self.store.compact(to).await?;
        Ok(())
    }

    /// Whether a key was changed more than once in this revision.
    fn changes_a_key_twice(&self, at: Revision) -> bool {
        let revisions = self.histories.last().map_or(&[][..], |history| &history.revisions);
        let index = revisions.binary_search_by_key(&at, |(revision, _)| *revision);
        let events = index.ok().and_then(|index| revisions.get(index)).map(|(_, events)| events);
        events.is_some_and(|events| {
            let keys: BTreeSet<_> = events.iter().map(|event| &event.kv.key).collect();
            keys.len() < events.len()
        })
    }
}

/// Writes a key, again and again until the store takes it.
pub(crate) async fn put(store: &EtcdBackend, key: &str, value: &str) -> Result<(), Failure> {
    let began = Instant::now();
    loop {
        let put = PutRequest::new(format!("/sim/{key}"), value.to_owned());
        match store.txn(TxnRequest::new([put.into()])).await {
            Ok(_) => return Ok(()),
            Err(error) if began.elapsed() > PATIENCE => return Err(error.into()),
            Err(_) => sleep(Duration::from_millis(10)).await,
        }
    }
}

/// Writes what the workloads begin with.
pub(crate) async fn prepare(store: &EtcdBackend) -> Result<(), Failure> {
    let puts = simulation::initial().into_iter();
    let puts = puts.map(|(key, value)| PutRequest::new(key, value).into());
    store.txn(TxnRequest::new(puts)).await?;
    Ok(())
}

/// Waits until no key hangs on a lease that will end.
pub(crate) async fn await_leases(store: &EtcdBackend, prefix: &str) -> Result<(), Failure> {
    let began = Instant::now();
    loop {
        let all = RangeRequest::new(KeyRange::prefix(prefix.to_owned())).with_keys_only();
        let response = store.range(all).await?;
        if response.kvs.iter().all(|kv| kv.lease.is_none()) {
            return Ok(());
        }
        if began.elapsed() > PATIENCE {
            return Err("leases do not end".into());
        }
        sleep(Duration::from_millis(200)).await;
    }
}
