//! Single writes, which etcd takes in requests of their own
//! (etcd: `server/etcdserver/txn/put.go`, `delete.go`).

use tailetc_core::backend::{
    BackendError, DeleteRequest, DeleteResponse, Header, PutRequest, PutResponse,
};

use super::Store;
use super::quota::Cost;
use super::write::Write;
use crate::{errors, rules};

impl Store {
    /// Writes a key. `request_len` is the length of the protobuf message.
    pub(crate) fn put(
        &mut self,
        put: &PutRequest,
        request_len: usize,
    ) -> Result<(Header, PutResponse), BackendError> {
        let cost = Cost::of_put(put);
        self.check_quota(cost)?;
        rules::check_put(put)?;
        self.propose(request_len)?;
        self.check_alarm(cost)?;
        self.check_lease(put)?;
        self.check_kept(put)?;
        let mut write = Write::begin(self);
        let response = write.run_put(put);
        write.commit();
        Ok((self.header(), response))
    }

    /// Deletes keys. `request_len` is the length of the protobuf message.
    pub(crate) fn delete_range(
        &mut self,
        delete: &DeleteRequest,
        request_len: usize,
    ) -> Result<(Header, DeleteResponse), BackendError> {
        rules::check_key(&delete.range)?;
        self.propose(request_len)?;
        let mut write = Write::begin(self);
        let response = write.run_delete(delete);
        write.commit();
        Ok((self.header(), response))
    }

    pub(super) fn check_lease(&self, put: &PutRequest) -> Result<(), BackendError> {
        if !put.lease.is_none() && !self.leases.contains(put.lease) {
            return Err(errors::lease_not_found());
        }
        Ok(())
    }

    /// What a put keeps must be there.
    pub(super) fn check_kept(&self, put: &PutRequest) -> Result<(), BackendError> {
        if keeps(put) && self.keys.get(&put.key).is_none() {
            return Err(errors::key_not_found());
        }
        Ok(())
    }
}

pub(super) fn keeps(put: &PutRequest) -> bool {
    put.ignore_value || put.ignore_lease
}
