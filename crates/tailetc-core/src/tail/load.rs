//! Loading the whole prefix at one revision, as the difference to a state.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::task::JoinHandle;

use crate::backend::{
    BackendError, BackendErrorKind, KeyValue, KvBackend, RangeRequest, RangeResponse,
};
use crate::db::{Difference, Options, Refusal};
use crate::state::{Entry, EntryPtr, State};
use crate::tail::Broken;
use crate::tail::page::{PageSize, fetch, rest_after};

/// How often a load begins anew because its revision was compacted between two pages.
const ATTEMPTS: usize = 10;

/// Reads all keys below the prefix at one revision and compares them with `base`. Keys that have
/// not been written since are neither decoded nor in the result. The history that the base is of
/// may be known to be lost; else the first answer tells.
pub(super) async fn difference(
    backend: &Arc<dyn KvBackend>,
    options: &Options,
    base: &State,
    is_lost: bool,
) -> Result<Difference, Broken> {
    let mut attempt = 1;
    loop {
        match attempt_difference(backend, options, base, is_lost).await {
            Err(Broken::Store(error))
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
    is_lost: bool,
) -> Result<Difference, Broken> {
    let all = crate::db::prefix_range(base);
    let mut size = PageSize::new(options);
    let limit = options.request_timeout;
    let mut page = fetch(backend, limit, RangeRequest::new(all.clone()), &mut size).await?;
    let header = page.header;
    let is_first_load = base.revision.is_zero();
    let new_epoch = is_lost || (!is_first_load && base.is_of_another_history(&header));
    let mut merge = Merge::new(base, new_epoch);
    loop {
        let next = match page.kvs.last() {
            Some(last) if page.more => {
                size.adapt(&page.kvs);
                let rest = RangeRequest::new(rest_after(&all, &last.key));
                let rest = rest.with_revision(header.revision);
                // Fetched while this page is decoded.
                let backend = Arc::clone(backend);
                Some(Prefetch(tokio::spawn(async move {
                    let page = fetch(&backend, limit, rest, &mut size).await?;
                    if page.header.is_of_another_history_than(&header) {
                        return Err(BackendError::new(
                            BackendErrorKind::Unavailable,
                            "another history answered in the middle of the load",
                        ));
                    }
                    Ok((page, size))
                })))
            }
            _ => None,
        };
        merge.add(page.kvs)?;
        (page, size) = match next {
            Some(next) => next.await?,
            None => break,
        };
    }
    Ok(Difference {
        cluster_id: header.cluster_id,
        raft_term: header.raft_term,
        revision: header.revision,
        new_epoch,
        changes: merge.finish(),
    })
}

/// A fetch under way. Dropping it ends it.
struct Prefetch(JoinHandle<Result<(RangeResponse, PageSize), BackendError>>);

impl Future for Prefetch {
    type Output = Result<(RangeResponse, PageSize), BackendError>;

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

    fn add(&mut self, kvs: Vec<KeyValue>) -> Result<(), Refusal> {
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
            let entry = Entry::decode(&self.base.schema, &kv);
            if let Some(refusal) = Refusal::of(&self.base.schema, &key, &entry) {
                return Err(refusal);
            }
            self.changes.push((key, Some(EntryPtr::new(entry))));
        }
        Ok(())
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
