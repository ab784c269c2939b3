//! Index keys as bytes that sort as the keys do.

/// What the entries of an index are sorted by: integers, `bool`, `char`, `String`, `Vec<u8>`,
/// [`Key`](crate::Key), `[u8; N]`, `Option` of such (`None` first), and tuples of up to four.
///
/// # Contract
///
/// For a type of your own, compose the encodings of these:
///
/// - Encodings sort, byte by byte, as the index is meant to.
/// - No encoding is the beginning of another one (those of these types are not, nor are sequences
///   of them).
/// - `decode` gives back what was encoded.
///
/// ```
/// use tailetc_core::{IndexKey, IndexReader, IndexWriter};
///
/// #[derive(Clone, Copy, Debug, PartialEq)]
/// enum Status {
///     Pending,
///     Running,
/// }
///
/// impl IndexKey for Status {
///     fn encode(&self, to: &mut IndexWriter) {
///         (*self as u8).encode(to);
///     }
///
///     fn decode(from: &mut IndexReader<'_>) -> Option<Self> {
///         match u8::decode(from)? {
///             0 => Some(Self::Pending),
///             1 => Some(Self::Running),
///             _ => None,
///         }
///     }
/// }
/// ```
pub trait IndexKey: Sized + 'static {
    /// Appends the encoding.
    fn encode(&self, to: &mut IndexWriter);

    /// Takes an encoding off; `None` if what is there is none.
    fn decode(from: &mut IndexReader<'_>) -> Option<Self>;

    /// The same without the value: cheaper where that would be allocated.
    fn skip(from: &mut IndexReader<'_>) -> Option<()> {
        Self::decode(from).map(drop)
    }
}

/// What names an index key of type `K`: the key itself, or what it would be borrowed as, such as a
/// `&str` for a `String`; for a tuple, a tuple of such.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not name an index key of type `{K}`",
    note = "give a `&{K}`, or what it borrows as"
)]
pub trait AsIndexKey<K> {
    /// Appends the encoding of the key that this names.
    fn encode_as(&self, to: &mut IndexWriter);
}

/// What index keys of type `K` can begin with: a `&str` for strings, bytes for bytes, the first
/// components of a tuple (as a tuple, also of one).
#[diagnostic::on_unimplemented(
    message = "index keys of type `{K}` do not begin with a `{Self}`",
    note = "strings begin with a `&str`, tuples with a tuple: `Prefix((first,))`"
)]
pub trait IndexPrefix<K> {
    /// Appends what the encodings of all keys with this beginning start with.
    fn encode_prefix(&self, to: &mut IndexWriter);
}

impl<K: IndexKey> AsIndexKey<K> for &K {
    fn encode_as(&self, to: &mut IndexWriter) {
        K::encode(self, to);
    }
}

/// Takes the encoding of an index key.
#[derive(Debug, Default)]
pub struct IndexWriter {
    bytes: Vec<u8>,
}

impl IndexWriter {
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn truncate(&mut self, len: usize) {
        self.bytes.truncate(len);
    }

    /// Bytes whose number the type fixes.
    pub(super) fn fixed(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Bytes of any number, escaped so that they can be ended: a zero becomes `00 ff`.
    pub(super) fn open(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.bytes.push(*byte);
            if *byte == 0 {
                self.bytes.push(0xff);
            }
        }
    }

    /// The end of such bytes, which sorts before whatever they might have gone on with.
    pub(super) fn end(&mut self) {
        self.bytes.extend_from_slice(&[0, 1]);
    }
}

/// Gives the encoding of an index key.
#[derive(Debug)]
pub struct IndexReader<'b> {
    bytes: &'b [u8],
}

impl<'b> IndexReader<'b> {
    pub(crate) fn new(bytes: &'b [u8]) -> Self {
        Self { bytes }
    }

    /// What has not been taken yet.
    pub(crate) fn rest(&self) -> &'b [u8] {
        self.bytes
    }

    pub(super) fn fixed<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (bytes, rest) = self.bytes.split_first_chunk()?;
        self.bytes = rest;
        Some(*bytes)
    }

    /// Escaped bytes, up to their end and without it.
    pub(super) fn open(&mut self) -> Option<Vec<u8>> {
        let escaped = self.until_end()?;
        let mut bytes = Vec::with_capacity(escaped.len());
        let mut rest = escaped.iter();
        while let Some(byte) = rest.next() {
            bytes.push(*byte);
            if *byte == 0 {
                rest.next();
            }
        }
        Some(bytes)
    }

    /// Passes escaped bytes and their end.
    pub(super) fn until_end(&mut self) -> Option<&'b [u8]> {
        let mut from = 0;
        loop {
            let zero = from + self.bytes[from..].iter().position(|byte| *byte == 0)?;
            match self.bytes.get(zero + 1)? {
                0xff => from = zero + 2,
                _ => {
                    let escaped = &self.bytes[..zero];
                    self.bytes = &self.bytes[zero + 2..];
                    return Some(escaped);
                }
            }
        }
    }
}
