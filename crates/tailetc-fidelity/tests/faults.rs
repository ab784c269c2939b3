//! The test of the tests: a memkv that makes one deliberate mistake does not get through.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use tailetc_fidelity::{Hunt, Kind};
use tailetc_memkv::Fault;

/// Within so many programs each mistake is seen.
const PROGRAMS: u64 = 2000;

async fn is_seen(fault: Fault) {
    let hunt = Hunt::new(Kind::Etcd, Kind::Memkv(Some(fault)))
        .with_programs(PROGRAMS)
        .with_enough(1)
        .with_pairs(4)
        .without_shrinking();
    let report = hunt.run().await.unwrap();
    let (programs, seconds) = (report.programs, report.time.as_secs_f32());
    println!("{fault:?}: seen after {programs} programs, {seconds:.1} s");
    let Some(finding) = report.findings.first() else {
        panic!("{fault:?} is not seen in {programs} programs");
    };
    let without = Hunt::new(Kind::Etcd, Kind::Memkv(None));
    // It is the mistake that was seen, and not something else.
    assert_eq!(without.replay(&finding.programs).await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn deletion_without_revision_is_seen() {
    is_seen(Fault::DeletionWithoutRevision).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn absent_value_not_equal_is_seen() {
    is_seen(Fault::AbsentValueNotEqual).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nested_compare_that_sees_writes_is_seen() {
    is_seen(Fault::NestedCompareSeesWrites).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn split_revision_is_seen() {
    is_seen(Fault::SplitRevision).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn shared_expiry_is_seen() {
    is_seen(Fault::SharedExpiry).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_compact_revision_is_seen() {
    is_seen(Fault::CompactRevisionRefused).await;
}
