//! Reading keys (etcd: `server/etcdserver/txn/range.go`, `server/storage/mvcc/kvstore_txn.go`).

use bytes::Bytes;
use tailetc_core::backend::{
    BackendError, Header, KeyValue, RangeRequest, RangeResponse, SortOrder, SortTarget,
};
use tailetc_core::{LeaseId, Revision};

use super::keys::{self, Keys};
use crate::fault::Fault;
use crate::{EtcdVersion, MemKvOptions, errors};

/// What a read can see.
pub(super) struct View<'a> {
    pub(super) keys: &'a Keys,
    /// The revision of `keys`.
    pub(super) current: Revision,
    pub(super) compacted: Revision,
    pub(super) options: &'a MemKvOptions,
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
        if revision > Revision::ZERO && self.is_compacted(revision) {
            return Err(errors::compacted());
        }
        Ok(self.select(header, request))
    }

    pub(super) fn is_compacted(&self, revision: Revision) -> bool {
        let refused = self.options.has(Fault::CompactRevisionRefused);
        revision < self.compacted || (refused && revision == self.compacted)
    }

    /// Answers a request whose revision is known to be readable.
    pub(super) fn select(&self, header: Header, request: &RangeRequest) -> RangeResponse {
        let (range, revision) = (&request.range, request.revision);
        let is_current = revision <= Revision::ZERO || revision == self.current;
        let at = if is_current { keys::NOW } else { revision };
        let count = self.keys.count_at(range, at);
        if request.count_only {
            return RangeResponse::new(header, Vec::new(), false, count as i64);
        }
        let (kvs, more) = select(self.keys.range_at(range, at), request);
        let kvs = kvs.into_iter().map(|kv| returned(kv, request, self.options.imitate)).collect();
        RangeResponse::new(header, kvs, more, count as i64)
    }
}

/// The pairs to return, and whether there are more.
fn select<'a>(
    keys: impl Iterator<Item = &'a KeyValue>,
    request: &RangeRequest,
) -> (Vec<&'a KeyValue>, bool) {
    let limit = match usize::try_from(request.limit) {
        Ok(0) | Err(_) => usize::MAX,
        Ok(limit) => limit,
    };
    // Without an order or a filter, what is beyond the limit is not even sorted: one pair is, which
    // etcd takes to see whether there are more.
    let taken = if looks_at_all(request) { usize::MAX } else { limit.saturating_add(1) };
    let mut found: Vec<&KeyValue> = keys.take(taken).filter(|kv| passes(kv, request)).collect();
    sort(&mut found, request);
    let more = found.len() > limit;
    found.truncate(limit);
    (found, more)
}

fn looks_at_all(request: &RangeRequest) -> bool {
    let filters = [
        request.min_mod_revision,
        request.max_mod_revision,
        request.min_create_revision,
        request.max_create_revision,
    ];
    request.sort_order != SortOrder::None || filters.iter().any(|revision| !revision.is_zero())
}

fn passes(kv: &KeyValue, request: &RangeRequest) -> bool {
    let within = |revision: Revision, min: Revision, max: Revision| {
        (min.is_zero() || revision >= min) && (max.is_zero() || revision <= max)
    };
    within(kv.mod_revision, request.min_mod_revision, request.max_mod_revision)
        && within(kv.create_revision, request.min_create_revision, request.max_create_revision)
}

/// `found` comes in key order, and equals stay in it, also in a descending order: what a server
/// does with few pairs, of which its sort (Go's `sort.Sort`) makes one insertion after the other.
fn sort(found: &mut [&KeyValue], request: &RangeRequest) {
    let descending = request.sort_order == SortOrder::Descend;
    match request.sort_target {
        // No two keys are equal.
        SortTarget::Key if descending => found.reverse(),
        SortTarget::Key => {}
        SortTarget::Version => sort_by(found, descending, |kv| kv.version),
        SortTarget::CreateRevision => sort_by(found, descending, |kv| kv.create_revision),
        SortTarget::ModRevision => sort_by(found, descending, |kv| kv.mod_revision),
        SortTarget::Value => sort_by(found, descending, |kv| &kv.value),
    }
}

