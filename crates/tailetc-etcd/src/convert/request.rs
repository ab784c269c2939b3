//! Requests. The backend keeps its request for the case that it must be sent to another endpoint,
//! so keys and values are copied once, into the message.

use bytes::Bytes;
use etcd_client as etcd;
use tailetc_core::backend::{
    Compare, CompareResult, CompareTarget, DeleteRequest, KeyRange, PutRequest, RangeRequest,
    SortOrder, SortTarget, TxnOp, TxnRequest, WatchRequest,
};

/// The key that `etcd-client` wants beside its options.
pub(crate) fn range(request: &RangeRequest) -> (Vec<u8>, etcd::GetOptions) {
    let (key, end) = keys(&request.range);
    let mut options = etcd::GetOptions::new()
        .with_range(end)
        .with_limit(request.limit)
        .with_revision(request.revision.get())
        .with_sort(sort_target(request.sort_target), sort_order(request.sort_order))
        .with_min_mod_revision(request.min_mod_revision.get())
        .with_max_mod_revision(request.max_mod_revision.get())
        .with_min_create_revision(request.min_create_revision.get())
        .with_max_create_revision(request.max_create_revision.get());
    if request.keys_only {
        options = options.with_keys_only();
    }
    if request.count_only {
        options = options.with_count_only();
    }
    if request.serializable {
        options = options.with_serializable();
    }
    (key, options)
}

pub(crate) fn txn(request: &TxnRequest) -> etcd::Txn {
    let compares: Vec<_> = request.compares.iter().map(compare).collect();
    let success: Vec<_> = request.success.iter().map(op).collect();
    let failure: Vec<_> = request.failure.iter().map(op).collect();
    etcd::Txn::new().when(compares).and_then(success).or_else(failure)
}

/// The key that `etcd-client` wants beside its options.
pub(crate) fn watch(request: &WatchRequest) -> (Vec<u8>, etcd::WatchOptions) {
    let (key, end) = keys(&request.range);
    let mut options = etcd::WatchOptions::new()
        .with_range(end)
        .with_start_revision(request.start_revision.get())
        .with_fragment();
    if request.prev_kv {
        options = options.with_prev_key();
    }
    if request.progress_notify {
        options = options.with_progress_notify();
    }
    (key, options.with_filters(filters(request)))
}

fn filters(request: &WatchRequest) -> Vec<etcd::WatchFilterType> {
    let filters = [
        request.no_put.then_some(etcd::WatchFilterType::NoPut),
        request.no_delete.then_some(etcd::WatchFilterType::NoDelete),
    ];
    filters.into_iter().flatten().collect()
}

fn sort_order(order: SortOrder) -> etcd::SortOrder {
    match order {
        SortOrder::None => etcd::SortOrder::None,
        SortOrder::Ascend => etcd::SortOrder::Ascend,
        SortOrder::Descend => etcd::SortOrder::Descend,
    }
}

fn sort_target(target: SortTarget) -> etcd::SortTarget {
    match target {
        SortTarget::Key => etcd::SortTarget::Key,
        SortTarget::Version => etcd::SortTarget::Version,
        SortTarget::CreateRevision => etcd::SortTarget::Create,
        SortTarget::ModRevision => etcd::SortTarget::Mod,
        SortTarget::Value => etcd::SortTarget::Value,
    }
}

fn op(op: &TxnOp) -> etcd::TxnOp {
    match op {
        TxnOp::Range(request) => {
            let (key, options) = range(request);
            etcd::TxnOp::get(key, Some(options))
        }
        TxnOp::Put(request) => {
            etcd::TxnOp::put(request.key.clone(), request.value.clone(), Some(put(request)))
        }
        TxnOp::Delete(request) => {
            let (key, options) = delete(request);
            etcd::TxnOp::delete(key, Some(options))
        }
        TxnOp::Txn(request) => etcd::TxnOp::txn(txn(request)),
    }
}

fn put(request: &PutRequest) -> etcd::PutOptions {
    let mut options = etcd::PutOptions::new().with_lease(request.lease.get());
    if request.prev_kv {
        options = options.with_prev_key();
    }
    if request.ignore_value {
        options = options.with_ignore_value();
    }
    if request.ignore_lease {
        options = options.with_ignore_lease();
    }
    options
}

fn delete(request: &DeleteRequest) -> (Vec<u8>, etcd::DeleteOptions) {
    let (key, end) = keys(&request.range);
    let mut options = etcd::DeleteOptions::new().with_range(end);
    if request.prev_kv {
        options = options.with_prev_key();
    }
    (key, options)
}

fn compare(compare: &Compare) -> etcd::Compare {
    let (key, end) = keys(&compare.range);
    let result = match compare.result {
        CompareResult::Equal => etcd::CompareOp::Equal,
        CompareResult::Greater => etcd::CompareOp::Greater,
        CompareResult::Less => etcd::CompareOp::Less,
        CompareResult::NotEqual => etcd::CompareOp::NotEqual,
    };
    match &compare.target {
        CompareTarget::Version(version) => etcd::Compare::version(key, result, *version),
        CompareTarget::CreateRevision(revision) => {
            etcd::Compare::create_revision(key, result, revision.get())
        }
        CompareTarget::ModRevision(revision) => {
            etcd::Compare::mod_revision(key, result, revision.get())
        }
        CompareTarget::Value(value) => etcd::Compare::value(key, result, value.clone()),
        CompareTarget::Lease(lease) => etcd::Compare::lease(key, result, lease.get()),
    }
    .with_range(end)
}

fn keys(range: &KeyRange) -> (Vec<u8>, Vec<u8>) {
    let bytes = |bytes: &Bytes| Vec::from(bytes.clone());
    (bytes(range.start()), bytes(range.range_end()))
}

#[cfg(test)]
mod tests;
