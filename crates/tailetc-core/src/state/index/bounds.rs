//! Which index keys a range means.

use std::ops::{
    Bound, Range, RangeBounds, RangeFrom, RangeFull, RangeInclusive, RangeTo, RangeToInclusive,
};

use crate::backend::KeyRange;
use crate::schema::IndexWriter;
use crate::{AsIndexKey, IndexPrefix, Only, Prefix};

/// A set of index keys of type `K`: any of Rust's ranges over what names one ([`AsIndexKey`]), `..`
/// for all, [`Only`] or [`Prefix`] ([`IndexPrefix`]).
///
/// ```
/// # use tailetc_core::{IndexBounds, Only, Prefix};
/// # fn takes<K>(_: impl IndexBounds<K>) {}
/// takes::<u64>(1..=9);
/// takes::<String>("a".."b");
/// takes::<String>(Prefix("eu-"));
/// takes::<(String, u64)>(Only(("eu", 7)));
/// takes::<(String, u64)>(("eu", 7)..);
/// takes::<(String, u64)>(Prefix(("eu",)));
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a set of index keys of type `{K}`",
    note = "give a range of index keys, `..`, `Only(key)` or `Prefix(beginning)`"
)]
pub trait IndexBounds<K>: Sealed<K> {}

impl<K, B: Sealed<K>> IndexBounds<K> for B {}

pub(super) mod sealed {
    use crate::backend::KeyRange;

    #[expect(unnameable_types, reason = "sealed: users name `IndexBounds`")]
    #[diagnostic::on_unimplemented(
        message = "`{Self}` is not a set of index keys of type `{K}`",
        note = "give a range of index keys, `..`, `Only(key)` or `Prefix(beginning)`"
    )]
    pub trait Sealed<K> {
        /// The rows of these index keys.
        fn row_range(self, number: [u8; 2]) -> KeyRange;
    }
}

use self::sealed::Sealed;

macro_rules! std_ranges {
    ($($range:ty),*) => {
        $(impl<K, Q: AsIndexKey<K>> Sealed<K> for $range {
            fn row_range(self, number: [u8; 2]) -> KeyRange {
                span(number, &self)
            }
        })*
    };
}

std_ranges!(
    Range<Q>,
    RangeFrom<Q>,
    RangeInclusive<Q>,
    RangeTo<Q>,
    RangeToInclusive<Q>,
    (Bound<Q>, Bound<Q>)
);

impl<K> Sealed<K> for RangeFull {
    fn row_range(self, number: [u8; 2]) -> KeyRange {
        beginning_with(number, &[])
    }
}

impl<K, Q: IndexPrefix<K>> Sealed<K> for Prefix<Q> {
    fn row_range(self, number: [u8; 2]) -> KeyRange {
        let mut to = IndexWriter::default();
        self.0.encode_prefix(&mut to);
        beginning_with(number, &to.into_bytes())
    }
}

impl<K, Q: AsIndexKey<K>> Sealed<K> for Only<Q> {
    fn row_range(self, number: [u8; 2]) -> KeyRange {
        beginning_with(number, &encoded(&self.0))
    }
}

fn span<K, Q: AsIndexKey<K>>(number: [u8; 2], bounds: &impl RangeBounds<Q>) -> KeyRange {
    let first = |key: &Q| beginning_with(number, &encoded(key)).start().clone();
    // A row goes on with the key of its entry, so the rows of an index key end where those of its
    // successor begin.
    let behind = |key: &Q| beginning_with(number, &encoded(key)).range_end().clone();
    let all = beginning_with(number, &[]);
    let start = match bounds.start_bound() {
        Bound::Included(key) => first(key),
        Bound::Excluded(key) => behind(key),
        Bound::Unbounded => all.start().clone(),
    };
    let end = match bounds.end_bound() {
        Bound::Included(key) => behind(key),
        Bound::Excluded(key) => first(key),
        Bound::Unbounded => all.range_end().clone(),
    };
    KeyRange::span(start, end)
}

fn encoded<K, Q: AsIndexKey<K>>(key: &Q) -> Vec<u8> {
    let mut to = IndexWriter::default();
    key.encode_as(&mut to);
    to.into_bytes()
}

fn beginning_with(number: [u8; 2], bytes: &[u8]) -> KeyRange {
    KeyRange::prefix([&number, bytes].concat())
}
