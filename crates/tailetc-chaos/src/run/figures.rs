//! What is counted and measured, and how it is shown.

use std::collections::BTreeMap;
use std::time::Duration;

use tailetc_testkit::simulation::Verdict;

use super::schedule::Fault;

#[derive(Debug, Default)]
pub(crate) struct Figures {
    happened: BTreeMap<Fault, u64>,
    failed: BTreeMap<Fault, u64>,
    served: Vec<Duration>,
    converged: Vec<Duration>,
    since_healing: Vec<Duration>,
    stats: [u64; STATS.len()],
    violations: Vec<String>,
}

/// How many violations are printed: the first ones tell.
const SHOWN: usize = 30;

/// In the order in which a worker says them.
const STATS: [&str; 9] = [
    "commits counted by the Dbs",
    "unknown outcomes resolved",
    "reconnects",
    "resyncs",
    "silent watches",
    "self checks",
    "self check mismatches",
    "lagged watches",
    "observer panics",
];

impl Figures {
    pub(crate) fn happened(&mut self, fault: Fault) {
        *self.happened.entry(fault).or_default() += 1;
    }

    /// An operation that the cluster could not do is no violation.
    pub(crate) fn failed(&mut self, fault: Fault, error: &dyn std::fmt::Display) {
        println!("           {fault:?} failed: {error}");
        *self.failed.entry(fault).or_default() += 1;
    }

    /// How long after a healing the cluster took a write.
    pub(crate) fn served(&mut self, after: Duration) {
        self.served.push(after);
    }

    /// How long a `Db` took to be current since the cluster took writes, and since the healing.
    pub(crate) fn converged(&mut self, since_served: Duration, since_healing: Duration) {
        self.converged.push(since_served);
        self.since_healing.push(since_healing);
    }

    pub(crate) fn violation(&mut self, violation: String) {
        println!("           VIOLATION: {violation}");
        self.violations.push(violation);
    }

    pub(crate) fn add_stats(&mut self, line: &str) {
        for (sum, count) in self.stats.iter_mut().zip(line.split(' ')) {
            *sum += count.parse::<u64>().unwrap_or_default();
        }
    }

    /// Prints the table; returns how many violations there were.
    pub(crate) fn print(mut self, took: Duration, revisions: usize, verdict: &Verdict) -> usize {
        let count = |what: &str| verdict.counts.get(what).copied().unwrap_or_default();
        println!("\nwhat happened in {:.1} s", took.as_secs_f64());
        for (fault, times) in &self.happened {
            row(&format!("{fault:?}"), times);
        }
        for (fault, times) in &self.failed {
            row(&format!("{fault:?}, which failed"), times);
        }
        println!("\nwhat the programs met");
        let unknown = count("unknown") + count("given up");
        row("commits acknowledged", &(count("committed") + count("committed, not seen")));
        row("  of them not caught up with", &count("committed, not seen"));
        row("conflicts", &count("conflict"));
        row("unknown outcomes", &unknown);
        row("  of them given up by the program", &count("given up"));
        row("refused", &count("refused"));
        row("foreign writes", &count("foreign writes"));
        for (what, sum) in STATS.iter().zip(self.stats) {
            row(what, &sum);
        }
        println!("\nwhat was judged");
        row("revisions in the longest history", &revisions);
        row("snapshots", &verdict.snapshots);
        row("items of observers and watches", &verdict.stream_items);
        let astray = "histories with commits on lost ones";
        row(astray, &count(astray));
        println!("\nafter healing, in ms                              p50      p99      max");
        times("until the cluster takes a write", &mut self.served);
        times("from then on until a Db shows it", &mut self.converged);
        times("both together", &mut self.since_healing);
        let violations: Vec<_> = self.violations.iter().chain(&verdict.violations).collect();
        println!("\nviolations: {}", violations.len());
        for violation in violations.iter().take(SHOWN) {
            println!("- {violation}");
        }
        if violations.len() > SHOWN {
            println!("- and {} more", violations.len() - SHOWN);
        }
        violations.len()
    }
}

fn row(what: &str, count: &dyn std::fmt::Display) {
    println!("  {what:<40} {count:>10}");
}

fn times(what: &str, samples: &mut [Duration]) {
    samples.sort();
    let at = |percent: usize| {
        let index = (samples.len() * percent / 100).min(samples.len().saturating_sub(1));
        samples.get(index).map_or(0, Duration::as_millis)
    };
    println!("  {what:<40} {:>10} {:>8} {:>8}", at(50), at(99), at(100));
}
