//! Which keys of a collection a range means.

use std::ops::{
    Bound, RangeBounds, RangeFrom, RangeFull, RangeInclusive, RangeTo, RangeToInclusive,
};

use bytes::Bytes;

use crate::backend::KeyRange;

/// A set of keys relative to a collection: any of Rust's ranges over strings or bytes, `..` for
/// all, [`Prefix`] or [`Only`].
///
/// ```
/// # use tailetc_core::{KeyBounds, Only, Prefix};
/// # fn takes(_: impl KeyBounds) {}
/// takes(..);
/// takes("a".."b");
/// takes("a"..="b");
/// takes("a"..);
/// takes(Prefix("eu/"));
/// takes(Only("eu/1"));
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a set of keys",
    note = "give a range of keys, `..`, `Prefix(\"a\")` or `Only(\"a\")`"
)]
pub trait KeyBounds: Sealed {}

/// The keys that begin with this.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "a transparent wrapper, built by callers")]
pub struct Prefix<K>(pub K);

/// This one key.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "a transparent wrapper, built by callers")]
pub struct Only<K>(pub K);

pub(crate) mod sealed {
    use crate::backend::KeyRange;

    #[expect(unnameable_types, reason = "sealed: users name `KeyBounds`")]
    #[diagnostic::on_unimplemented(
        message = "`{Self}` is not a set of keys",
        note = "give a range of keys, `..`, `Prefix(\"a\")` or `Only(\"a\")`"
    )]
    pub trait Sealed {
        /// The whole keys, for a collection whose keys begin with `base`.
        fn key_range(self, base: &[u8]) -> KeyRange;
    }
}

use self::sealed::Sealed;

impl<B: Sealed> KeyBounds for B {}

macro_rules! std_ranges {
    ($($range:ty),*) => {
        $(impl<K: AsRef<[u8]>> Sealed for $range {
            fn key_range(self, base: &[u8]) -> KeyRange {
                span(base, &self)
            }
        })*
    };
}

std_ranges!(std::ops::Range<K>, RangeFrom<K>, RangeInclusive<K>, RangeTo<K>, RangeToInclusive<K>);

impl<K: AsRef<[u8]>> Sealed for (Bound<K>, Bound<K>) {
    fn key_range(self, base: &[u8]) -> KeyRange {
        span(base, &self)
    }
}

impl Sealed for RangeFull {
    fn key_range(self, base: &[u8]) -> KeyRange {
        KeyRange::prefix(base.to_vec())
    }
}

impl<K: AsRef<[u8]>> Sealed for Prefix<K> {
    fn key_range(self, base: &[u8]) -> KeyRange {
        KeyRange::prefix(join(base, self.0.as_ref(), &[]))
    }
}

impl<K: AsRef<[u8]>> Sealed for Only<K> {
    fn key_range(self, base: &[u8]) -> KeyRange {
        let key = join(base, self.0.as_ref(), &[]);
        // etcd has no empty key, and `KeyRange::key("")` would not be a valid request.
        if key.is_empty() { KeyRange::span("", "") } else { KeyRange::key(key) }
    }
}

fn span<K: AsRef<[u8]>>(base: &[u8], bounds: &impl RangeBounds<K>) -> KeyRange {
    // The successor of a key is the key with a zero byte appended.
    let start = match bounds.start_bound() {
        Bound::Included(key) => join(base, key.as_ref(), &[]),
        Bound::Excluded(key) => join(base, key.as_ref(), b"\0"),
        Bound::Unbounded => base.to_vec().into(),
    };
    let start = if start.is_empty() { Bytes::from_static(b"\0") } else { start };
    match bounds.end_bound() {
        Bound::Included(key) => KeyRange::span(start, join(base, key.as_ref(), b"\0")),
        Bound::Excluded(key) => KeyRange::span(start, join(base, key.as_ref(), &[])),
        Bound::Unbounded => {
            let all = KeyRange::prefix(base.to_vec());
            if all.is_from_key() {
                KeyRange::from_key(start)
            } else {
                KeyRange::span(start, all.range_end().clone())
            }
        }
    }
}

fn join(base: &[u8], key: &[u8], suffix: &[u8]) -> Bytes {
    [base, key, suffix].concat().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys_of(bounds: impl KeyBounds) -> Vec<&'static str> {
        let range = bounds.key_range(b"c/");
        let all = ["b", "c", "c/", "c/a", "c/a\0", "c/ab", "c/b", "c/c", "c0", "d"];
        all.into_iter().filter(|key| range.contains(key.as_bytes())).collect()
    }

    #[test]
    fn bounds_select_keys_of_the_collection_only() {
        assert_eq!(keys_of(..), ["c/", "c/a", "c/a\0", "c/ab", "c/b", "c/c"]);
        assert_eq!(keys_of("a".."b"), ["c/a", "c/a\0", "c/ab"]);
        assert_eq!(keys_of("a"..="b"), ["c/a", "c/a\0", "c/ab", "c/b"]);
        assert_eq!(keys_of("b"..), ["c/b", "c/c"]);
        assert_eq!(keys_of(.."a"), ["c/"]);
        assert_eq!(keys_of(..="a"), ["c/", "c/a"]);
        assert_eq!(keys_of(Prefix("a")), ["c/a", "c/a\0", "c/ab"]);
        assert_eq!(keys_of(Only("a")), ["c/a"]);
        assert_eq!(
            keys_of((Bound::Excluded("a"), Bound::Unbounded)),
            ["c/a\0", "c/ab", "c/b", "c/c"]
        );
        assert!(keys_of("b".."a").is_empty());
    }

    #[test]
    fn bounds_of_an_empty_base_reach_every_key() {
        assert!((..).key_range(b"").contains(b"\xff"));
        assert!(("a"..).key_range(b"").contains(b"\xff\xff"));
        assert!((..="a").key_range(b"").contains(b"\0"));
        assert!(Only("").key_range(b"").is_empty());
    }
}
