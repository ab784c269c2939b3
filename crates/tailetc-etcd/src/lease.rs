//! Renewing a lease once.

use etcd_client::Error;
use tailetc_core::LeaseId;
use tailetc_core::backend::{BackendError, BackendErrorKind, Lease};

use crate::convert;
use crate::error::from_client;
use crate::member::Member;

/// Opens a keep-alive stream, renews, and closes it.
pub(crate) async fn keep_alive(
    member: &Member,
    id: LeaseId,
) -> Result<Option<Lease>, BackendError> {
    // The client makes a first exchange itself, and keeps the answer unless it is a failure.
    let (mut keeper, mut answers) = match member.lease().keep_alive(id.get()).await {
        Err(Error::LeaseKeepAliveError(text)) if text == "lease not found" => return Ok(None),
        result => result.map_err(from_client)?,
    };
    keeper.keep_alive().await.map_err(from_client)?;
    match answers.message().await.map_err(from_client)? {
        Some(answer) => Ok(convert::lease_keep_alive(&answer)),
        None => Err(BackendError::new(
            BackendErrorKind::Unavailable,
            "the server closed the keep-alive stream",
        )),
    }
}
