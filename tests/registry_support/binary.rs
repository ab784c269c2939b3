//! The executable of the example.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::Value;

/// The path of the example's executable, built as the tests were.
///
/// `cargo test` builds examples only when no target is named, and without saying where to; so it is
/// asked for here. When it is there already, that takes no time.
pub(crate) fn path() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(build)
}

fn build() -> PathBuf {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["build", "--example", "registry", "--message-format", "json"])
        .args(["--profile", &profile()]);
    if cfg!(feature = "etcd") {
        cargo.args(["--features", "etcd"]);
    }
    let output = cargo.output().expect("running cargo");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let messages = output.stdout.split(|byte| *byte == b'\n');
    let executable = messages
        .filter_map(|message| serde_json::from_slice::<Value>(message).ok())
        .filter(|message| message["target"]["name"] == "registry")
        .find_map(|message| Some(PathBuf::from(message["executable"].as_str()?)));
    executable.expect("cargo names the executable")
}

/// The profile of this test: executables of tests are in `<target>/<profile>/deps`.
fn profile() -> String {
    let test = std::env::current_exe().expect("a test has a path");
    let directory = test.ancestors().nth(2).and_then(Path::file_name).expect("a target directory");
    match directory.to_str().expect("profiles have plain names") {
        "debug" => "dev".to_owned(),
        profile => profile.to_owned(),
    }
}
