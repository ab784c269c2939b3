//! Reading keys (etcd: `server/etcdserver/txn/range.go`, `server/storage/mvcc/kvstore_txn.go`).

use bytes::Bytes;
use tailetc_core::Revision;
use tailetc_core::backend::{BackendError, Header, KeyValue, RangeRequest, RangeResponse};

use super::keys::Keys;
use crate::errors;

/// What a read can see.
pub(super) struct View<'a> {
    pub(super) keys: &'a Keys,
    /// The revision of `keys`.
    pub(super) current: Revision,
    pub(super) compacted: Revision,
}

impl View<'_> {
    /// Answers a request; any revision that is not positive is the current one.
    pub(super) fn read(
        &self,
        header: Header,
        request: &RangeRequest,
    ) -> Result<RangeResponse, BackendError> {
        let revision = request.revision;
        if revision > self.current {
            return Err(errors::future_revision());
        }
        if revision > Revision::ZERO && revision < self.compacted {
            return Err(errors::compacted());
        }
        Ok(self.select(header, request))
    }

    /// Answers a request whose revision is known to be readable.
    pub(super) fn select(&self, header: Header, request: &RangeRequest) -> RangeResponse {
        let (range, revision) = (&request.range, request.revision);
        if revision <= Revision::ZERO || revision == self.current {
            select(header, self.keys.range(range), request)
        } else {
            select(header, self.keys.range_at(range, revision), request)
        }
    }
}

/// The count is of all keys; the limit is on those that the filter leaves.
fn select<'a>(
    header: Header,
    keys: impl Iterator<Item = &'a KeyValue>,
    request: &RangeRequest,
) -> RangeResponse {
    if request.count_only {
        return RangeResponse::new(header, Vec::new(), false, keys.count() as i64);
    }
    let limit = match usize::try_from(request.limit) {
        Ok(0) | Err(_) => usize::MAX,
        Ok(limit) => limit,
    };
    let (mut kvs, mut more, mut count) = (Vec::new(), false, 0);
    for kv in keys {
        count += 1;
        if kv.mod_revision < request.min_mod_revision {
            continue;
        }
        if kvs.len() == limit {
            more = true;
        } else {
            kvs.push(returned(kv, request.keys_only));
        }
    }
    RangeResponse::new(header, kvs, more, count)
}

fn returned(kv: &KeyValue, keys_only: bool) -> KeyValue {
    let mut kv = kv.clone();
    if keys_only {
        kv.value = Bytes::new();
    }
    kv
}

#[cfg(test)]
mod tests {
    use super::*;
    use tailetc_core::backend::KeyRange;

    fn read(request: RangeRequest) -> RangeResponse {
        let mut keys = Keys::default();
        for (revision, key) in (2..).zip(["a", "b", "c", "d"]) {
            keys.put(KeyValue {
                key: key.into(),
                value: "v".into(),
                mod_revision: Revision::new(revision),
                ..KeyValue::default()
            });
        }
        let view = View { keys: &keys, current: Revision::new(5), compacted: Revision::new(3) };
        view.read(Header::default(), &request).expect("readable")
    }

    fn all() -> RangeRequest {
        RangeRequest::new(KeyRange::all())
    }

    fn keys(response: &RangeResponse) -> Vec<&[u8]> {
        response.kvs.iter().map(|kv| &kv.key[..]).collect()
    }

    #[test]
    fn limit_cuts_and_says_so() {
        for (limit, len, more) in [(0, 4, false), (-1, 4, false), (3, 3, true), (4, 4, false)] {
            let response = read(all().with_limit(limit));
            assert_eq!((response.kvs.len(), response.more), (len, more), "{limit}");
            assert_eq!(response.count, 4);
        }
    }

    #[test]
    fn limit_is_on_what_the_filter_leaves_and_count_ignores_both() {
        let filtered = || all().with_min_mod_revision(Revision::new(4));
        let response = read(filtered().with_limit(1));
        assert_eq!(keys(&response), [b"c"]);
        assert!(response.more && response.count == 4);
        let response = read(filtered().with_limit(2));
        assert_eq!(keys(&response), [b"c", b"d"]);
        assert!(!response.more && response.count == 4);
    }

    #[test]
    fn count_only_has_no_pairs_and_no_more() {
        let response = read(all().with_count_only().with_limit(1));
        assert!(response.kvs.is_empty() && !response.more && response.count == 4);
    }

    #[test]
    fn keys_only_leaves_the_values_out() {
        let response = read(all().with_keys_only());
        assert!(response.kvs.iter().all(|kv| kv.value.is_empty()));
    }

    #[test]
    fn old_revision_is_read_as_it_was() {
        let response = read(all().with_revision(Revision::new(3)));
        assert_eq!(keys(&response), [b"a", b"b"]);
        assert_eq!(read(all().with_revision(Revision::new(-7))).count, 4);
    }
}
