//! Bounded runs of the program, with a real etcd.

#![expect(clippy::expect_used, reason = "the helpers of a test may fail it")]

use std::collections::BTreeSet;
use std::process::Command;

/// Each as often as the table says: once.
const FAULTS: [&str; 24] = [
    "KillMember",
    "KillLeader",
    "KillMajority",
    "KillAll",
    "PauseMember",
    "PauseLeader",
    "IsolateMember",
    "IsolateLeader",
    "SwallowMember",
    "CutOneWay",
    "DelayPeers",
    "HoldPeers",
    "DelayClients",
    "HoldClients",
    "SwallowClients",
    "SwallowAnswers",
    "RefuseClients",
    "RefuseAllClients",
    "Compact",
    "Defragment",
    "MoveLeader",
    "Backup",
    "RestoreSame",
    "RestoreOther",
];

/// Runs the program to its end, and returns what it printed. It fails without an etcd, and when
/// anything was violated.
fn chaos(args: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_chaos")).args(args).output();
    let output = output.expect("the program runs");
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "chaos {args:?} failed: {said}\n{printed}");
    println!("{printed}");
    printed
}

/// The number in the table's row with this name.
fn row(printed: &str, name: &str) -> u64 {
    let rest = printed.lines().find_map(|line| line.trim_start().strip_prefix(name));
    rest.and_then(|rest| rest.trim().parse().ok()).unwrap_or_default()
}

#[test]
fn everything_happens_once_and_no_promise_is_broken() {
    let printed = chaos(&["run"]);
    let happened = printed.lines().filter_map(|line| line.trim().strip_suffix(" 1"));
    let happened: BTreeSet<_> = happened.map(str::trim).collect();
    for fault in FAULTS {
        assert!(happened.contains(fault), "{fault}: {printed}");
    }
    for what in ["commits acknowledged", "conflicts", "unknown outcomes", "resyncs", "snapshots"] {
        assert_ne!(row(&printed, what), 0, "{what}: {printed}");
    }
    assert!(printed.contains("violations: 0"), "{printed}");
}

#[test]
fn outage_stops_no_read_and_all_resumes_by_itself() {
    let printed = chaos(&["outage", "--seconds", "4"]);
    assert_eq!(printed.matches("a commit succeeded again").count(), 2, "{printed}");
}

#[test]
fn of_two_processes_that_claim_a_unique_value_exactly_one_wins() {
    let printed = chaos(&["race", "--rounds", "1000"]);
    assert!(printed.contains("rounds: 1000"), "{printed}");
}
