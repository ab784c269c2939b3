//! The hash of the history (etcd: `server/storage/mvcc/hash.go`, `kvstore.go`).
//!
//! A server hashes the records of its database in the order of revisions: the revision, and the
//! pair as protobuf. What a compaction has done or would do to a record is left out, so that
//! members agree which have come differently far with it.

pub(super) mod kept;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use tailetc_core::Revision;
use tailetc_core::backend::{BackendError, Header, KeyValue};

use self::kept::Hashing;
use super::Store;
use super::change::{Change, Changes};
use super::compact::Cleaning;
use crate::errors;

/// How many hashes etcd keeps of compactions.
pub(super) const MAX_STORED: usize = 10;

/// What etcd's `HashKV` answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HashKv {
    /// The header, with the current revision.
    pub header: Header,
    /// The CRC-32 (Castagnoli) of the history.
    pub hash: u32,
    /// The compaction revision that the hash counts from, -1 if there was none.
    pub compact_revision: Revision,
    /// The revision up to which the hash counts; 0 before 3.6, which did not tell.
    pub hash_revision: Revision,
}

/// Those that compactions left behind, by the revision of the compaction.
#[derive(Debug, Default)]
pub(super) struct Hashes {
    /// Whether compactions take the time for it.
    kept: bool,
    stored: BTreeMap<Revision, Stored>,
}

#[derive(Clone, Copy, Debug)]
struct Stored {
    hash: u32,
    /// Of the compaction before.
    compact_revision: Revision,
}

impl Hashes {
    /// That of the compaction at `revision`.
    pub(super) fn keep(&mut self, revision: Revision, hash: u32, compact_revision: Revision) {
        self.stored.insert(revision, Stored { hash, compact_revision });
        if self.stored.len() > MAX_STORED {
            self.stored.pop_first();
        }
    }
}

impl Store {
    /// The hash of the history from the compaction revision up to `revision`; [`Revision::ZERO`] is
    /// the current one. Linear in the number of keys and changes. `None` until all is written, and
    /// every hash that is kept is found out.
    pub(crate) fn hash_kv(&self, revision: Revision) -> Option<Result<HashKv, BackendError>> {
        let is_ready = self.is_all_written() && !self.cleanings.iter().any(Cleaning::is_hashing);
        is_ready.then(|| self.hash_of_written(revision))
    }

    fn hash_of_written(&self, revision: Revision) -> Result<HashKv, BackendError> {
        if let Some(stored) = self.hashes.stored.get(&revision) {
            return Ok(self.hash_answer(*stored, revision));
        }
        let too_old = if self.options.imitate.hashes_at_compaction() {
            revision < self.compacted
        } else {
            revision <= self.compacted
        };
        if revision > Revision::ZERO && too_old {
            return Err(errors::compacted());
        }
        if revision > self.revision {
            return Err(errors::future_revision());
        }
        let upto = if revision.is_zero() { self.revision } else { revision };
        let compact_revision = self.compacted;
        let hash = self.hash(compact_revision, upto);
        Ok(self.hash_answer(Stored { hash, compact_revision }, upto))
    }

    fn hash_answer(&self, hash: Stored, upto: Revision) -> HashKv {
        let tells_revision = self.options.imitate.tells_hash_revision();
        HashKv {
            header: self.header(),
            hash: hash.hash,
            compact_revision: hash.compact_revision,
            hash_revision: if tells_revision { upto } else { Revision::ZERO },
        }
    }

    /// From now on compactions leave their hashes behind, where the version that is imitated does.
    /// What they leave to do takes time by the number of keys then.
    pub(crate) fn keep_hashes(&mut self) {
        self.hashes.kept = self.options.imitate.stores_compaction_hashes();
    }

    /// What finds out the hash of the compaction at `upto`, if hashes are kept. The one before was
    /// at `since`, and `last` is all that `upto` changed.
    pub(super) fn hashing(&self, [since, upto]: [Revision; 2], last: &Changes) -> Option<Hashing> {
        let version = self.options.imitate;
        self.hashes.kept.then(|| Hashing::new([since, upto], last.clone(), version))
    }

    /// The keys that were deleted at `revision`, also those put again at it: a server's hash leaves
    /// them out where deletions at a compaction outlast it (`server/storage/mvcc/key_index.go`,
    /// `keep`).
    fn ended_at(&self, revision: Revision) -> HashSet<&Bytes> {
        if !self.options.imitate.keeps_deletions_when_compacted() {
            return HashSet::new();
        }
        let changes = self.log.changes_since(revision);
        changes
            .take_while(|change| change.revision() == revision)
            .filter(|change| change.is_deletion())
            .map(|change| &change.kv.key)
            .collect()
    }

