//! Conditions, of which the wire can say more than [`Compare`].

use etcd_client::proto::{PbCompare, PbTargetUnion};
use tailetc_core::backend::{Compare, CompareResult, CompareTarget, KeyRange};
use tailetc_core::{LeaseId, Revision};

/// Servers do not refuse what they do not know (etcd: `applyCompare` and `compareKV`): such a
/// condition is replaced by one that they know and that decides in the same way.
pub(super) fn compare(pb: PbCompare) -> Compare {
    let range = KeyRange::from_wire(pb.key, pb.range_end);
    let decided = |holds| {
        let result = if holds { CompareResult::Greater } else { CompareResult::Less };
        // No version is negative, nor is that of an absent key.
        let bound = if holds { -1 } else { 0 };
        (CompareTarget::Version(bound), result)
    };
    let result = match pb.result {
        0 => Some(CompareResult::Equal),
        1 => Some(CompareResult::Greater),
        2 => Some(CompareResult::Less),
        3 => Some(CompareResult::NotEqual),
        _ => None,
    };
    let (target, result) = match (target(pb.target, pb.target_union), result) {
        (Some(target), Some(result)) => (target, result),
        // True of every value, but an absent key has none.
        (Some(CompareTarget::Value(_)), None) => {
            (CompareTarget::Version(0), CompareResult::Greater)
        }
        (Some(_), None) => decided(true),
        // What is compared is equal.
        (None, result) => decided(matches!(result, None | Some(CompareResult::Equal))),
    };
    Compare::new(range, target, result)
}

/// A union of another type than the target counts as zero, or as empty.
fn target(target: i32, union: Option<PbTargetUnion>) -> Option<CompareTarget> {
    use PbTargetUnion as Union;

    Some(match (target, union) {
        (0, Some(Union::Version(version))) => CompareTarget::Version(version),
        (0, _) => CompareTarget::Version(0),
        (1, Some(Union::CreateRevision(revision))) => {
            CompareTarget::CreateRevision(Revision::new(revision))
        }
        (1, _) => CompareTarget::CreateRevision(Revision::ZERO),
        (2, Some(Union::ModRevision(revision))) => {
            CompareTarget::ModRevision(Revision::new(revision))
        }
        (2, _) => CompareTarget::ModRevision(Revision::ZERO),
        (3, Some(Union::Value(value))) => CompareTarget::Value(value.into()),
        (3, _) => CompareTarget::Value(Vec::new().into()),
        (4, Some(Union::Lease(lease))) => CompareTarget::Lease(LeaseId::new(lease)),
        (4, _) => CompareTarget::Lease(LeaseId::NONE),
        _ => return None,
    })
}
