//! Records as bytes: lengths and numbers in eight bytes, little endian, in the order of the fields.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use tailetc_core::backend::KeyRange;
use tailetc_core::{ChangeKind, LeaseId, Revision};

use crate::simulation::record::{
    Changed, Outcome, Pair, Read, Scope, SnapshotRecord, Stamp, StreamItem, TxnRecord,
};

pub(super) trait Code: Sized {
    fn write(&self, to: &mut Vec<u8>);

    /// None if the bytes are of something else.
    fn read(from: &mut &[u8]) -> Option<Self>;
}

impl Code for u64 {
    fn write(&self, to: &mut Vec<u8>) {
        to.extend(self.to_le_bytes());
    }

    fn read(from: &mut &[u8]) -> Option<Self> {
        let (number, rest) = from.split_first_chunk()?;
        *from = rest;
        Some(Self::from_le_bytes(*number))
    }
}

/// What is kept as another type that has a code.
macro_rules! code_as {
    ($($type:ty: $to:expr, $from:expr;)*) => {
        $(impl Code for $type {
            fn write(&self, to: &mut Vec<u8>) {
                let out: fn(&Self) -> _ = $to;
                Code::write(&out(self), to);
            }

            fn read(from: &mut &[u8]) -> Option<Self> {
                let back: fn(_) -> Option<Self> = $from;
                back(Code::read(from)?)
            }
        })*
    };
}

code_as! {
    i64: |number| number.cast_unsigned(), |number: u64| Some(number.cast_signed());
    usize: |number| *number as u64, |number: u64| Self::try_from(number).ok();
    bool: |flag| u64::from(*flag), |flag: u64| Some(flag == 1);
    Duration: |time| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX),
        |nanos: u64| Some(Self::from_nanos(nanos));
    Revision: |revision| revision.get(), |revision: i64| Some(Self::new(revision));
    LeaseId: |lease| lease.get(), |lease: i64| Some(Self::new(lease));
    String: |text| Bytes::copy_from_slice(text.as_bytes()),
        |bytes: Bytes| Self::from_utf8(bytes.into()).ok();
    KeyRange: |range| (range.start().clone(), range.range_end().clone()),
        |(key, end): (Bytes, Bytes)| Some(Self::from_wire(key, end));
    ChangeKind: |kind| KINDS.iter().position(|known| known == kind).unwrap_or(KINDS.len()),
        |index: usize| KINDS.get(index).copied();
}

const KINDS: [ChangeKind; 4] =
    [ChangeKind::Initial, ChangeKind::Transaction, ChangeKind::Coalesced, ChangeKind::Resync];

impl Code for Bytes {
    fn write(&self, to: &mut Vec<u8>) {
        self.len().write(to);
        to.extend_from_slice(self);
    }

    fn read(from: &mut &[u8]) -> Option<Self> {
        let length = usize::read(from)?;
        let (bytes, rest) = from.split_at_checked(length)?;
        *from = rest;
        Some(Self::copy_from_slice(bytes))
    }
}

impl<A: Code, B: Code> Code for (A, B) {
    fn write(&self, to: &mut Vec<u8>) {
        self.0.write(to);
        self.1.write(to);
    }

    fn read(from: &mut &[u8]) -> Option<Self> {
        Some((A::read(from)?, B::read(from)?))
    }
}

impl<T: Code> Code for Option<T> {
    fn write(&self, to: &mut Vec<u8>) {
        self.is_some().write(to);
        if let Some(value) = self {
            value.write(to);
        }
    }

    fn read(from: &mut &[u8]) -> Option<Self> {
        Some(match bool::read(from)? {
            true => Some(T::read(from)?),
            false => None,
        })
    }
}

impl<T: Code> Code for Vec<T> {
    fn write(&self, to: &mut Vec<u8>) {
        self.len().write(to);
        for item in self {
            item.write(to);
        }
    }

    fn read(from: &mut &[u8]) -> Option<Self> {
        let length = usize::read(from)?;
        (0..length).map(|_| T::read(from)).collect()
    }
}

impl<K: Code + Ord, V: Code> Code for BTreeMap<K, V> {
    fn write(&self, to: &mut Vec<u8>) {
        self.len().write(to);
        for (key, value) in self {
            key.write(to);
            value.write(to);
        }
    }

    fn read(from: &mut &[u8]) -> Option<Self> {
        let length = usize::read(from)?;
        (0..length).map(|_| <(K, V)>::read(from)).collect()
    }
}

macro_rules! code_of_fields {
    ($($type:ident { $($field:ident),* })*) => {
        $(impl Code for $type {
            fn write(&self, to: &mut Vec<u8>) {
                $(self.$field.write(to);)*
            }

            fn read(from: &mut &[u8]) -> Option<Self> {
                Some(Self { $($field: Code::read(from)?),* })
            }
        })*
    };
}

code_of_fields! {
    Scope { label, db, range }
    Stamp { at, era, seen }
    TxnRecord { label, called, ended, base, reads, writes, validated, outcome }
    SnapshotRecord { label, asked, at_least, got, revision, pairs }
    Pair { create_revision, mod_revision, version, lease, value }
    Changed { key, before, after }
}

/// A variant is its number and then its fields.
macro_rules! code_of_variants {
    ($type:ident { $($number:literal => $variant:ident { $($field:tt: $name:ident),* })* }) => {
        impl Code for $type {
            fn write(&self, to: &mut Vec<u8>) {
                match self {
                    $(Self::$variant { $($field: $name),* } => {
                        $number.write(to);
                        $($name.write(to);)*
                    })*
                }
            }

            fn read(from: &mut &[u8]) -> Option<Self> {
                match u64::read(from)? {
                    $($number => Some(Self::$variant { $($field: Code::read(from)?),* }),)*
                    _ => None,
                }
            }
        }
    };
}

code_of_variants! {
    Read {
        0u64 => Key { key: key, value: value }
        1u64 => Exists { key: key, exists: exists }
        2u64 => Range { range: range, own: own, pairs: pairs }
        3u64 => Numbers { range: range, low: low, high: high, own: own, pairs: pairs }
    }
}

code_of_variants! {
    Outcome {
        0u64 => Committed { 0: revision, 1: changed }
        1u64 => Unknown {}
        2u64 => NotApplied {}
    }
}

code_of_variants! {
    StreamItem {
        0u64 => Changes { kind: kind, revision: revision, changes: changes }
        1u64 => Lagged {}
    }
}
