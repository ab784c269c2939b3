//! Loading the whole prefix at one revision, as the difference to a state.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use tokio::task::JoinHandle;

use crate::Revision;
use crate::backend::{
    BackendError, BackendErrorKind, KeyRange, KeyValue, KvBackend, RangeRequest, RangeResponse,
};
use crate::db::{Difference, Options, Refusal};
use crate::state::{Entry, EntryPtr, State};
use crate::tail::{Broken, in_time};

/// How often a load begins anew because its revision was compacted between two pages.
const ATTEMPTS: usize = 10;

/// The first page: small, because the size of the values is not known yet.
const FIRST_PAGE: usize = 1000;

/// How much larger a page may be than the one before: its values may be larger, too.
const GROWTH: usize = 4;

/// Reads all keys below the prefix at one revision and compares them with `base`. Keys that have
/// not been written since are neither decoded nor in the result.
pub(super) async fn difference(
    backend: &Arc<dyn KvBackend>,
    options: &Options,
    base: &State,
) -> Result<Difference, Broken> {
    let mut attempt = 1;
    loop {
        match attempt_difference(backend, options, base).await {
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
) -> Result<Difference, Broken> {
    let all = crate::db::prefix_range(base);
    let mut size = PageSize::new(options);
    let limit = options.request_timeout;
    let mut page = fetch(backend, limit, all.clone(), Revision::ZERO, &mut size).await?;
    let header = page.header;
    let is_first_load = base.revision.is_zero();
    let new_epoch = !is_first_load && base.is_of_another_history(&header);
    let mut merge = Merge::new(base, new_epoch);
    loop {
        let next = match page.kvs.last() {
            Some(last) if page.more => {
                size.adapt(&page.kvs);
                let rest = rest_after(&all, &last.key);
                // Fetched while this page is decoded.
                let backend = Arc::clone(backend);
                Some(Prefetch(tokio::spawn(async move {
                    let page = fetch(&backend, limit, rest, header.revision, &mut size).await?;
                    if page.header.cluster_id != header.cluster_id {
                        return Err(BackendError::new(
                            BackendErrorKind::Unavailable,
                            "another cluster answered in the middle of the load",
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

/// Fetches a page; a smaller one when the answer takes longer than the backend's deadline, or is
/// larger than the transport takes.
async fn fetch(
    backend: &Arc<dyn KvBackend>,
    timeout: Duration,
    range: KeyRange,
    revision: Revision,
    size: &mut PageSize,
) -> Result<RangeResponse, BackendError> {
    loop {
        let limit = i64::try_from(size.keys).unwrap_or(i64::MAX);
        let request = RangeRequest::new(range.clone()).with_revision(revision).with_limit(limit);
        match in_time(timeout, backend.range(request)).await {
            Err(error) if may_be_too_large(&error) && size.shrink() => {
                tracing::debug!(%error, keys = size.keys, "loading in smaller pages");
            }
            outcome => return outcome,
        }
    }
}

fn may_be_too_large(error: &BackendError) -> bool {
    use BackendErrorKind::{RequestTooLarge, Timeout, Unknown};
    matches!(error.kind(), RequestTooLarge | Timeout | Unknown)
}

fn rest_after(all: &KeyRange, last: &[u8]) -> KeyRange {
    let next = Bytes::from([last, b"\0"].concat());
    KeyRange::from_wire(next, all.range_end().clone())
}

/// How many keys to ask for.
#[derive(Clone, Copy, Debug)]
struct PageSize {
    keys: usize,
    /// The most that may be asked for; less than the option once a page has timed out.
    most: usize,
    bytes: usize,
}

impl PageSize {
    fn new(options: &Options) -> Self {
        let most = options.page_keys;
        Self { keys: FIRST_PAGE.min(most), most, bytes: options.page_bytes }
    }

    /// As many keys as fill a page, judged by the page before.
    fn adapt(&mut self, kvs: &[KeyValue]) {
        let bytes: usize = kvs.iter().map(|kv| kv.key.len() + kv.value.len()).sum();
        let per_key = (bytes / kvs.len().max(1)).max(1);
        let fitting = self.bytes / per_key;
        self.keys = fitting.min(self.keys.saturating_mul(GROWTH)).clamp(1, self.most);
    }

    /// Goes on with an eighth; false if it is one key already.
    fn shrink(&mut self) -> bool {
        let larger = self.keys > 1;
        self.keys = (self.keys / 8).max(1);
        self.most = self.keys;
        larger
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(count: usize, bytes: usize) -> Vec<KeyValue> {
        let value = Bytes::from(vec![0; bytes]);
        vec![KeyValue { value, ..KeyValue::default() }; count]
    }

    #[test]
    fn pages_grow_to_the_bytes_aimed_at_and_no_further_than_the_option() {
        let mut size = PageSize::new(&Options::default());
        assert_eq!(size.keys, 1000);
        for keys in [4_000, 16_000, 64_000, 100_000, 100_000] {
            size.adapt(&pairs(1000, 100));
            assert_eq!(size.keys, keys);
        }
        size.adapt(&pairs(10, 1 << 20));
        assert_eq!(size.keys, 32);
    }

    #[test]
    fn page_that_timed_out_is_not_tried_again_in_its_size() {
        let mut size = PageSize::new(&Options::default());
        assert!(size.shrink());
        assert_eq!(size.keys, 125);
        size.adapt(&pairs(125, 1));
        assert_eq!(size.keys, 125);
        assert!(size.shrink() && size.shrink() && size.keys == 1);
        assert!(!size.shrink());
    }
}
