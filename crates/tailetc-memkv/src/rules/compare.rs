//! Whether a condition holds (etcd: `server/etcdserver/txn/txn.go`, `applyCompare`).

use std::cmp::Ordering;

use tailetc_core::backend::{Compare, CompareResult, CompareTarget, KeyValue};

/// Whether every one of `keys`, the pairs in the condition's range, satisfies it. No pair counts as
/// one absent key, which has 0 everywhere and no value.
pub(crate) fn holds<'a>(compare: &Compare, keys: impl IntoIterator<Item = &'a KeyValue>) -> bool {
    let mut keys = keys.into_iter().peekable();
    if keys.peek().is_none() {
        return !is_of_value(compare) && holds_for(compare, &KeyValue::default());
    }
    keys.all(|kv| holds_for(compare, kv))
}

pub(crate) fn is_of_value(compare: &Compare) -> bool {
    matches!(compare.target, CompareTarget::Value(_))
}

fn holds_for(compare: &Compare, kv: &KeyValue) -> bool {
    let ordering = match &compare.target {
        CompareTarget::Version(version) => kv.version.cmp(version),
        CompareTarget::CreateRevision(revision) => kv.create_revision.cmp(revision),
        CompareTarget::ModRevision(revision) => kv.mod_revision.cmp(revision),
        CompareTarget::Value(value) => kv.value.cmp(value),
        CompareTarget::Lease(lease) => kv.lease.cmp(lease),
    };
    match compare.result {
        CompareResult::Equal => ordering == Ordering::Equal,
        CompareResult::Greater => ordering == Ordering::Greater,
        CompareResult::Less => ordering == Ordering::Less,
        CompareResult::NotEqual => ordering != Ordering::Equal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use tailetc_core::backend::KeyRange;
    use tailetc_core::{LeaseId, Revision};

    const RESULTS: [CompareResult; 4] = [
        CompareResult::Equal,
        CompareResult::Greater,
        CompareResult::Less,
        CompareResult::NotEqual,
    ];

    fn pair() -> KeyValue {
        KeyValue {
            key: Bytes::from_static(b"k"),
            value: Bytes::from_static(b"m"),
            create_revision: Revision::new(5),
            mod_revision: Revision::new(5),
            version: 5,
            lease: LeaseId::new(5),
        }
    }

    /// Targets whose operand is below, at and above what [`pair`] has.
    fn targets() -> Vec<[CompareTarget; 3]> {
        let numbers = [4, 5, 6];
        vec![
            numbers.map(CompareTarget::Version),
            numbers.map(|n| CompareTarget::CreateRevision(Revision::new(n))),
            numbers.map(|n| CompareTarget::ModRevision(Revision::new(n))),
            numbers.map(|n| CompareTarget::Lease(LeaseId::new(n))),
            ["l", "m", "ma"].map(|value| CompareTarget::Value(value.into())),
        ]
    }

    // T2
    #[test]
    fn every_target_is_compared_with_every_result() {
        for [below, same, above] in targets() {
            let mut table = Vec::new();
            for operand in [below, same, above] {
                for result in RESULTS {
                    let compare = Compare::new(KeyRange::key("k"), operand.clone(), result);
                    table.push(holds(&compare, [&pair()]));
                }
            }
            let (t, f) = (true, false);
            //                   =  >  <  !=
            let greater_than = [f, t, f, t];
            let equal = [t, f, f, f];
            let less_than = [f, f, t, t];
            assert_eq!(table, [greater_than, equal, less_than].concat());
        }
    }

    // T3
    #[test]
    fn absent_key_has_zero_everywhere_and_no_value() {
        let zeros = [
            CompareTarget::Version(0),
            CompareTarget::CreateRevision(Revision::ZERO),
            CompareTarget::ModRevision(Revision::ZERO),
            CompareTarget::Lease(LeaseId::NONE),
        ];
        for target in zeros {
            let compare = Compare::new(KeyRange::key("k"), target, CompareResult::Equal);
            assert!(holds(&compare, []), "{compare:?}");
        }
        for result in RESULTS {
            for value in ["", "x"] {
                let target = CompareTarget::Value(value.into());
                let compare = Compare::new(KeyRange::key("k"), target, result);
                assert!(!holds(&compare, []), "{compare:?}");
            }
        }
    }

    // T4
    #[test]
    fn range_needs_every_key() {
        let newer = KeyValue { mod_revision: Revision::new(6), ..pair() };
        let compare = Compare::unwritten_since(KeyRange::all(), Revision::new(5));
        assert!(holds(&compare, [&pair(), &pair()]));
        assert!(!holds(&compare, [&pair(), &newer]));
        assert!(!holds(&compare, [&newer, &pair()]));
    }
}
