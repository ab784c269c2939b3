//! Keys, ranges, pairs and events.

use std::fmt;

use bytes::Bytes;

use crate::{LeaseId, Revision};

/// etcd's response header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "etcd's ResponseHeader is frozen; fakes build it")]
pub struct Header {
    /// The cluster that answered.
    pub cluster_id: u64,
    /// The member that answered.
    pub member_id: u64,
    /// The store's revision when the request was applied. In event responses it may be ahead of
    /// the events.
    pub revision: Revision,
    /// The raft term of the member.
    pub raft_term: u64,
}

impl Header {
    /// Whether this header, of a linearizable request that was sent after `earlier` was known,
    /// proves that the store's history is not the one that `earlier` is of: within one, nothing
    /// goes down.
    pub(crate) fn is_of_another_history_than(&self, earlier: &Self) -> bool {
        self.cluster_id != earlier.cluster_id
            || self.revision < earlier.revision
            || self.raft_term < earlier.raft_term
    }
}

/// A set of keys, in etcd's encoding of `key` and `range_end`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct KeyRange {
    key: Bytes,
    end: Bytes,
}

impl KeyRange {
    /// Exactly one key.
    pub fn key(key: impl Into<Bytes>) -> Self {
        Self { key: key.into(), end: Bytes::new() }
    }

    /// All keys that begin with `prefix`; all keys when it is empty.
    pub fn prefix(prefix: impl Into<Bytes>) -> Self {
        let key = prefix.into();
        if key.is_empty() {
            return Self::all();
        }
        let end = prefix_end(&key);
        Self { key, end }
    }

    /// Every key of the store.
    pub fn all() -> Self {
        Self::from_key(Bytes::from_static(b"\0"))
    }

    /// All keys at or after `key`.
    pub fn from_key(key: impl Into<Bytes>) -> Self {
        Self { key: key.into(), end: Bytes::from_static(b"\0") }
    }

    /// The keys from `start` (inclusive) to `end` (exclusive). Empty when `end <= start`.
    ///
    /// etcd gives an empty `end` and an `end` of one zero byte other meanings
    /// (see [`KeyRange::from_wire`]); neither bounds any key from above, so both are an empty range
    /// here.
    pub fn span(start: impl Into<Bytes>, end: impl Into<Bytes>) -> Self {
        let (key, end) = (start.into(), end.into());
        if end.is_empty() || *end == *b"\0" {
            let nowhere = Bytes::from_static(b"\x01");
            return Self { key: nowhere.clone(), end: nowhere };
        }
        Self { key, end }
    }

    /// etcd's own pair: an empty `range_end` is the single key, `\0` is everything from `key` on,
    /// anything else is `[key, range_end)`.
    pub fn from_wire(key: impl Into<Bytes>, range_end: impl Into<Bytes>) -> Self {
        Self { key: key.into(), end: range_end.into() }
    }

    /// The first key of the range, etcd's `key`.
    pub fn start(&self) -> &Bytes {
        &self.key
    }

    /// etcd's `range_end`.
    pub fn range_end(&self) -> &Bytes {
        &self.end
    }

    /// Whether this is one key and not a span.
    pub fn is_single_key(&self) -> bool {
        self.end.is_empty()
    }

    /// Whether everything from [`start`](Self::start) on is in the range.
    pub fn is_from_key(&self) -> bool {
        *self.end == *b"\0"
    }

    /// Whether `key` is in the range.
    pub fn contains(&self, key: &[u8]) -> bool {
        if self.is_single_key() {
            return key == self.key;
        }
        key >= &self.key[..] && (self.is_from_key() || key < &self.end[..])
    }

    /// Whether no key can be in the range.
    pub fn is_empty(&self) -> bool {
        !self.is_single_key() && !self.is_from_key() && self.end <= self.key
    }
}

impl fmt::Debug for KeyRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_single_key() {
            write!(f, "{:?}", self.key)
        } else if self.is_from_key() {
            write!(f, "[{:?}, ..)", self.key)
        } else {
            write!(f, "[{:?}, {:?})", self.key, self.end)
        }
    }
}

/// The first key after all keys that begin with `prefix`; `\0` ("no end") when there is none.
fn prefix_end(prefix: &[u8]) -> Bytes {
    let Some(last) = prefix.iter().rposition(|byte| *byte < 0xff) else {
        return Bytes::from_static(b"\0");
    };
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    end.into()
}

/// A key, its value, and the metadata that the store keeps of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "etcd's KeyValue is frozen; fakes build it")]
pub struct KeyValue {
    /// The key.
    pub key: Bytes,
    /// The value.
    pub value: Bytes,
    /// The revision at which the key was last created.
    pub create_revision: Revision,
    /// The revision at which the key was last written.
    pub mod_revision: Revision,
    /// How often the key was written since it was created, beginning with 1.
    pub version: i64,
    /// The lease that the key is attached to.
    pub lease: LeaseId,
}

/// What an event did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "etcd's Event.EventType is frozen")]
pub enum EventKind {
    /// The key was created or overwritten.
    Put,
    /// The key was deleted, by request or with its lease.
    Delete,
}

/// One change of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "etcd's Event is frozen; fakes build it")]
pub struct Event {
    /// What happened.
    pub kind: EventKind,
    /// The pair after the change. Of a deletion only `key` and `mod_revision` are set.
    pub kv: KeyValue,
    /// The pair before the whole transaction, if it was asked for, existed, and is not compacted.
    pub prev_kv: Option<KeyValue>,
}

impl Event {
    /// The revision of the change.
    pub fn revision(&self) -> Revision {
        self.kv.mod_revision
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefix_end_is_the_first_key_after_the_prefix() {
        assert_eq!(prefix_end(b"a"), &b"b"[..]);
        assert_eq!(prefix_end(b"a\xff"), &b"b"[..]);
        assert_eq!(prefix_end(b"\xff\xff"), &b"\0"[..]);
    }

    #[test]
    fn prefix_of_nothing_is_every_key() {
        assert!(KeyRange::prefix("").contains(b"\0"));
        assert!(KeyRange::prefix("").contains(b"\xff\xff"));
    }

    #[test]
    fn span_with_an_end_that_etcd_gives_another_meaning_is_empty() {
        for end in ["", "\0"] {
            for start in ["", "\0", "a"] {
                let span = KeyRange::span(start, end);
                assert!(span.is_empty(), "{span:?}");
                assert!(!span.contains(b"a") && !span.contains(b"\0"));
            }
        }
    }

    #[test]
    fn single_key_contains_only_itself() {
        let range = KeyRange::key("a");
        assert!(range.contains(b"a") && !range.contains(b"a\0") && !range.is_empty());
    }
}
