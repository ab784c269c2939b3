//! What a store may lack, and how it must then refuse.

use std::fmt;
use std::sync::Arc;

use tailetc_core::LeaseId;
use tailetc_core::backend::{
    BackendErrorKind, Capabilities, KeyRange, KvBackend, PutRequest, RangeRequest, SortOrder,
    SortTarget, TxnOp, TxnRequest, WatchRequest,
};

use super::support::{Store, nested, put, rev, within};

/// Something that a store may lack, if its [`Capabilities`] say so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Capability {
    /// [`Capabilities::leases`]
    Leases,
    /// [`Capabilities::nested_txns`]
    NestedTxns,
    /// [`Capabilities::sorted_ranges`]
    SortedRanges,
    /// [`Capabilities::watch_filters`]
    WatchFilters,
}

impl Capability {
    /// Every one of them.
    pub const ALL: &[Self] =
        &[Self::Leases, Self::NestedTxns, Self::SortedRanges, Self::WatchFilters];

    /// Whether a store with these capabilities has it.
    pub fn is_offered(self, capabilities: &Capabilities) -> bool {
        match self {
            Self::Leases => capabilities.leases,
            Self::NestedTxns => capabilities.nested_txns,
            Self::SortedRanges => capabilities.sorted_ranges,
            Self::WatchFilters => capabilities.watch_filters,
        }
    }

    /// Asserts of a fresh store without it that it refuses every kind of request for it and stays
    /// as it is.
    pub(super) async fn is_refused(self, backend: Arc<dyn KvBackend>) {
        let store = Store::new(backend);
        store.put("present", "1").await;
        let before = store.all().await;
        match self {
            Self::Leases => refuses_leases(&store).await,
            Self::NestedTxns => refuses_nested_txns(&store).await,
            Self::SortedRanges => refuses_sorted_ranges(&store).await,
            Self::WatchFilters => refuses_watch_filters(&store).await,
        }
        assert_eq!(store.all().await, before, "nothing of what was refused is applied");
        store.run([delete_present()]).await;
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Leases => "leases",
            Self::NestedTxns => "nested_txns",
            Self::SortedRanges => "sorted_ranges",
            Self::WatchFilters => "watch_filters",
        })
    }
}

fn delete_present() -> TxnOp {
    super::support::delete_key("present")
}

fn unsupported<T: fmt::Debug>(what: &str, result: Result<T, BackendErrorKind>) {
    match result {
        Err(BackendErrorKind::Unsupported) => {}
        other => panic!("{what}: the store lacks it, so this must be Unsupported: {other:?}"),
    }
}

/// `refused` must be refused wherever it stands in a transaction, with a write before and after.
async fn refuses_op(store: &Store, what: &str, refused: TxnOp) {
    let ops = || [put("first", ""), refused.clone(), put("last", "")];
    for txn in [TxnRequest::new(ops()), TxnRequest::default().otherwise(ops())] {
        unsupported(what, store.try_txn(txn).await.map_err(|error| error.kind()));
    }
    if store.capabilities().nested_txns {
        let txn = TxnRequest::new([nested(ops())]);
        unsupported(what, store.try_txn(txn).await.map_err(|error| error.kind()));
    }
}

async fn refuses_leases(store: &Store) {
    let id = LeaseId::new(7);
    let backend = store.backend();
    let kept = within("a keep-alive", backend.lease_keep_alive(id)).await;
    let left = within("a time-to-live", backend.lease_time_to_live(id, true)).await;
    unsupported("lease_grant", store.try_grant(7, 60).await.map_err(|error| error.kind()));
    unsupported("lease_revoke", store.try_revoke(id).await.map_err(|error| error.kind()));
    unsupported("lease_keep_alive", kept.map_err(|error| error.kind()));
    unsupported("lease_time_to_live", left.map_err(|error| error.kind()));
    let leased = PutRequest::new("a", "1").with_lease(id);
    refuses_op(store, "a put with a lease", leased.into()).await;
}

async fn refuses_nested_txns(store: &Store) {
    for inner in [nested([]), nested([put("a", "1")]), nested([nested([delete_present()])])] {
        refuses_op(store, "a nested transaction", inner).await;
    }
}

async fn refuses_sorted_ranges(store: &Store) {
    let all = || RangeRequest::new(KeyRange::all());
    for request in [
        all().with_sort(SortTarget::Key, SortOrder::Descend),
        all().with_sort(SortTarget::Value, SortOrder::None),
        all().with_sort(SortTarget::Version, SortOrder::Ascend),
        all().with_max_mod_revision(rev(9)),
        all().with_min_create_revision(rev(1)),
        all().with_max_create_revision(rev(9)),
    ] {
        let result = store.try_range(request.clone()).await;
        unsupported("a sorted or filtered range", result.map_err(|error| error.kind()));
        refuses_op(store, "a sorted or filtered range", request.into()).await;
    }
}

async fn refuses_watch_filters(store: &Store) {
    let request = || WatchRequest::new(KeyRange::all(), rev(2));
    for request in [
        request().with_no_put(),
        request().with_no_delete(),
        request().with_no_put().with_no_delete(),
    ] {
        let kind = store.watch_failure(request).await.kind();
        unsupported("a filtered watch", Err::<(), _>(kind));
    }
}
