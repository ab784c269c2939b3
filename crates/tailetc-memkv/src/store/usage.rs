//! How large the database file of a server would be, about.

/// The file of an empty server, and what of it holds something.
const EMPTY_SIZE: i64 = 5 * PAGE;
const EMPTY_IN_USE: i64 = 4 * PAGE;

const PAGE: i64 = 4096;

/// What bbolt keeps of a record beside its key and value.
const RECORD_OVERHEAD: i64 = 16;

/// The most that the record of a deletion has beside its key.
const DELETION: i64 = 32;

/// An estimate, as if every record lay in full pages: a real file is up to twice as large. It grows
/// with what is written, and shrinks only when it is defragmented.
#[derive(Debug)]
pub(super) struct Usage {
    /// The bytes of all records that there ever were.
    added: i64,
    removed: i64,
    /// The most that `in_use` has been since the last defragmentation. While records are being
    /// removed: until that began.
    size: i64,
    /// How many removals there are that have begun or wait.
    removals: usize,
    /// How many deletions count as added and are still to be.
    unwritten: usize,
    longest_key: usize,
}

/// Records that count as removed and are still to be.
#[derive(Debug)]
pub(super) struct Removal {
    /// What had been added before.
    added: i64,
}

impl Removal {
    /// Records of so many bytes had been added before, too.
    pub(super) fn added_before(&mut self, count: usize, bytes: usize) {
        self.added += RECORD_OVERHEAD * count as i64 + bytes as i64;
    }
}

impl Usage {
    pub(super) fn new() -> Self {
        Self { added: 0, removed: 0, size: EMPTY_SIZE, removals: 0, unwritten: 0, longest_key: 0 }
    }

    /// A record of `len` bytes was added.
    pub(super) fn add(&mut self, len: usize) {
        self.added += RECORD_OVERHEAD + len as i64;
        if self.removals == 0 {
            self.size = self.size.max(self.in_use());
        }
    }

    /// There is a key of `len` bytes.
    pub(super) fn saw_key(&mut self, len: usize) {
        self.longest_key = self.longest_key.max(len);
    }

    /// So many deletions count as added.
    pub(super) fn unwritten(&mut self, count: usize) {
        self.unwritten += count;
    }

    /// Some of those are now, which have so many bytes.
    pub(super) fn add_late(&mut self, count: usize, bytes: usize) {
        self.unwritten -= count.min(self.unwritten);
        self.added += RECORD_OVERHEAD * count as i64 + bytes as i64;
        if self.removals == 0 {
            self.size = self.size.max(self.in_use());
        }
    }

    /// A record of `len` bytes is gone.
    pub(super) fn remove(&mut self, len: usize) {
        self.removed += RECORD_OVERHEAD + len as i64;
    }

    /// From now on some records count as removed.
    pub(super) fn removal(&mut self) -> Removal {
        self.removals += 1;
        Removal { added: self.added }
    }

    /// The first of the removals begins.
    pub(super) fn begin(&mut self, removal: &Removal) {
        self.size = self.size.max(in_use(removal.added - self.removed));
    }

    /// The first of the removals is done.
    pub(super) fn end(&mut self) {
        self.removals -= 1;
        if self.removals == 0 {
            self.size = self.size.max(self.in_use());
        }
    }

    /// Bytes of the file, at least and at most: it is not known while records are being added or
    /// removed that count already.
    pub(super) fn size(&self) -> (i64, i64) {
        if self.removals == 0 && self.unwritten == 0 {
            return (self.size, self.size);
        }
        let deletion = RECORD_OVERHEAD + DELETION + self.longest_key as i64;
        let unwritten = deletion.saturating_mul(self.unwritten as i64);
        let most = in_use((self.added - self.removed).saturating_add(unwritten));
        (self.size, self.size.max(most))
    }

    /// Bytes of the file that hold something, if nothing is being added or removed.
    pub(super) fn in_use(&self) -> i64 {
        in_use(self.added - self.removed)
    }

    /// Gives back what is not in use.
    pub(super) fn defragment(&mut self) {
        self.size = self.in_use();
    }
}

fn in_use(records: i64) -> i64 {
    EMPTY_IN_USE + (records + PAGE - 1) / PAGE * PAGE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn size_follows_use_up_and_only_defragmentation_follows_it_down() {
        let mut usage = Usage::new();
        assert_eq!((usage.size(), usage.in_use()), ((20_480, 20_480), 16_384));
        usage.add(10_000);
        assert_eq!((usage.size(), usage.in_use()), ((28_672, 28_672), 28_672));
        usage.remove(10_000);
        assert_eq!((usage.size(), usage.in_use()), ((28_672, 28_672), 16_384));
        usage.defragment();
        assert_eq!(usage.size(), (16_384, 16_384));
    }

    /// Adds and removes at once, or removes only in the end.
    fn sizes(late: bool) -> [i64; 2] {
        let mut usage = Usage::new();
        let mut waiting = Vec::new();
        for (add, remove) in [(20_000, 18_000), (30_000, 9_000), (3_000, 20_000), (9_000, 0)] {
            usage.add(add);
            waiting.push((usage.removal(), remove));
            if !late {
                remove_all(&mut usage, &mut waiting);
            }
        }
        let (least, most) = usage.size();
        remove_all(&mut usage, &mut waiting);
        let (size, _) = usage.size();
        assert!(least <= size && size <= most);
        [size, usage.in_use()]
    }

    fn remove_all(usage: &mut Usage, waiting: &mut Vec<(Removal, usize)>) {
        for (removal, remove) in waiting.drain(..) {
            usage.begin(&removal);
            usage.remove(remove);
            usage.end();
        }
    }

    #[test]
    fn it_is_all_one_when_what_counts_as_removed_is_removed() {
        assert_eq!(sizes(true), sizes(false));
    }
}
