//! Programs in files: one step per line, programs apart by an empty line.

use std::fmt::Write as _;
use std::io;
use std::path::Path;

use crate::program::{Program, Step};

/// Reads the programs of a file; lines that begin with `#` say what they are about.
///
/// # Errors
///
/// When the file cannot be read, or a line is not a step.
pub fn load(path: &Path) -> io::Result<Vec<Program>> {
    let mut programs = vec![Program::default()];
    for line in std::fs::read_to_string(path)?.lines().filter(|line| !line.starts_with('#')) {
        if line.trim().is_empty() {
            programs.push(Program::default());
        } else if let Some(program) = programs.last_mut() {
            let step: Step = serde_json::from_str(line)?;
            program.0.push(step);
        }
    }
    programs.retain(|program| !program.0.is_empty());
    Ok(programs)
}

/// Writes programs so that [`load`] reads them.
///
/// # Errors
///
/// When the file cannot be written.
pub fn store(path: &Path, programs: &[Program]) -> io::Result<()> {
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory)?;
    }
    let texts: Vec<_> = programs.iter().map(text).collect();
    std::fs::write(path, texts.join("\n"))
}

/// One step per line.
pub(super) fn text(program: &Program) -> String {
    program.0.iter().fold(String::new(), |mut text, step| {
        let line = serde_json::to_string(step).unwrap_or_else(|e| format!("# {e}"));
        let _ = writeln!(text, "{line}");
        text
    })
}
