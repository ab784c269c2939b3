//! Reading an index page by page.

use std::fmt::{self};
use std::str::FromStr;

use crate::{Error, IndexItem};

/// A place in an index, after which a page begins: the index key and the key of the last item of
/// the page before. It stays good while entries come and go, on other snapshots and in other
/// processes.
///
/// Prints and parses as hexadecimal digits, fit for a URL.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct IndexCursor {
    /// A row without the number of its index.
    row: Box<[u8]>,
}

impl IndexCursor {
    pub(super) fn new(row: &[u8]) -> Self {
        Self { row: row.into() }
    }

    pub(super) fn row(&self) -> &[u8] {
        &self.row
    }
}

impl fmt::Display for IndexCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.row.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for IndexCursor {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let syntax = || Error::CursorSyntax { text: text.chars().take(64).collect() };
        let digit = |byte: u8| char::from(byte).to_digit(16);
        let byte = |pair: &[u8]| match pair {
            [high, low] => u8::try_from(digit(*high)? << 4 | digit(*low)?).ok(),
            _ => None,
        };
        let row: Option<Box<[u8]>> = text.as_bytes().chunks(2).map(byte).collect();
        Ok(Self { row: row.ok_or_else(syntax)? })
    }
}

/// One page of an index.
#[derive(Debug)]
#[non_exhaustive]
pub struct IndexPage<'s, K, V> {
    /// The items, in order.
    pub items: Vec<IndexItem<'s, K, V>>,
    /// Where the next page begins; none if this is the last one.
    pub next: Option<IndexCursor>,
}

impl<'s, K, V> IndexPage<'s, K, V> {
    pub(super) fn new(items: Vec<IndexItem<'s, K, V>>, next: Option<IndexCursor>) -> Self {
        Self { items, next }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursor_survives_printing() {
        let cursor = IndexCursor::new(b"\x00a\xff");
        assert_eq!(cursor.to_string(), "0061ff");
        assert_eq!("0061ff".parse::<IndexCursor>().unwrap(), cursor);
    }

    #[test]
    fn text_that_is_no_cursor_is_refused() {
        for text in ["0", "0g", "+1", "00 1", "\u{fc}"] {
            assert!(text.parse::<IndexCursor>().is_err(), "{text}");
        }
    }
}
