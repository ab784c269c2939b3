//! Deterministic simulation: every seed must keep every promise. See `docs/testing.md`.
//!
//! `TAILETC_SEEDS=1000` runs so many seeds, from `TAILETC_FIRST_SEED` on (default 0);
//! `TAILETC_SEED=7` runs that one and prints its trace. `TAILETC_OPERATIONS` is how long each is.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test ends at the first thing that is not as expected"
)]

use std::collections::BTreeMap;
use std::env;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use tailetc_testkit::simulation::{Report, run};

/// As many as an ordinary test run can afford, in a debug build too.
const SEEDS: u64 = 24;
const OPERATIONS: u64 = 300;

fn number(variable: &str) -> Option<u64> {
    let text = env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} must be a number, not {text:?}")))
}

fn operations() -> usize {
    usize::try_from(number("TAILETC_OPERATIONS").unwrap_or(OPERATIONS)).expect("a sane number")
}

fn describe(seed: u64, operations: usize, report: &Report) -> String {
    let violations = report.violations.join("\n  ");
    format!(
        "seed {seed} breaks a promise:\n  {violations}\n{}\nrepeat it, with its trace: \
         TAILETC_SEED={seed} TAILETC_OPERATIONS={operations} ./test.sh simulate",
        report.setup
    )
}

#[test]
fn every_seed_keeps_every_promise() {
    let operations = operations();
    if let Some(seed) = number("TAILETC_SEED") {
        let report = run(seed, operations, true);
        for line in &report.trace {
            println!("{line}");
        }
        println!("{:?}\n{:?}", report.setup, report.counts);
        assert!(report.violations.is_empty(), "{}", describe(seed, operations, &report));
        return;
    }
    let first = number("TAILETC_FIRST_SEED").unwrap_or(0);
    let end = first + number("TAILETC_SEEDS").unwrap_or(SEEDS);
    let keep_going = env::var("TAILETC_KEEP_GOING").is_ok();
    let (next, stop) = (AtomicU64::new(first), AtomicBool::new(false));
    let failures = Mutex::new(BTreeMap::new());
    let totals = Mutex::new(BTreeMap::<&str, u64>::new());
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end {
                        return;
                    }
                    let report = run(seed, operations, false);
                    if !report.violations.is_empty() {
                        let failure = describe(seed, operations, &report);
                        println!("{failure}");
                        failures.lock().unwrap().insert(seed, failure);
                        stop.fetch_or(!keep_going, Ordering::Relaxed);
                    }
                    let mut totals = totals.lock().unwrap();
                    for (what, count) in report.counts {
                        *totals.entry(what).or_default() += count;
                    }
                }
            });
        }
    });
    println!("seeds {first}..{end}: {:?}", totals.into_inner().unwrap());
    let failures = failures.into_inner().unwrap();
    let seeds: Vec<_> = failures.keys().collect();
    let first = failures.values().next();
    assert!(failures.is_empty(), "failed seeds: {seeds:?}\n{}", first.expect("one"));
}

#[test]
fn run_repeats_line_by_line() {
    for seed in 0..6 {
        let (once, again) = (run(seed, 200, true), run(seed, 200, true));
        let pairs = once.trace.iter().zip(&again.trace);
        for (number, (a, b)) in pairs.enumerate() {
            assert_eq!(a, b, "seed {seed}, line {number}");
        }
        assert_eq!(once.trace_lines, again.trace_lines, "seed {seed}");
        assert_eq!(once.trace_hash, again.trace_hash, "seed {seed}");
        assert!(once.trace_lines > 200, "a trace that shows nothing repeats easily");
        assert_eq!(once.trace_hash, run(seed, 200, false).trace_hash, "seed {seed}, untraced");
    }
}
