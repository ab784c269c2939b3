//! Everything that happens in a run, line by line.

use std::fmt::{self, Write as _};
use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;

/// Lines with their virtual times. All are hashed; they are kept only if somebody wants to read
/// them.
#[derive(Debug)]
pub(crate) struct Trace(Mutex<Inner>);

#[derive(Debug)]
struct Inner {
    began: Instant,
    keep: bool,
    lines: Vec<String>,
    line: String,
    hash: u64,
    count: u64,
}

impl Trace {
    /// Begins at the present virtual time.
    pub(crate) fn new(keep: bool) -> Self {
        let (lines, line) = (Vec::new(), String::new());
        let began = Instant::now();
        Self(Mutex::new(Inner { began, keep, lines, line, hash: FNV_OFFSET, count: 0 }))
    }

    pub(crate) fn line(&self, text: fmt::Arguments<'_>) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let inner = &mut *inner;
        inner.line.clear();
        let at = inner.began.elapsed().as_micros();
        // Writing to a string does not fail.
        let _ = write!(inner.line, "{at:>10} {text}");
        inner.hash = inner.line.bytes().fold(inner.hash, fnv);
        inner.hash = fnv(inner.hash, b'\n');
        inner.count += 1;
        if inner.keep {
            inner.lines.push(inner.line.clone());
        }
    }

    /// The lines that were kept, how many there were, and the hash of all.
    pub(crate) fn finish(&self) -> (Vec<String>, u64, u64) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (std::mem::take(&mut inner.lines), inner.count, inner.hash)
    }
}

/// FNV-1a, 64 bits: <http://www.isthe.com/chongo/tech/comp/fnv/>.
const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;

fn fnv(hash: u64, byte: u8) -> u64 {
    (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
}
