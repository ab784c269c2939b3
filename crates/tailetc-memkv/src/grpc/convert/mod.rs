//! Between etcd's messages and the store's.

mod compare;
mod event;
mod range;
mod response;
mod write;

pub(super) use self::event::{watch_request, watch_response};
pub(super) use self::range::range;
pub(super) use self::response::{
    delete_response, header, key_value, put_response, range_response, txn_response,
};
pub(super) use self::write::{delete, put, txn};
