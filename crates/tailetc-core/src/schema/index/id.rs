//! Indexes within a schema.

/// Numbers an index within its schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct IndexId(u16);

impl IndexId {
    /// How many there can be.
    pub(crate) const MOST: usize = 1 << 15;

    /// `at` is below [`MOST`](Self::MOST): the schema has been checked.
    pub(in crate::schema) fn new(at: usize) -> Self {
        Self(at as u16)
    }

    pub(in crate::schema) fn at(self) -> usize {
        usize::from(self.0)
    }

    /// What the rows of this index begin with. Neither a zero byte nor the last byte is first, so
    /// that every range of rows has an end that is a key.
    pub(crate) fn row_prefix(self) -> [u8; 2] {
        (self.0 + 0x0100).to_be_bytes()
    }
}
