//! The types that are index keys by themselves.

use crate::schema::index::{AsIndexKey, IndexKey, IndexPrefix, IndexReader, IndexWriter};
use crate::{Key, KeyRef};

/// Types that are as good as their own name.
macro_rules! by_value {
    ($($type:ty),*) => {
        $(impl AsIndexKey<$type> for $type {
            fn encode_as(&self, to: &mut IndexWriter) {
                self.encode(to);
            }
        })*
    };
}

by_value!(bool, char, u8, u16, u32, u64, u128, i8, i16, i32, i64, i128, String, Vec<u8>, Key);

macro_rules! unsigned {
    ($($type:ty),*) => {
        $(impl IndexKey for $type {
            fn encode(&self, to: &mut IndexWriter) {
                to.fixed(&self.to_be_bytes());
            }

            fn decode(from: &mut IndexReader<'_>) -> Option<Self> {
                Some(Self::from_be_bytes(from.fixed()?))
            }
        })*
    };
}

unsigned!(u8, u16, u32, u64, u128);

/// With the sign turned round, so that negative numbers sort first.
macro_rules! signed {
    ($($type:ty as $unsigned:ty),*) => {
        $(impl IndexKey for $type {
            fn encode(&self, to: &mut IndexWriter) {
                to.fixed(&(self ^ Self::MIN).to_be_bytes());
            }

            fn decode(from: &mut IndexReader<'_>) -> Option<Self> {
                Some(Self::from_be_bytes(from.fixed()?) ^ Self::MIN)
            }
        })*
    };
}

signed!(i8 as u8, i16 as u16, i32 as u32, i64 as u64, i128 as u128);

impl IndexKey for bool {
    fn encode(&self, to: &mut IndexWriter) {
        u8::from(*self).encode(to);
    }

    fn decode(from: &mut IndexReader<'_>) -> Option<Self> {
        match u8::decode(from)? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }
}

impl IndexKey for char {
    fn encode(&self, to: &mut IndexWriter) {
        u32::from(*self).encode(to);
    }

    fn decode(from: &mut IndexReader<'_>) -> Option<Self> {
        Self::from_u32(u32::decode(from)?)
    }
}

impl<const N: usize> IndexKey for [u8; N] {
    fn encode(&self, to: &mut IndexWriter) {
        to.fixed(self);
    }

    fn decode(from: &mut IndexReader<'_>) -> Option<Self> {
        from.fixed()
    }
}

/// Types of any length, and what they are borrowed as.
macro_rules! open {
    ($($type:ty, $decode:expr, [$($borrowed:ty),*];)*) => {
        $(
            impl IndexKey for $type {
                fn encode(&self, to: &mut IndexWriter) {
                    to.open(self.as_ref());
                    to.end();
                }

                fn decode(from: &mut IndexReader<'_>) -> Option<Self> {
                    from.open().and_then($decode)
                }

                fn skip(from: &mut IndexReader<'_>) -> Option<()> {
                    from.until_end().map(drop)
                }
            }

            impl IndexPrefix<$type> for &$type {
                fn encode_prefix(&self, to: &mut IndexWriter) {
                    to.open(self.as_ref());
                }
            }

            $(
                impl AsIndexKey<$type> for $borrowed {
                    fn encode_as(&self, to: &mut IndexWriter) {
                        to.open(self.as_ref());
                        to.end();
                    }
                }

                impl IndexPrefix<$type> for $borrowed {
                    fn encode_prefix(&self, to: &mut IndexWriter) {
                        to.open(self.as_ref());
                    }
                }
            )*
        )*
    };
}

