//! Showing how far an import has come: a bar on a terminal, lines elsewhere.

use std::io::{IsTerminal, stderr};

use indicatif::{ProgressBar, ProgressStyle};
use tokio::time::Instant;

use super::file::Checked;

pub(super) struct Progress {
    shown: Shown,
    name: String,
    began: Instant,
    before: u64,
    lines: u64,
}

enum Shown {
    Bar(ProgressBar),
    /// The number of lines at which to say something next.
    Lines {
        next: u64,
    },
}

/// How often plain lines are printed over the whole file.
const STEPS: u64 = 20;

impl Progress {
    pub(super) fn begin(file: &Checked, done: u64) -> Self {
        let shown = if stderr().is_terminal() {
            Shown::Bar(bar(file.lines, done))
        } else {
            Shown::Lines { next: done + file.lines / STEPS }
        };
        let (name, lines) = (file.name.clone(), file.lines);
        Self { shown, name, began: Instant::now(), before: done, lines }
    }

    pub(super) fn reached(&mut self, line: u64) {
        match &mut self.shown {
            Shown::Bar(bar) => bar.set_position(line),
            Shown::Lines { next } if line >= *next => {
                *next = line + self.lines / STEPS;
                eprintln!("import: {} at line {line} of {}", self.name, self.lines);
            }
            Shown::Lines { .. } => {}
        }
    }

    pub(super) fn say(&self, text: &str) {
        match &self.shown {
            Shown::Bar(bar) => bar.suspend(|| eprintln!("{text}")),
            Shown::Lines { .. } => eprintln!("{text}"),
        }
    }

    pub(super) fn complete(self) {
        if let Shown::Bar(bar) = &self.shown {
            bar.finish_and_clear();
        }
        let (lines, took) = (self.lines - self.before, self.began.elapsed());
        eprintln!("import: {} is complete: {lines} lines in {took:.1?}", self.name);
    }
}

fn bar(lines: u64, done: u64) -> ProgressBar {
    let bar = ProgressBar::new(lines).with_position(done);
    bar.reset_eta();
    let style = "import {wide_bar} {human_pos} of {human_len} lines, {eta} left";
    match ProgressStyle::with_template(style) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
