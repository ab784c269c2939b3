//! What is kept of one key.

use std::ops::Deref;
use std::sync::Arc;

use bytes::Bytes;

use crate::backend::KeyValue;
use crate::schema::{AnyValue, Schema, SlotId};
use crate::{Codec, Error, Key, LeaseId, Revision, SharedError};

/// The metadata that the store keeps of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metadata {
    /// The revision at which the key was last created.
    pub create_revision: Revision,
    /// The revision at which it was last written.
    pub mod_revision: Revision,
    /// How often it was written since it was created, beginning with 1.
    pub version: i64,
    /// The lease it is attached to; [`LeaseId::NONE`] if none.
    pub lease: LeaseId,
}

/// One key's value and metadata. Immutable; shared by every state it is in.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) meta: Metadata,
    pub(crate) slot: SlotId,
    pub(crate) value: Value,
}

#[derive(Debug)]
pub(crate) enum Value {
    Decoded(AnyValue),
    Quarantined(Box<Refused>),
}

/// Bytes that are no value.
#[derive(Clone, Debug)]
pub(crate) struct Refused {
    bytes: Bytes,
    error: SharedError,
    /// The value that is shown in their place: [`DecodePolicy::KeepPrevious`].
    kept: Option<Kept>,
}

/// The last value that decoded.
#[derive(Clone, Debug)]
struct Kept {
    value: AnyValue,
    /// The revision that wrote it.
    revision: Revision,
}

impl Entry {
    /// Decodes a pair of the store, or quarantines it.
    pub(crate) fn decode(schema: &Schema, kv: &KeyValue) -> Self {
        let slot = schema.slot_of(&kv.key);
        let value = match schema.decode(slot, &kv.key, &kv.value) {
            Ok(value) => Value::Decoded(value),
            Err(error) => {
                let (bytes, error) = (kv.value.clone(), error.into());
                Value::Quarantined(Box::new(Refused { bytes, error, kept: None }))
            }
        };
        Self::new(kv, slot, value)
    }

    pub(crate) fn new(kv: &KeyValue, slot: SlotId, value: Value) -> Self {
        let meta = Metadata {
            create_revision: kv.create_revision,
            mod_revision: kv.mod_revision,
            version: kv.version,
            lease: kv.lease,
        };
        Self { meta, slot, value }
    }

    pub(crate) fn is_quarantined(&self) -> bool {
        matches!(self.value, Value::Quarantined(_))
    }

    /// This entry, whose value does not decode, showing the value of the entry before in its
    /// place. A key that was deleted in between has none: what it is now was created anew.
    pub(crate) fn keeping(&self, before: &Self) -> Option<Self> {
        let Value::Quarantined(refused) = &self.value else { return None };
        if before.meta.create_revision != self.meta.create_revision {
            return None;
        }
        let kept = match &before.value {
            Value::Decoded(value) => {
                Kept { value: AnyValue::clone(value), revision: before.meta.mod_revision }
            }
            Value::Quarantined(before) => before.kept.clone()?,
        };
        let refused = Refused { kept: Some(kept), ..Refused::clone(refused) };
        Some(Self { value: Value::Quarantined(Box::new(refused)), ..*self })
    }

    /// The revision of the value that is shown in the place of one that does not decode.
    pub(crate) fn kept_from(&self) -> Option<Revision> {
        match &self.value {
            Value::Decoded(_) => None,
            Value::Quarantined(refused) => refused.kept.as_ref().map(|kept| kept.revision),
        }
    }

    /// Fails if the store's value does not decode, whatever is shown in its place.
    pub(crate) fn check_decoded(&self, key: &[u8]) -> Result<(), Error> {
        match &self.value {
            Value::Decoded(_) => Ok(()),
            Value::Quarantined(refused) => Err(undecodable(key, &refused.error)),
        }
    }

    /// The value, if it decodes, of whatever type.
    pub(crate) fn any(&self) -> Option<AnyValue> {
        match &self.value {
            Value::Decoded(value) => Some(AnyValue::clone(value)),
            Value::Quarantined(_) => None,
        }
    }

    /// The value to show, of whatever type, if there is one.
    pub(crate) fn shown_any(&self) -> Option<&AnyValue> {
        match &self.value {
            Value::Decoded(value) => Some(value),
            Value::Quarantined(refused) => refused.kept.as_ref().map(|kept| &kept.value),
        }
    }

    /// The bytes of a raw value.
    pub(crate) fn raw(&self) -> Option<&Bytes> {
        self.shown_any()?.downcast_ref()
    }

    /// The value to show of a codec's collection. The caller has resolved the collection, so a decoded
    /// value has its type.
    pub(crate) fn typed<C: Codec>(&self, key: &[u8]) -> Result<&C::Value, Error> {
        self.shown(key)?.downcast_ref().ok_or_else(|| wrong_type::<C>(key))
    }

    /// The same, as the shared pointer that clone policies take.
    pub(crate) fn typed_arc<C: Codec>(&self, key: &[u8]) -> Result<Arc<C::Value>, Error> {
        Arc::clone(self.shown(key)?).downcast().map_err(|_| wrong_type::<C>(key))
    }

    fn shown(&self, key: &[u8]) -> Result<&AnyValue, Error> {
        match &self.value {
            Value::Decoded(value) => Ok(value),
            Value::Quarantined(refused) => match &refused.kept {
                Some(kept) => Ok(&kept.value),
                None => Err(undecodable(key, &refused.error)),
            },
        }
    }
}

fn wrong_type<C: Codec>(key: &[u8]) -> Error {
    Error::TypeMismatch {
        prefix: Key::from(key).to_string(),
        expected: "another codec",
        found: std::any::type_name::<C>(),
    }
}

fn undecodable(key: &[u8], source: &SharedError) -> Error {
    Error::Undecodable { key: key.into(), source: source.clone() }
}

/// A shared [`Entry`], equal to another one if it is the same object: an entry is replaced exactly
/// when its key is written.
#[derive(Clone, Debug)]
pub(crate) struct EntryPtr(Arc<Entry>);

impl EntryPtr {
    pub(crate) fn new(entry: Entry) -> Self {
        Self(Arc::new(entry))
    }
}

impl Deref for EntryPtr {
    type Target = Entry;

    fn deref(&self) -> &Entry {
        &self.0
    }
}

impl PartialEq for EntryPtr {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// A key whose value does not decode.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Quarantined {
    /// The whole key.
    pub key: Key,
    /// The bytes that the store holds.
    pub bytes: Bytes,
    /// What the codec said.
    pub error: SharedError,
    /// The key's metadata.
    pub metadata: Metadata,
    /// The revision of the value that reads give in its place, if the collection's policy is
    /// [`DecodePolicy::KeepPrevious`](crate::DecodePolicy::KeepPrevious) and there is one.
    pub kept_from: Option<Revision>,
}

impl Quarantined {
    pub(crate) fn of(key: &Key, entry: &Entry) -> Option<Self> {
        let Value::Quarantined(refused) = &entry.value else {
            return None;
        };
        Some(Self {
            key: key.clone(),
            bytes: refused.bytes.clone(),
            error: refused.error.clone(),
            metadata: entry.meta,
            kept_from: entry.kept_from(),
        })
    }
}
