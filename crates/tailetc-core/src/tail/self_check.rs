//! The self-check: compares the copy with the store, key by key, at one revision.

use std::iter::Peekable;

use crate::Key;
use crate::backend::{BackendError, BackendErrorKind, KeyValue, RangeRequest};
use crate::db::{SelfCheck, Shared};
use crate::state::{EntryPtr, State};
use crate::tail::page::{PageSize, fetch, rest_after};

/// How often a check begins anew because its revision was compacted meanwhile.
const ATTEMPTS: usize = 10;

/// Compares keys and their `mod_revision`s, which name the values. A copy that differs is loaded
/// anew by the tail.
pub(crate) async fn self_check(shared: &Shared) -> Result<SelfCheck, BackendError> {
    let mut attempt = 1;
    loop {
        let state = shared.state();
        match compare(shared, &state).await {
            Err(error)
                if matches!(error.kind(), BackendErrorKind::Compacted { .. })
                    && attempt < ATTEMPTS =>
            {
                attempt += 1;
            }
            Err(error) => return Err(error),
            Ok(found) => {
                report(shared, &state, &found);
                return Ok(SelfCheck {
                    revision: state.revision,
                    keys: state.map.len(),
                    mismatches: found.len(),
                });
            }
        }
    }
}

fn report(shared: &Shared, state: &State, mismatches: &[Key]) {
    shared.counters.self_checks(1);
    let Some(first) = mismatches.first() else { return };
    // Another history has been loaded meanwhile: what was compared is not shown any more.
    if shared.with_state(|now| now.epoch != state.epoch) {
        return;
    }
    let (count, revision) = (mismatches.len(), state.revision);
    tracing::error!(%revision, count, %first, "the copy differs from the store; loading it anew");
    shared.counters.self_check_mismatches(count as u64);
    shared.demand_resync();
}

/// The keys that differ, in order.
async fn compare(shared: &Shared, state: &State) -> Result<Vec<Key>, BackendError> {
    let all = crate::db::prefix_range(state);
    let mut comparison = Comparison::new(state);
    let mut size = PageSize::new(&shared.options);
    let mut rest = all.clone();
    loop {
        let request = RangeRequest::new(rest).with_revision(state.revision).with_keys_only();
        let page =
            fetch(&shared.backend, shared.options.request_timeout, request, &mut size).await?;
        if !shared.is_same_history(state, &page.header) {
            return Err(BackendError::new(
                BackendErrorKind::Unavailable,
                "the store's history is not the one that is followed",
            ));
        }
        let Some(last) = page.kvs.last().filter(|_| page.more) else {
            comparison.add(&page.kvs);
            return Ok(comparison.finish());
        };
        size.adapt(&page.kvs);
        rest = rest_after(&all, &last.key);
        comparison.add(&page.kvs);
    }
}

/// Walks the store's keys and the copy's side by side, both in key order.
struct Comparison<'s> {
    ours: Peekable<Box<dyn Iterator<Item = (&'s Key, &'s EntryPtr)> + Send + 's>>,
    mismatches: Vec<Key>,
}

impl<'s> Comparison<'s> {
    fn new(state: &'s State) -> Self {
        let ours: Box<dyn Iterator<Item = _> + Send> = Box::new(state.map.iter());
        Self { ours: ours.peekable(), mismatches: Vec::new() }
    }

    fn add(&mut self, theirs: &[KeyValue]) {
        for kv in theirs {
            self.ghosts_before(Some(&kv.key));
            let same = self.ours.next_if(|(key, _)| key.as_bytes() == kv.key);
            if same.is_none_or(|(_, entry)| entry.meta.mod_revision != kv.mod_revision) {
                self.mismatches.push(kv.key.as_ref().into());
            }
        }
    }

    fn finish(mut self) -> Vec<Key> {
        self.ghosts_before(None);
        self.mismatches
    }

    /// Keys of the copy that the store does not have, up to one that it has.
    fn ghosts_before(&mut self, end: Option<&[u8]>) {
        while let Some((key, _)) =
            self.ours.next_if(|(key, _)| end.is_none_or(|end| key.as_bytes() < end))
        {
            self.mismatches.push(key.clone());
        }
    }
}
