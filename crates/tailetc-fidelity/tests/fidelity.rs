//! Programs on a real server and on another, which answer alike.
//!
//! The environment says what is run:
//!
//! - `TAILETC_ETCD` names the real server.
//! - `TAILETC_PROGRAMS` is the number of generated programs (600), `TAILETC_SEED` the sequence that
//!   they are from (0), `TAILETC_PAIRS` how many pairs of servers run side by side (16).
//! - `TAILETC_ENOUGH` is the number of divergences after which the run ends (3).
//! - `TAILETC_REPLAY` names a file of programs to run instead.
//! - `TAILETC_OTHER` names an etcd binary to compare with, instead of memkv.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};

use tailetc_fidelity::{Finding, Hunt, Kind, Report, load, store};

const REGRESSIONS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/regressions");
const FINDINGS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/fidelity");

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_equal() {
    let hunt = hunt();
    if let Some(file) = std::env::var_os("TAILETC_REPLAY") {
        if let Some(divergence) = replay(&hunt, Path::new(&file)).await {
            panic!("the programs diverge {divergence}");
        }
        return;
    }
    let mut failed = Vec::new();
    for file in regressions() {
        if let Some(divergence) = replay(&hunt, &file).await {
            println!("{} diverges {divergence}", file.display());
            failed.push(file);
        }
    }
    let (seed, pairs) = (hunt.seed, hunt.pairs);
    let report = hunt.with_tell(tell).run().await.unwrap();
    println!("{}", summary(&report, seed, pairs));
    assert!(failed.is_empty(), "regressions: {failed:?}");
    assert!(report.findings.is_empty(), "{} divergences, see above", report.findings.len());
}

fn hunt() -> Hunt {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse().unwrap());
    let other = match std::env::var_os("TAILETC_OTHER") {
        Some(path) => Kind::EtcdAt(PathBuf::from(path)),
        None => Kind::Memkv(None),
    };
    let hunt = Hunt::new(Kind::Etcd, other)
        .with_programs(number("TAILETC_PROGRAMS").unwrap_or(600))
        .with_seed(number("TAILETC_SEED").unwrap_or(0));
    let hunt = match number("TAILETC_ENOUGH") {
        Some(enough) => hunt.with_enough(usize::try_from(enough).unwrap()),
        None => hunt,
    };
    match number("TAILETC_PAIRS") {
        Some(pairs) => hunt.with_pairs(usize::try_from(pairs).unwrap()),
        None => hunt,
    }
}

fn regressions() -> Vec<PathBuf> {
    let mut files: Vec<_> =
        std::fs::read_dir(REGRESSIONS).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

async fn replay(hunt: &Hunt, file: &Path) -> Option<String> {
    let programs = load(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    hunt.replay(&programs).await.unwrap()
}

/// Prints a finding, and the command that runs it again.
fn tell(finding: &Finding) {
    let seed = std::env::var("TAILETC_SEED").unwrap_or_else(|_| "0".to_owned());
    let file = PathBuf::from(FINDINGS).join(format!("{seed}-{}.jsonl", finding.number));
    store(&file, &finding.programs).unwrap();
    let etcd = std::env::var("TAILETC_ETCD").unwrap_or_default();
    println!(
        "{finding}run it again: TAILETC_ETCD={etcd} TAILETC_REPLAY={} \
         cargo test -p tailetc-fidelity --test fidelity -- --nocapture\n",
        file.display()
    );
}

fn summary(report: &Report, seed: u64, pairs: usize) -> String {
    let Report { programs, requests, watch_responses, time, vanished, findings, .. } = report;
    let seconds = time.as_secs();
    for divergence in vanished {
        println!("did not come again: {divergence}");
    }
    format!(
        "{programs} programs (seed {seed}, {pairs} pairs), {requests} requests, \
         {watch_responses} watch responses compared in {seconds} s: \
         {} divergences, {} that did not come again",
        findings.len(),
        vanished.len()
    )
}
