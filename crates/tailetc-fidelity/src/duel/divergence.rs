//! Where two servers differ.

use std::fmt;

/// The first difference of a run.
#[derive(Clone, Debug)]
pub(crate) struct Divergence {
    /// The step, and what was asked.
    pub(crate) at: String,
    pub(crate) a: String,
    pub(crate) b: String,
}

/// The bytes of each answer that are shown: values can be large.
const SHOWN: usize = 3000;

impl fmt::Display for Divergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "at {}", shown(&self.at))?;
        writeln!(f, "  A: {}", shown(&self.a))?;
        write!(f, "  B: {}", shown(&self.b))
    }
}

fn shown(text: &str) -> &str {
    let mut end = text.len().min(SHOWN);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
