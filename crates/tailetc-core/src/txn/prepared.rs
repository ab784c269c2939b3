//! Writes that were encoded before the transaction that carries them, and how many of them fit into
//! one.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;

use crate::db::Shared;
use crate::schema::{AnyValue, SlotId};
use crate::txn::Txn;
use crate::txn::writes::{Pending, Put};
use crate::{Codec, Collection, Error, Key, LeaseId};

/// A write of one key, which may be given to more than one transaction.
#[derive(Clone, Debug)]
pub(crate) struct Prepared {
    pub(crate) key: Key,
    slot: SlotId,
    /// None for a deletion.
    put: Option<Encoded>,
}

#[derive(Clone, Debug)]
struct Encoded {
    bytes: Bytes,
    value: AnyValue,
}

impl Prepared {
    /// A put, encoded now.
    pub(crate) fn put<C: Codec, P>(
        shared: &Shared,
        collection: Collection<C, P>,
        key: &[u8],
        value: Arc<C::Value>,
    ) -> Result<Self, Error> {
        let (slot, key) = locate(shared, collection, key)?;
        let encoded = shared.with_state(|state| state.schema.encode(slot, key.as_bytes(), &*value));
        let bytes = encoded.map_err(|e| Error::Encode { key: key.clone(), source: e.into() })?;
        Ok(Self { key, slot, put: Some(Encoded { bytes, value }) })
    }

    /// A deletion.
    pub(crate) fn delete<C: Codec, P>(
        shared: &Shared,
        collection: Collection<C, P>,
        key: &[u8],
    ) -> Result<Self, Error> {
        let (slot, key) = locate(shared, collection, key)?;
        Ok(Self { key, slot, put: None })
    }

    pub(crate) fn is_put(&self) -> bool {
        self.put.is_some()
    }

    /// The most bytes that it adds to a request, with its guard.
    fn request_bytes(&self) -> usize {
        /// Tags, lengths of up to 5 bytes, a revision and a lease of up to 10.
        const FRAME: usize = 96;
        let value = self.put.as_ref().map_or(0, |put| put.bytes.len());
        FRAME + 2 * self.key.as_bytes().len() + value
    }
}

fn locate<C: Codec, P>(
    shared: &Shared,
    collection: Collection<C, P>,
    key: &[u8],
) -> Result<(SlotId, Key), Error> {
    shared.with_state(|state| {
        let slot = state.schema.resolve(collection)?;
        Ok((slot, state.writable_key(slot, key)?))
    })
}

impl Txn {
    /// Writes what was prepared; a put with the lease.
    pub(crate) fn write_prepared(&mut self, write: &Prepared, lease: LeaseId) -> Result<(), Error> {
        self.sticky(|txn| {
            if txn.db.shared().write_denials.load(Ordering::Acquire) > 0 {
                return Err(Error::WritesDenied);
            }
            let slot = write.slot;
            let pending = match &write.put {
                Some(Encoded { bytes, value }) => {
                    let (bytes, value) = (bytes.clone(), AnyValue::clone(value));
                    Pending::Put(Put { slot, bytes, value, lease })
                }
                None => Pending::Delete,
            };
            txn.write(slot, write.key.clone(), pending);
            Ok(())
        })
    }

    /// The lease of a key, as this transaction sees it; none if the key is absent. Adds no guard:
    /// only whoever goes on to write the key may rely on it.
    pub(crate) fn lease_of(&self, key: &Key) -> Option<LeaseId> {
        match self.writes.get(key) {
            Some(Pending::Put(put)) => Some(put.lease),
            Some(Pending::Delete) => None,
            None => self.base.map.get(key.as_bytes()).map(|entry| entry.meta.lease),
        }
    }

    /// What is pending, each with its lease.
    pub(crate) fn prepared(&self) -> Vec<(Prepared, LeaseId)> {
        let writes = self.writes.iter().map(|(key, pending)| {
            let key = key.clone();
            match pending {
                Pending::Put(put) => {
                    let (bytes, value) = (put.bytes.clone(), AnyValue::clone(&put.value));
                    let encoded = Some(Encoded { bytes, value });
                    (Prepared { key, slot: put.slot, put: encoded }, put.lease)
                }
                Pending::Delete => {
                    let slot = self.base.schema.slot_of(key.as_bytes());
                    (Prepared { key, slot, put: None }, LeaseId::NONE)
                }
            }
        });
        writes.collect()
    }
}

/// What one transaction of prepared writes has room for: an estimate on the safe side, without what
/// a commit adds of itself for the sake of the collections that are written. Should that be too
/// much, the commit is refused before it is sent, and half as many writes may fit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    writes: usize,
    bytes: usize,
    is_empty: bool,
}

impl Room {
    /// The room of an empty transaction, for at most `writes` of them.
    pub(crate) fn new(shared: &Shared, writes: usize) -> Self {
        /// For what frames the request, and the commit marker without its place.
        const RESERVE: usize = 256;
        let store = shared.backend.capabilities();
        let markers = shared.markers.as_ref();
        let most = store.max_txn_ops.saturating_sub(usize::from(markers.is_some()));
        let reserve = RESERVE + markers.map_or(0, |markers| 4 * markers.place_len());
        let bytes = store.max_request_bytes.saturating_sub(reserve);
        Self { writes: writes.min(most).max(1), bytes, is_empty: true }
    }

    /// Takes room for a write, if there is. The first always fits: if it does not, the commit says
    /// so, with the numbers.
    pub(crate) fn take(&mut self, write: &Prepared) -> bool {
        let bytes = write.request_bytes();
        if !self.is_empty && (self.writes == 0 || bytes > self.bytes) {
            return false;
        }
        self.is_empty = false;
        self.writes = self.writes.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
        true
    }
}

/// Whether a transaction was refused as too large: by the check before sending, or by a store whose
/// limits are lower than it says.
pub(crate) fn is_too_large(error: &Error) -> bool {
    use crate::backend::BackendErrorKind::{RequestTooLarge, TooManyOps};
    match error {
        Error::LimitExceeded { .. } => true,
        Error::Backend { source, .. } => matches!(source.kind(), RequestTooLarge | TooManyOps),
        _ => false,
    }
}
