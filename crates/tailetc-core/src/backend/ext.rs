//! Conveniences over [`KvBackend`].

use async_trait::async_trait;
use bytes::Bytes;

use crate::Revision;
use crate::backend::{
    BackendError, BackendErrorKind, DeleteRequest, KeyRange, KeyValue, KvBackend, PutRequest,
    RangeRequest, TxnOpResponse, TxnRequest,
};

/// Single reads and writes for callers of a [`KvBackend`]; implemented for every backend.
#[async_trait]
pub trait KvBackendExt: KvBackend {
    /// Reads one key, linearizable.
    ///
    /// # Errors
    ///
    /// Those of [`KvBackend::range`].
    async fn get(&self, key: Bytes) -> Result<Option<KeyValue>, BackendError> {
        let mut response = self.range(RangeRequest::new(KeyRange::key(key))).await?;
        Ok(response.kvs.pop())
    }

    /// Writes one key and returns the revision of the write.
    ///
    /// # Errors
    ///
    /// Those of [`KvBackend::txn`].
    async fn put(&self, put: PutRequest) -> Result<Revision, BackendError> {
        Ok(self.txn(TxnRequest::new([put.into()])).await?.header.revision)
    }

    /// Deletes keys and returns how many there were, with the store's revision afterwards.
    ///
    /// # Errors
    ///
    /// Those of [`KvBackend::txn`].
    async fn delete(&self, range: KeyRange) -> Result<(i64, Revision), BackendError> {
        let response = self.txn(TxnRequest::new([DeleteRequest::new(range).into()])).await?;
        match response.responses.first() {
            Some(TxnOpResponse::Delete(delete)) => Ok((delete.deleted, response.header.revision)),
            _ => Err(BackendError::new(
                BackendErrorKind::Unknown,
                "the answer to a deletion holds no count",
            )),
        }
    }
}

impl<B: KvBackend + ?Sized> KvBackendExt for B {}
