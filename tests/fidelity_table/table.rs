//! The tables of the page, and the text around them.

use std::fmt;

use crate::rules;

/// One rule.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) id: String,
    pub(crate) rule: String,
    pub(crate) tests: String,
    pub(crate) compared: String,
}

/// The page: its rows, and every line as it is.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) rows: Vec<Row>,
    lines: Vec<Line>,
}

#[derive(Debug)]
enum Line {
    Text(String),
    /// The place of the next row.
    Row,
}

impl Table {
    /// Lines that are rows of four cells and begin with a rule's identifier are rules; there may be
    /// other tables.
    pub(crate) fn parse(page: &str) -> Self {
        let (mut rows, mut lines) = (Vec::new(), Vec::new());
        for line in page.lines() {
            match row(line) {
                Some(row) => {
                    rows.push(row);
                    lines.push(Line::Row);
                }
                None => lines.push(Line::Text(line.to_owned())),
            }
        }
        Self { rows, lines }
    }
}

fn row(line: &str) -> Option<Row> {
    let cells = line.strip_prefix("| ")?.strip_suffix(" |")?;
    let cells: Vec<&str> = cells.split(" | ").map(str::trim).collect();
    let [id, rule, tests, compared] = cells[..] else {
        return None;
    };
    let [id, rule, tests, compared] = [id, rule, tests, compared].map(str::to_owned);
    rules::is_id(&id).then_some(Row { id, rule, tests, compared })
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rows = self.rows.iter();
        for line in &self.lines {
            match line {
                Line::Text(text) => writeln!(f, "{text}")?,
                Line::Row => {
                    if let Some(Row { id, rule, tests, compared }) = rows.next() {
                        writeln!(f, "| {id} | {rule} | {tests} | {compared} |")?;
                    }
                }
            }
        }
        Ok(())
    }
}