    /// Of the records above `compacted` all up to `upto`; of those below what is in force at
    /// `upto`, or, if nothing at all is, whatever is left of them.
    fn hash(&self, compacted: Revision, upto: Revision) -> u32 {
        let mut hash = crc32c::crc32c(b"key");
        let pairs_at =
            |revision| self.keys.versions_at(revision).filter(|change| !change.is_deletion());
        let ended = self.ended_at(upto);
        let mut old: Vec<&Arc<Change>> = pairs_at(upto).collect();
        old.retain(|change| !ended.contains(&change.kv.key));
        if old.is_empty() && upto > Revision::ZERO {
            old.extend(pairs_at(compacted));
        }
        old.retain(|change| change.revision() <= compacted);
        old.sort_unstable_by_key(|change| (change.revision(), change.sub));
        let new = self.log.changes_since(compacted.next());
        let mut record = Vec::new();
        for change in old.into_iter().chain(new.take_while(|change| change.revision() <= upto)) {
            record.clear();
            write_record(change, &mut record);
            hash = crc32c::crc32c_append(hash, &record);
        }
        hash
    }
}

/// The length of what [`write_record`] writes.
pub(super) fn record_len(change: &Change) -> usize {
    let kv = &change.kv;
    let numbers = [
        kv.create_revision.get(),
        if change.is_deletion() { 0 } else { kv.mod_revision.get() },
        kv.version,
        kv.lease.get(),
    ];
    let bytes = |len: usize| if len == 0 { 0 } else { 1 + varint_len(len as u64) + len };
    let number = |value: i64| if value == 0 { 0 } else { 1 + varint_len(value as u64) };
    17 + usize::from(change.is_deletion())
        + bytes(kv.key.len())
        + bytes(kv.value.len())
        + numbers.into_iter().map(number).sum::<usize>()
}

fn varint_len(value: u64) -> usize {
    let bits = 64 - (value | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

/// The record of a change as it is in the database: `main_sub`, with a `t` behind it for a
/// deletion, and the pair as protobuf (etcd: `server/storage/mvcc/revision.go`,
/// `api/mvccpb/kv.proto`).
fn write_record(change: &Change, out: &mut Vec<u8>) {
    out.extend(change.revision().get().to_be_bytes());
    out.push(b'_');
    out.extend(u64::from(change.sub).to_be_bytes());
    let KeyValue { key, value, create_revision, mod_revision, version, lease } = &change.kv;
    if change.is_deletion() {
        out.push(b't');
        write_bytes(1, key, out);
        return;
    }
    write_bytes(1, key, out);
    write_number(2, create_revision.get(), out);
    write_number(3, mod_revision.get(), out);
    write_number(4, *version, out);
    write_bytes(5, value, out);
    write_number(6, lease.get(), out);
}

fn write_bytes(field: u8, bytes: &[u8], out: &mut Vec<u8>) {
    if !bytes.is_empty() {
        out.push(field << 3 | 2);
        write_varint(bytes.len() as u64, out);
        out.extend(bytes);
    }
}

fn write_number(field: u8, number: i64, out: &mut Vec<u8>) {
    if number != 0 {
        out.push(field << 3);
        write_varint(number as u64, out);
    }
}

fn write_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;
    use tailetc_core::LeaseId;

    #[test]
    fn records_are_as_long_as_is_said() {
        let kv = |key: &'static str, value: Vec<u8>, number: i64| KeyValue {
            key: key.into(),
            value: value.into(),
            create_revision: Revision::new(number),
            mod_revision: Revision::new(number + 1),
            version: 1 + number,
            lease: LeaseId::new(number),
        };
        let put = |kv| Change { kv, sub: 3 };
        let changes = [
            put(kv("k", Vec::new(), 0)),
            put(kv("key", vec![1; 300], 127)),
            put(kv("key", vec![1; 20_000], 1 << 40)),
            Change::deletion("key".into(), Revision::new(9), 0),
        ];
        for change in changes {
            let mut record = Vec::new();
            write_record(&change, &mut record);
            assert_eq!(record.len(), record_len(&change), "{change:?}");
        }
    }

    // X-Q
    #[test]
    fn record_is_that_of_the_database() {
        let mut record = Vec::new();
        let deletion = Change::deletion("k".into(), Revision::new(0x0102), 3);
        write_record(&deletion, &mut record);
        assert_eq!(record, b"\0\0\0\0\0\0\x01\x02_\0\0\0\0\0\0\0\x03t\x0a\x01k");
    }
}