open! {
    String, |bytes| Self::from_utf8(bytes).ok(), [&str];
    Vec<u8>, Some, [&[u8], &str];
    Key, |bytes| Some(bytes.as_slice().into()), [&[u8], &str, KeyRef<'_>];
}

impl<K: IndexKey> IndexKey for Option<K> {
    fn encode(&self, to: &mut IndexWriter) {
        self.is_some().encode(to);
        if let Some(key) = self {
            key.encode(to);
        }
    }

    fn decode(from: &mut IndexReader<'_>) -> Option<Self> {
        Some(if bool::decode(from)? { Some(K::decode(from)?) } else { None })
    }

    fn skip(from: &mut IndexReader<'_>) -> Option<()> {
        if bool::decode(from)? { K::skip(from) } else { Some(()) }
    }
}

impl<K, Q: AsIndexKey<K>> AsIndexKey<Option<K>> for Option<Q> {
    fn encode_as(&self, to: &mut IndexWriter) {
        self.is_some().encode(to);
        if let Some(key) = self {
            key.encode_as(to);
        }
    }
}

macro_rules! tuples {
    ($(($($key:ident $query:ident $at:tt),+))*) => {
        $(
            impl<$($key: IndexKey),+> IndexKey for ($($key,)+) {
                fn encode(&self, to: &mut IndexWriter) {
                    $(self.$at.encode(to);)+
                }

                fn decode(from: &mut IndexReader<'_>) -> Option<Self> {
                    Some(($($key::decode(from)?,)+))
                }

                fn skip(from: &mut IndexReader<'_>) -> Option<()> {
                    $($key::skip(from)?;)+
                    Some(())
                }
            }

            impl<$($key, $query: AsIndexKey<$key>),+> AsIndexKey<($($key,)+)> for ($($query,)+) {
                fn encode_as(&self, to: &mut IndexWriter) {
                    $(self.$at.encode_as(to);)+
                }
            }
        )*
    };
}

tuples! {
    (A QA 0, B QB 1)
    (A QA 0, B QB 1, C QC 2)
    (A QA 0, B QB 1, C QC 2, D QD 3)
}

/// The first components of a tuple.
macro_rules! tuple_prefixes {
    ($(($($key:ident $query:ident $at:tt),+) of ($($all:ident),+))*) => {
        $(impl<$($all,)+ $($query: AsIndexKey<$key>),+> IndexPrefix<($($all,)+)> for ($($query,)+) {
            fn encode_prefix(&self, to: &mut IndexWriter) {
                $(self.$at.encode_as(to);)+
            }
        })*
    };
}

tuple_prefixes! {
    (A QA 0) of (A, B)
    (A QA 0) of (A, B, C)
    (A QA 0) of (A, B, C, D)
    (A QA 0, B QB 1) of (A, B, C)
    (A QA 0, B QB 1) of (A, B, C, D)
    (A QA 0, B QB 1, C QC 2) of (A, B, C, D)
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use proptest::prelude::*;

    use super::*;

    fn encoded<K: IndexKey>(key: &K) -> Vec<u8> {
        let mut to = IndexWriter::default();
        key.encode(&mut to);
        to.into_bytes()
    }

    fn beginning<K>(prefix: impl IndexPrefix<K>) -> Vec<u8> {
        let mut to = IndexWriter::default();
        prefix.encode_prefix(&mut to);
        to.into_bytes()
    }

    fn check<K: IndexKey + Ord + Debug>(a: &K, b: &K) -> Result<(), TestCaseError> {
        let (left, right) = (encoded(a), encoded(b));
        prop_assert_eq!(left.cmp(&right), a.cmp(b));
        prop_assert!(a == b || !right.starts_with(&left));
        let followed = [&left[..], b"\0rest"].concat();
        let (mut decoding, mut skipping) =
            (IndexReader::new(&followed), IndexReader::new(&followed));
        prop_assert_eq!(&K::decode(&mut decoding).unwrap(), a);
        K::skip(&mut skipping).unwrap();
        prop_assert_eq!((decoding.rest(), skipping.rest()), (&b"\0rest"[..], &b"\0rest"[..]));
        Ok(())
    }

    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(prop::sample::select(vec![0, 1, b'a', 0xfe, 0xff]), 0..5)
    }

    proptest! {
        #[test]
        fn encodings_sort_as_keys_do_and_decode(
            (u, v) in any::<(u64, u64)>(),
            (i, j) in any::<(i16, i16)>(),
            (c, d) in any::<(char, char)>(),
            (b, e) in (bytes(), bytes()),
            (s, t) in any::<(String, String)>(),
            (f, g) in any::<(bool, bool)>(),
        ) {
            check(&u, &v)?;
            check(&i, &j)?;
            check(&i128::from(i), &i128::from(j))?;
            check(&c, &d)?;
            check(&b, &e)?;
            check(&s, &t)?;
            check(&Key::from(&b[..]), &Key::from(&e[..]))?;
            check(&u.to_le_bytes(), &v.to_le_bytes())?;
            check(&f.then(|| b.clone()), &g.then(|| e.clone()))?;
            check(&(b.clone(), i), &(e.clone(), j))?;
            check(&(f, b.clone(), s.clone()), &(g, e.clone(), t.clone()))?;
            check(&(i, b, s, f), &(j, e, t, g))?;
        }

        #[test]
        fn prefixes_are_what_encodings_begin_with(a in bytes(), b in bytes(), n in any::<u8>()) {
            let prefix = beginning::<Vec<u8>>(&a[..]);
            prop_assert_eq!(encoded(&b).starts_with(&prefix), b.starts_with(&a));
            let first = beginning::<(Vec<u8>, u8)>((&a[..],));
            prop_assert_eq!(encoded(&(b.clone(), n)).starts_with(&first), a == b);
        }
    }
}
