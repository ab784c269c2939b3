//! Keys and ranges from a tiny alphabet, so that steps meet.

use proptest::prelude::*;

use crate::program::Key;

pub(super) fn key() -> BoxedStrategy<Key> {
    prop_oneof![
        40 => prop::sample::select(vec!["a", "b", "c", "d"]),
        6 => prop::sample::select(vec!["aa", "b\0", "\u{ff}", "e"]),
        1 => Just(""),
        1 => Just("\0"),
    ]
    .prop_map(str::to_owned)
    .boxed()
}

/// A key and a range end.
pub(super) fn span() -> BoxedStrategy<(Key, Key)> {
    let owned = |(key, end): (&str, &str)| (key.to_owned(), end.to_owned());
    prop_oneof![
        10 => key().prop_map(|key| (key, Key::new())),
        // Ordinary ranges, of one key too.
        8 => prop::sample::select(vec![("a", "c"), ("a", "e"), ("b", "d"), ("a", "a\0"), ("b", "b\u{ff}")])
            .prop_map(owned),
        // From a key on, and everything.
        4 => key().prop_map(|key| (key, "\0".to_owned())),
        2 => Just(owned(("\0", "\0"))),
        // Empty, reversed, whatever comes.
        2 => (key(), key()),
        1 => prop::sample::select(vec![("b", "a"), ("b", "b"), ("", "c"), ("", "\0")]).prop_map(owned),
    ]
    .boxed()
}
