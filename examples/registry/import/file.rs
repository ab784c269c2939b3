//! The file of an import: checked as a whole first, then cut into batches.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tailetc::BoxError;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::spawn_blocking;

use super::fingerprint::Fingerprint;
use crate::model::{Name, NamedService, Service};

/// What fits into one transaction.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    pub(super) records: usize,
    pub(super) bytes: usize,
    /// The length of what comes before the name in each key.
    pub(super) key: usize,
}

impl Budget {
    /// The bytes to set aside for the position of the import.
    pub(super) const POSITION: usize = 2048;

    /// More than the framing of a put and its guard takes.
    const RECORD: usize = 64;

    fn cost(&self, record: &Record) -> usize {
        // A put sends its key twice: to write it and to guard it.
        2 * (self.key + record.name.as_str().len()) + record.encoded_len + Self::RECORD
    }
}

/// A line of the file.
#[derive(Debug)]
pub(super) struct Record {
    /// Counted from 1.
    pub(super) line: u64,
    pub(super) name: Name,
    pub(super) service: Arc<Service>,
    encoded_len: usize,
}

/// Records that are imported in one transaction.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) records: Vec<Record>,
    /// The line of the last one.
    pub(super) end: u64,
}

/// A file of which every line was read, and can be imported.
#[derive(Debug)]
pub(super) struct Checked {
    path: PathBuf,
    budget: Budget,
    /// Without its directory.
    pub(super) name: String,
    /// Of the contents: a file that is moved is the same import, one that is edited is another.
    pub(super) fingerprint: String,
    pub(super) lines: u64,
}

impl Checked {
    /// Reads the whole file, so that one with a bad line is refused before anything is written.
    pub(super) async fn read(path: &Path, budget: Budget) -> Result<Self, BoxError> {
        let path = path.to_owned();
        spawn_blocking(move || check(path, budget)).await?
    }

    /// The batches after a line. Reads ahead by a batch or two, and ends when the receiver is
    /// dropped.
    pub(super) fn batches(&self, after: u64) -> Receiver<Result<Batch, BoxError>> {
        let (sender, receiver) = channel(2);
        let (path, budget) = (self.path.clone(), self.budget);
        spawn_blocking(move || {
            if let Err(error) = send_batches(&path, budget, after, &sender) {
                // Nobody to tell: the import has ended.
                let _ = sender.blocking_send(Err(error));
            }
        });
        receiver
    }
}

fn check(path: PathBuf, budget: Budget) -> Result<Checked, BoxError> {
    let mut fingerprint = Fingerprint::default();
    let mut lines = 0;
    for line in read(&path)? {
        let line = line.map_err(|error| unreadable(&path, &error))?;
        lines += 1;
        fingerprint.add(&line);
        let record = parse(&path, lines, &line)?;
        let (cost, most) = (budget.cost(&record), budget.bytes);
        if cost > most {
            return Err(format!(
                "{}, line {lines}: {cost} bytes are too many for one transaction of the store, \
                 which takes {most}",
                path.display()
            )
            .into());
        }
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(Checked { name, fingerprint: fingerprint.to_string(), lines, budget, path })
}

fn send_batches(
    path: &Path,
    budget: Budget,
    after: u64,
    sender: &Sender<Result<Batch, BoxError>>,
) -> Result<(), BoxError> {
    let mut batch = Batch { records: Vec::new(), end: after };
    let mut bytes = 0;
    for (line, number) in read(path)?.zip(1..).skip_while(|(_, number)| *number <= after) {
        let record = parse(path, number, &line.map_err(|error| unreadable(path, &error))?)?;
        let cost = budget.cost(&record);
        if batch.records.len() == budget.records || bytes + cost > budget.bytes {
            let full = std::mem::replace(&mut batch, Batch { records: Vec::new(), end: 0 });
            bytes = 0;
            if sender.blocking_send(Ok(full)).is_err() {
                return Ok(());
            }
        }
        bytes += cost;
        batch.end = number;
        batch.records.push(record);
    }
    if !batch.records.is_empty() {
        // The receiver may be gone: then nobody wants it.
        let _ = sender.blocking_send(Ok(batch));
    }
    Ok(())
}

fn read(path: &Path) -> Result<impl Iterator<Item = io::Result<Vec<u8>>>, BoxError> {
    let file = File::open(path).map_err(|error| unreadable(path, &error))?;
    Ok(BufReader::new(file).split(b'\n'))
}

fn unreadable(path: &Path, error: &io::Error) -> BoxError {
    format!("cannot read {}: {error}", path.display()).into()
}

fn parse(path: &Path, number: u64, line: &[u8]) -> Result<Record, BoxError> {
    let NamedService { name, service } = serde_json::from_slice(line).map_err(|error| {
        // The parser counts lines too, and knows of one only.
        let place = format!(" at line {} column {}", error.line(), error.column());
        let (column, error) = (error.column(), error.to_string());
        let reason = error.strip_suffix(&place).unwrap_or(&error);
        format!("{}, line {number}, column {column}: {reason}", path.display())
    })?;
    let mut encoded_len = Counter(0);
    serde_json::to_writer(&mut encoded_len, &service)?;
    Ok(Record { line: number, name, service, encoded_len: encoded_len.0 })
}

/// Counts what is written to it.
struct Counter(usize);

impl Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
