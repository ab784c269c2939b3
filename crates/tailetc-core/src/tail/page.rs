//! Reading many keys in pages.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::backend::{
    BackendError, BackendErrorKind, KeyRange, KeyValue, KvBackend, RangeRequest, RangeResponse,
};
use crate::db::Options;
use crate::tail::in_time;

/// The first page: small, because the size of the values is not known yet.
const FIRST_PAGE: usize = 1000;

/// How much larger a page may be than the one before: its values may be larger, too.
const GROWTH: usize = 4;

/// Fetches a page; a smaller one when the answer takes longer than the backend's deadline, or is
/// larger than the transport takes.
pub(super) async fn fetch(
    backend: &Arc<dyn KvBackend>,
    timeout: Duration,
    request: RangeRequest,
    size: &mut PageSize,
) -> Result<RangeResponse, BackendError> {
    loop {
        let limit = i64::try_from(size.keys).unwrap_or(i64::MAX);
        let request = request.clone().with_limit(limit);
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

/// What of `all` comes after the last key of a page.
pub(super) fn rest_after(all: &KeyRange, last: &[u8]) -> KeyRange {
    let next = Bytes::from([last, b"\0"].concat());
    KeyRange::from_wire(next, all.range_end().clone())
}

/// How many keys to ask for.
#[derive(Clone, Copy, Debug)]
pub(super) struct PageSize {
    keys: usize,
    /// The most that may be asked for. A page that times out lowers it, each that does not doubles
    /// it, up to the option.
    most: usize,
    option: usize,
    bytes: usize,
}

impl PageSize {
    pub(super) fn new(options: &Options) -> Self {
        let most = options.page_keys;
        Self { keys: FIRST_PAGE.min(most), most, option: most, bytes: options.page_bytes }
    }

    /// As many keys as fill a page, judged by the page before.
    pub(super) fn adapt(&mut self, kvs: &[KeyValue]) {
        let bytes: usize = kvs.iter().map(|kv| kv.key.len() + kv.value.len()).sum();
        let per_key = (bytes / kvs.len().max(1)).max(1);
        let fitting = self.bytes / per_key;
        self.keys = fitting.min(self.keys.saturating_mul(GROWTH)).clamp(1, self.most);
        self.most = self.most.saturating_mul(2).min(self.option);
    }

    /// Goes on with an eighth; false if it is one key already.
    fn shrink(&mut self) -> bool {
        let larger = self.keys > 1;
        self.keys = (self.keys / 8).max(1);
        self.most = self.keys;
        larger
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

    // D16
    #[test]
    fn page_that_timed_out_is_not_tried_again_in_its_size() {
        let mut size = PageSize::new(&Options::default());
        assert!(size.shrink());
        assert_eq!(size.keys, 125);
        size.adapt(&pairs(125, 1));
        assert_eq!(size.keys, 125);
        // But what has passed may be of a server that is well again.
        for keys in [250, 500, 1_000] {
            size.adapt(&pairs(125, 1));
            assert_eq!(size.keys, keys);
        }
        assert!(size.shrink());
        assert_eq!(size.keys, 125);
        assert!(size.shrink() && size.shrink() && size.keys == 1);
        assert!(!size.shrink());
    }
}
