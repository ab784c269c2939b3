//! Loading the whole prefix at one revision, as the difference to a state.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::task::JoinHandle;

use crate::Revision;
use crate::backend::{
    BackendError, BackendErrorKind, KeyRange, KeyValue, KvBackend, RangeRequest, RangeResponse,
};
use crate::db::{Difference, Options};
use crate::state::{Entry, EntryPtr, State};

/// How often a load begins anew because its revision was compacted between two pages.
const ATTEMPTS: usize = 10;

/// The first page: small, because the size of the values is not known yet.
const FIRST_PAGE: usize = 1000;

/// How much larger a page may be than the one before.
const GROWTH: usize = 16;

/// Reads all keys below the prefix at one revision and compares them with `base`. Keys that have
/// not been written since are neither decoded nor in the result.
pub(super) async fn difference(
    backend: &Arc<dyn KvBackend>,
    options: &Options,
    base: &State,
) -> Result<Difference, BackendError> {
    let mut attempt = 1;
    loop {
        match attempt_difference(backend, options, base).await {
            Err(error)
                if matches!(error.kind(), BackendErrorKind::Compacted { .. })
                    && attempt < ATTEMPTS =>
            {
                tracing::debug!(%error, attempt, "compacted while loading; beginning anew");
                attempt += 1;
            }
            outcome => return outcome,
        }
    }
}

async fn attempt_difference(
    backend: &Arc<dyn KvBackend>,
    options: &Options,
    base: &State,
) -> Result<Difference, BackendError> {
    let all = crate::db::prefix_range(base);
    let mut limit = FIRST_PAGE.min(options.page_keys);
    let mut page = fetch(backend, all.clone(), Revision::ZERO, limit).await?;
    let (cluster_id, revision) = (page.header.cluster_id, page.header.revision);
    let is_first_load = base.revision.is_zero();
    let new_epoch = !is_first_load && (cluster_id != base.cluster_id || revision < base.revision);
    let mut merge = Merge::new(base, new_epoch);
    loop {
        let next = match page.kvs.last() {
            Some(last) if page.more => {
                limit = next_limit(&page.kvs, limit, options);
                let rest = rest_after(&all, &last.key);
                // Fetched while this page is decoded.
                let backend = Arc::clone(backend);
                Some(Prefetch(tokio::spawn(
                    async move { fetch(&backend, rest, revision, limit).await },
                )))
            }
            _ => None,
        };
        merge.add(page.kvs);
        page = match next {
            Some(next) => next.await?,
            None => break,
        };
    }
    Ok(Difference { cluster_id, revision, new_epoch, changes: merge.finish() })
}

async fn fetch(
    backend: &Arc<dyn KvBackend>,
    range: KeyRange,
    revision: Revision,
    limit: usize,
) -> Result<RangeResponse, BackendError> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    backend.range(RangeRequest::new(range).with_revision(revision).with_limit(limit)).await
}

fn rest_after(all: &KeyRange, last: &[u8]) -> KeyRange {
    let next = Bytes::from([last, b"\0"].concat());
    KeyRange::from_wire(next, all.range_end().clone())
}

/// As many keys as fill a page, judged by the page before.
fn next_limit(kvs: &[KeyValue], limit: usize, options: &Options) -> usize {
    let bytes: usize = kvs.iter().map(|kv| kv.key.len() + kv.value.len()).sum();
    let per_key = (bytes / kvs.len().max(1)).max(1);
    let fitting = options.page_bytes / per_key;
    fitting.min(limit.saturating_mul(GROWTH)).clamp(1, options.page_keys)
}

/// A fetch under way. Dropping it ends it.
struct Prefetch(JoinHandle<Result<RangeResponse, BackendError>>);

impl Future for Prefetch {
    type Output = Result<RangeResponse, BackendError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context).map(|joined| {
            joined.unwrap_or_else(|error| {
                let failed = BackendError::new(BackendErrorKind::Closed, "the load was ended");
                Err(failed.with_source(error))
            })
        })
    }
}

impl Drop for Prefetch {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Walks the loaded pairs and the base side by side, both in key order.
struct Merge<'b> {
    base: &'b State,
    old: std::iter::Peekable<Box<dyn Iterator<Item = (&'b crate::Key, &'b EntryPtr)> + Send + 'b>>,
    new_epoch: bool,
    changes: Vec<(crate::Key, Option<EntryPtr>)>,
}

impl<'b> Merge<'b> {
    fn new(base: &'b State, new_epoch: bool) -> Self {
        let old: Box<dyn Iterator<Item = _> + Send> = Box::new(base.map.iter());
        Self { base, old: old.peekable(), new_epoch, changes: Vec::new() }
    }

    fn add(&mut self, kvs: Vec<KeyValue>) {
        for kv in kvs {
            self.delete_before(Some(&kv.key));
            let same = self.old.next_if(|(key, _)| key.as_bytes() == kv.key);
            let unchanged = same.is_some_and(|(_, entry)| {
                // A revision names one state of a key for ever, but only within one history.
                !self.new_epoch && entry.meta.mod_revision == kv.mod_revision
            });
            if unchanged {
                continue;
            }
            let key = same.map_or_else(|| kv.key.as_ref().into(), |(key, _)| key.clone());
            let entry = EntryPtr::new(Entry::decode(&self.base.schema, &kv));
            self.changes.push((key, Some(entry)));
        }
    }

    fn finish(mut self) -> Vec<(crate::Key, Option<EntryPtr>)> {
        self.delete_before(None);
        self.changes
    }

    /// Keys of the base that the store does not have (up to one that it has) are deleted.
    fn delete_before(&mut self, end: Option<&[u8]>) {
        while let Some((key, _)) =
            self.old.next_if(|(key, _)| end.is_none_or(|end| key.as_bytes() < end))
        {
            self.changes.push((key.clone(), None));
        }
    }
}
