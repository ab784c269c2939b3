//! Values that this `Db` is committing, so that their events need no decoding.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;

use crate::Key;
use crate::schema::AnyValue;

/// The values of commits under way, by key.
///
/// An event with the same key and bytes decodes to an equal value, whoever wrote it, so the value
/// that was put can be published in its place.
#[derive(Debug, Default)]
pub(crate) struct OwnWrites(Mutex<HashMap<Key, Vec<(Bytes, AnyValue)>>>);

impl OwnWrites {
    /// The value that was put with these bytes.
    pub(crate) fn find(&self, key: &[u8], bytes: &Bytes) -> Option<AnyValue> {
        let writes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if writes.is_empty() {
            return None;
        }
        let (_, value) = writes.get(key)?.iter().find(|(put, _)| put == bytes)?;
        Some(AnyValue::clone(value))
    }

    /// Makes values findable until the guard is dropped.
    pub(crate) fn register(
        &self,
        puts: impl Iterator<Item = (Key, Bytes, AnyValue)>,
    ) -> OwnWritesGuard<'_> {
        let mut writes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut registered = Vec::new();
        for (key, bytes, value) in puts {
            registered.push((key.clone(), AnyValue::clone(&value)));
            writes.entry(key).or_default().push((bytes, value));
        }
        OwnWritesGuard { writes: self, registered }
    }
}

#[derive(Debug)]
pub(crate) struct OwnWritesGuard<'w> {
    writes: &'w OwnWrites,
    registered: Vec<(Key, AnyValue)>,
}

impl Drop for OwnWritesGuard<'_> {
    fn drop(&mut self) {
        let mut writes = self.writes.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (key, value) in self.registered.drain(..) {
            let Some(of_key) = writes.get_mut(&key) else {
                continue;
            };
            of_key.retain(|(_, put)| !AnyValue::ptr_eq(put, &value));
            if of_key.is_empty() {
                writes.remove(&key);
            }
        }
    }
}