fn sort_by<'a, T: Ord>(
    found: &mut [&'a KeyValue],
    descending: bool,
    target: impl Fn(&'a KeyValue) -> T,
) {
    found.sort_by(|a, b| {
        let ascending = target(a).cmp(&target(b));
        if descending { ascending.reverse() } else { ascending }
    });
}

fn returned(kv: &KeyValue, request: &RangeRequest, version: EtcdVersion) -> KeyValue {
    let mut kv = kv.clone();
    if request.keys_only {
        kv.value = Bytes::new();
        if version.keys_only_has_no_lease() && request.sort_target != SortTarget::Value {
            kv.lease = LeaseId::NONE;
        }
    }
    kv
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    use tailetc_core::backend::KeyRange;

    use crate::store::change::Change;

    fn read(request: RangeRequest) -> RangeResponse {
        read_from(request, EtcdVersion::V3_6)
    }

    fn read_from(request: RangeRequest, version: EtcdVersion) -> RangeResponse {
        let mut keys = Keys::default();
        for (revision, (key, value)) in (2..).zip([("a", "9"), ("b", "1"), ("c", "2"), ("d", "0")])
        {
            let kv = KeyValue {
                key: key.into(),
                value: value.into(),
                create_revision: Revision::new(revision),
                mod_revision: Revision::new(revision),
                version: 7 - revision,
                lease: LeaseId::new(8),
            };
            keys.push(Arc::new(Change { kv, sub: 0 }));
        }
        let view = View {
            keys: &keys,
            current: Revision::new(5),
            compacted: Revision::new(3),
            options: &MemKvOptions::default().with_imitate(version),
        };
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

    // G4, G5
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

    // G4
    #[test]
    fn every_filter_bounds_its_revision_and_is_inclusive() {
        let min_and_max =
            all().with_min_mod_revision(Revision::new(3)).with_max_mod_revision(Revision::new(4));
        let response = read(min_and_max);
        assert_eq!(keys(&response), [b"b", b"c"]);
        assert_eq!((response.more, response.count), (false, 4));
        let created = all()
            .with_min_create_revision(Revision::new(4))
            .with_max_create_revision(Revision::new(5));
        assert_eq!(keys(&read(created)), [b"c", b"d"]);
    }

    // G5, G6
    #[test]
    fn limit_comes_after_an_order_and_before_a_target_alone() {
        let by_value = |order| all().with_sort(SortTarget::Value, order).with_limit(2);
        let response = read(by_value(SortOrder::None));
        assert_eq!(keys(&response), [b"b", b"c"]);
        assert!(response.more);
        assert_eq!(keys(&read(by_value(SortOrder::Ascend))), [b"d", b"b"]);
        assert_eq!(keys(&read(by_value(SortOrder::Descend))), [b"a", b"c"]);
    }

    // G5
    #[test]
    fn every_target_sorts() {
        let descending = |target| keys_of(all().with_sort(target, SortOrder::Descend));
        assert_eq!(descending(SortTarget::Key), ["d", "c", "b", "a"]);
        assert_eq!(descending(SortTarget::Version), ["a", "b", "c", "d"]);
        assert_eq!(descending(SortTarget::CreateRevision), ["d", "c", "b", "a"]);
        assert_eq!(descending(SortTarget::ModRevision), ["d", "c", "b", "a"]);
        assert_eq!(descending(SortTarget::Value), ["a", "c", "b", "d"]);
        let valueless = all().with_sort(SortTarget::Value, SortOrder::Ascend).with_keys_only();
        assert_eq!(keys_of(valueless), ["d", "b", "c", "a"]);
    }

    fn keys_of(request: RangeRequest) -> Vec<String> {
        let response = read(request);
        response.kvs.iter().map(|kv| String::from_utf8_lossy(&kv.key).into_owned()).collect()
    }

    // G8, X-Y
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

    // G7
    #[test]
    fn keys_only_leaves_the_leases_out_since_3_7_unless_it_sorts_by_value() {
        let leases = |target, version| {
            let request = all().with_keys_only().with_sort(target, SortOrder::Ascend);
            let response = read_from(request, version);
            response.kvs.iter().filter(|kv| !kv.lease.is_none()).count()
        };
        for (target, since_3_7) in [(SortTarget::Key, 0), (SortTarget::Value, 4)] {
            assert_eq!(leases(target, EtcdVersion::V3_6), 4);
            assert_eq!(leases(target, EtcdVersion::V3_7), since_3_7);
        }
    }

    #[test]
    fn old_revision_is_read_as_it_was() {
        let response = read(all().with_revision(Revision::new(3)));
        assert_eq!(keys(&response), [b"a", b"b"]);
        assert_eq!(read(all().with_revision(Revision::new(-7))).count, 4);
    }
}
