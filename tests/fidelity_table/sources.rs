//! The tests of the workspace, read from its sources, with the rules that they name.

use std::fs;
use std::path::{Path, PathBuf};

use crate::rules;

/// Where conformance cases are.
const CASES: &str = "crates/tailetc-testkit/src/conformance";

/// One test, or one case of the conformance suite.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Test {
    /// Of a case its name; else as `cargo test` names it, after the name of the test target unless
    /// it is a unit test: `behaviour::range::limit_is_a_limit`.
    pub(crate) path: String,
    pub(crate) is_case: bool,
    pub(crate) rules: Vec<String>,
}

/// Every test in the sources of the workspace.
pub(crate) fn all(root: &Path) -> Vec<Test> {
    let mut tests = cases(&root.join(CASES));
    let mut sources = vec![root.join("tests")];
    for package in children(&root.join("crates")) {
        sources.extend([package.join("src"), package.join("tests")]);
    }
    for directory in sources {
        let unit = directory.ends_with("src");
        for file in rust_files(&directory) {
            let relative = file.strip_prefix(&directory).expect("below its directory");
            tests.extend(tests_of(&read(&file), &module(relative, unit)));
        }
    }
    tests.sort();
    tests
}

/// The column of tests for `rule`: cases first.
pub(crate) fn cell(tests: &[Test], rule: &str) -> String {
    let mut naming: Vec<&Test> =
        tests.iter().filter(|test| test.rules.iter().any(|named| named == rule)).collect();
    naming.sort_by_key(|test| (!test.is_case, &test.path));
    let names: Vec<String> = naming.iter().map(|test| format!("`{}`", test.path)).collect();
    names.join(", ")
}

fn cases(directory: &Path) -> Vec<Test> {
    let mut cases = Vec::new();
    for file in rust_files(directory) {
        if file.ends_with("mod.rs") {
            continue;
        }
        let mut previous = "";
        for line in read(&file).lines() {
            if let Some(signature) = line.strip_prefix("pub async fn ") {
                let rules = previous.strip_prefix("/// Rules: ").and_then(rules::list);
                let path = name_of(signature);
                cases.push(Test { path, is_case: true, rules: rules.unwrap_or_default() });
            }
            previous = line;
        }
    }
    cases
}

/// The tests of one source: functions with an attribute `#[test]` or `#[tokio::test]`.
fn tests_of(source: &str, module: &str) -> Vec<Test> {
    let mut tests = Vec::new();
    // Of the lines since the last that is neither comment nor attribute.
    let (mut named, mut is_test) = (Vec::new(), false);
    for line in source.lines().map(str::trim) {
        if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
            is_test = true;
        } else if let Some(comment) = line.strip_prefix("// ") {
            named.extend(rules::list(comment).unwrap_or_default());
        } else if !line.starts_with("//") && !line.starts_with("#[") {
            let signature = line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn ");
            if let (Some(signature), true) = (signature, is_test) {
                let path = format!("{module}{}", name_of(signature));
                tests.push(Test { path, is_case: false, rules: named });
            }
            (named, is_test) = (Vec::new(), false);
        }
    }
    tests
}

fn name_of(signature: &str) -> String {
    signature.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

/// The path of modules that a file is, with a trailing `::`.
fn module(relative: &Path, unit: bool) -> String {
    let stem = relative.with_extension("");
    let mut parts: Vec<String> =
        stem.iter().map(|part| part.to_string_lossy().into_owned()).collect();
    if parts.last().is_some_and(|last| ["mod", "main", "lib"].contains(&last.as_str())) {
        parts.pop();
    }
    // Unit tests within the file that they test are in its module `tests`.
    if unit && !parts.iter().any(|part| part == "tests") {
        parts.push("tests".to_owned());
    }
    parts.into_iter().map(|part| part + "::").collect()
}

fn read(file: &Path) -> String {
    fs::read_to_string(file).expect("a source")
}

fn children(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else {
        return Vec::new();
    };
    entries.map(|entry| entry.expect("an entry").path()).collect()
}

fn rust_files(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for path in children(directory) {
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}
