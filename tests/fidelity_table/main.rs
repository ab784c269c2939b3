//! `docs/fidelity.md` and the tests that it names agree.
//!
//! A test says which rules it checks: a case of the conformance suite by the last line of its
//! documentation (`/// Rules: G5, G6.`), any other test by a comment above it (`// W10` or
//! `// W10, X-N`). The table's column of tests follows from these.
//! `TAILETC_WRITE_TABLE=1 cargo test --test fidelity_table` writes it; everything else in the table
//! is written by hand.

#![expect(clippy::expect_used, reason = "a file that cannot be read fails the test")]

mod rules;
mod sources;
mod table;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::{env, fs};

use tailetc_testkit::conformance::CASES;

use crate::sources::Test;
use crate::table::Table;

/// The versions of which every rule with a conformance case says that it was compared with them.
const SERVERS: &str = "3.4.23, 3.5.1, 3.5.30, 3.6.16, 3.7.3";

/// What the column of tests begins with when there is no test.
const OUT_OF_SCOPE: &str = "out of scope: ";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn page() -> PathBuf {
    root().join("docs/fidelity.md")
}

fn table() -> Table {
    Table::parse(&fs::read_to_string(page()).expect("docs/fidelity.md"))
}

fn fail_with(what: &str, problems: &[String]) {
    assert!(problems.is_empty(), "{what}:\n{}", problems.join("\n"));
}

#[test]
fn every_rule_has_exactly_one_row() {
    let listed: Vec<String> = table().rows.into_iter().map(|row| row.id).collect();
    assert_eq!(listed, rules::all(), "in this order");
}

#[test]
fn every_conformance_case_and_every_behaviour_test_names_its_rules() {
    let tests = sources::all(root());
    let cases: BTreeSet<&str> =
        tests.iter().filter(|test| test.is_case).map(|test| test.path.as_str()).collect();
    let listed: BTreeSet<&str> = CASES.iter().map(|case| case.name).collect();
    assert_eq!(cases, listed, "the cases that the sources hold and those of the list");
    let silent = |test: &&Test| {
        test.rules.is_empty() && (test.is_case || test.path.starts_with("behaviour::"))
    };
    let silent: Vec<String> = tests.iter().filter(silent).map(|test| test.path.clone()).collect();
    fail_with("these tests name no rule", &silent);
}

#[test]
fn every_rule_that_a_test_names_exists() {
    let known: BTreeSet<String> = rules::all().into_iter().collect();
    let mut unknown = Vec::new();
    for test in sources::all(root()) {
        for rule in test.rules.iter().filter(|rule| !known.contains(*rule)) {
            unknown.push(format!("{} names {rule}", test.path));
        }
    }
    fail_with("these rules do not exist", &unknown);
}

#[test]
fn names_of_tests_are_unambiguous() {
    let mut seen = BTreeSet::new();
    let tests = sources::all(root()).into_iter().filter(|test| !test.rules.is_empty());
    let twice: Vec<String> =
        tests.map(|test| test.path).filter(|path| !seen.insert(path.clone())).collect();
    fail_with("these names stand for two tests", &twice);
}

#[test]
fn rows_name_the_tests_that_name_their_rule() {
    let tests = sources::all(root());
    let mut table = table();
    let mut drifted = Vec::new();
    for row in &mut table.rows {
        let cell = sources::cell(&tests, &row.id);
        let untested = cell.is_empty();
        if untested && !row.tests.starts_with(OUT_OF_SCOPE) {
            drifted.push(format!("{}: no test names it: say `{OUT_OF_SCOPE}why`", row.id));
        } else if !untested && row.tests != cell {
            drifted.push(format!("{}: {cell}", row.id));
            row.tests = cell;
        }
    }
    if env::var_os("TAILETC_WRITE_TABLE").is_some() {
        fs::write(page(), table.to_string()).expect("docs/fidelity.md");
    }
    fail_with("the table must say (TAILETC_WRITE_TABLE=1 writes it)", &drifted);
}

#[test]
fn rows_say_what_was_compared_with_what() {
    let mut wrong = Vec::new();
    for row in table().rows {
        if row.rule.is_empty() || row.compared.is_empty() {
            wrong.push(format!("{}: a cell is empty", row.id));
        }
        let has_case = CASES.iter().any(|case| row.tests.contains(&format!("`{}`", case.name)));
        // What the trait promises beyond etcd's rules is compared in the same way.
        if has_case && !row.compared.starts_with(SERVERS) {
            wrong.push(format!("{}: a conformance case runs on {SERVERS}", row.id));
        }
    }
    fail_with("these rows are not complete", &wrong);
}
