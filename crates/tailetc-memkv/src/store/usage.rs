//! How large the database file of a server would be, about.

/// The file of an empty server, and what of it holds something.
const EMPTY_SIZE: i64 = 5 * PAGE;
const EMPTY_IN_USE: i64 = 4 * PAGE;

const PAGE: i64 = 4096;

/// What bbolt keeps of a record beside its key and value.
const RECORD_OVERHEAD: i64 = 16;

/// An estimate, as if every record lay in full pages: a real file is up to twice as large. It grows
/// with what is written, and shrinks only when it is defragmented.
#[derive(Debug)]
pub(super) struct Usage {
    records: i64,
    /// The most that `in_use` has been since the last defragmentation.
    size: i64,
}

impl Usage {
    pub(super) fn new() -> Self {
        Self { records: 0, size: EMPTY_SIZE }
    }

    /// A record of `len` bytes was added.
    pub(super) fn add(&mut self, len: usize) {
        self.records += RECORD_OVERHEAD + len as i64;
        self.size = self.size.max(self.in_use());
    }

    /// A record of `len` bytes is gone.
    pub(super) fn remove(&mut self, len: usize) {
        self.records -= RECORD_OVERHEAD + len as i64;
    }

    /// Bytes of the file.
    pub(super) fn size(&self) -> i64 {
        self.size
    }

    /// Bytes of the file that hold something.
    pub(super) fn in_use(&self) -> i64 {
        EMPTY_IN_USE + (self.records + PAGE - 1) / PAGE * PAGE
    }

    /// Gives back what is not in use.
    pub(super) fn defragment(&mut self) {
        self.size = self.in_use();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn size_follows_use_up_and_only_defragmentation_follows_it_down() {
        let mut usage = Usage::new();
        assert_eq!((usage.size(), usage.in_use()), (20_480, 16_384));
        usage.add(10_000);
        assert_eq!((usage.size(), usage.in_use()), (28_672, 28_672));
        usage.remove(10_000);
        assert_eq!((usage.size(), usage.in_use()), (28_672, 16_384));
        usage.defragment();
        assert_eq!(usage.size(), 16_384);
    }
}
