//! The types of the backend trait to those of `etcd-client`, and back.

mod request;
mod response;

pub(crate) use self::request::{range, txn, watch};
pub(crate) use self::response::{
    compaction, events, header, lease_grant, lease_keep_alive, lease_time_to_live, range_response,
    status, txn_response,
};
