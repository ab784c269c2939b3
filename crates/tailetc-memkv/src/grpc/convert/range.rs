//! Reads.

use etcd_client::proto::PbRangeRequest;
use tailetc_core::Revision;
use tailetc_core::backend::{KeyRange, RangeRequest, SortOrder, SortTarget};

use crate::request::Malformed;
use crate::version::EtcdVersion;

/// # Errors
///
/// A sort order or target that is refused. A missing key comes before it, and is left to the store.
pub(in crate::grpc) fn range(
    pb: PbRangeRequest,
    version: EtcdVersion,
) -> Result<RangeRequest, Malformed> {
    let sort = sort(pb.sort_target, pb.sort_order, version);
    let (target, order) = match sort {
        Some(sort) => sort,
        None if pb.key.is_empty() => Default::default(),
        None => return Err(Malformed::SortOption),
    };
    let range = KeyRange::from_wire(pb.key, pb.range_end);
    let mut request = RangeRequest::new(range).with_sort(target, order);
    request.revision = Revision::new(pb.revision);
    request.limit = pb.limit;
    request.keys_only = pb.keys_only;
    request.count_only = pb.count_only;
    request.serializable = pb.serializable;
    request.min_mod_revision = Revision::new(pb.min_mod_revision);
    request.max_mod_revision = Revision::new(pb.max_mod_revision);
    request.min_create_revision = Revision::new(pb.min_create_revision);
    request.max_create_revision = Revision::new(pb.max_create_revision);
    Ok(request)
}

fn sort(target: i32, order: i32, version: EtcdVersion) -> Option<(SortTarget, SortOrder)> {
    let target = match target {
        0 => SortTarget::Key,
        1 => SortTarget::Version,
        2 => SortTarget::CreateRevision,
        3 => SortTarget::ModRevision,
        4 => SortTarget::Value,
        _ => return None,
    };
    match order {
        0 => Some((target, SortOrder::None)),
        1 => Some((target, SortOrder::Ascend)),
        2 => Some((target, SortOrder::Descend)),
        _ if version.refuses_unknown_order() => None,
        // Everything is fetched as if it were to be sorted, and then is not: key order.
        _ => Some((SortTarget::Key, SortOrder::Ascend)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_order_is_key_order_until_3_6_refuses_it() {
        let by_value = |order, version| sort(4, order, version);
        let known = (SortTarget::Value, SortOrder::Descend);
        assert_eq!(by_value(2, EtcdVersion::V3_5), Some(known));
        let ignored = (SortTarget::Key, SortOrder::Ascend);
        assert_eq!(by_value(7, EtcdVersion::V3_5), Some(ignored));
        assert_eq!(by_value(7, EtcdVersion::V3_6), None);
    }

    // X-W
    #[test]
    fn unknown_target_is_refused_unless_the_key_is_missing_too() {
        let request = |key: &str| PbRangeRequest {
            key: key.into(),
            sort_target: 5,
            ..PbRangeRequest::default()
        };
        assert!(range(request("a"), EtcdVersion::V3_6).is_err());
        assert!(range(request(""), EtcdVersion::V3_6).is_ok());
    }
}
