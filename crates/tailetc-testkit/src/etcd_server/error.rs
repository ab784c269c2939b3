//! Why a test server does not run.

use std::fmt;
use std::io;
use std::path::Path;

/// The bytes of the log's end that an error quotes.
const LOG_TAIL: usize = 4096;

/// A failure to start or to handle a test server, for people to read.
#[derive(Debug)]
pub struct EtcdServerError {
    message: String,
    source: Option<io::Error>,
}

impl EtcdServerError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), source: None }
    }

    pub(crate) fn io(message: impl Into<String>, source: io::Error) -> Self {
        Self { message: message.into(), source: Some(source) }
    }

    pub(crate) fn with_log(message: &str, log: &Path) -> Self {
        let log = std::fs::read(log).unwrap_or_default();
        let tail = &log[log.len().saturating_sub(LOG_TAIL)..];
        Self::new(format!("{message}; the end of its log:\n{}", String::from_utf8_lossy(tail)))
    }

    pub(crate) fn is_port_taken(&self) -> bool {
        self.message.to_ascii_lowercase().contains("address already in use")
    }
}

impl fmt::Display for EtcdServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for EtcdServerError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|source| source as _)
    }
}
