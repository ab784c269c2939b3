//! Requests and what comes back.

use etcd_client::proto::{
    PbCompactionRequest, PbCompactionResponse, PbDeleteRequest, PbDeleteResponse, PbHashKvRequest,
    PbHashKvResponse, PbLeaseGrantRequest, PbLeaseGrantResponse, PbLeaseKeepAliveRequest,
    PbLeaseKeepAliveResponse, PbLeaseLeasesRequest, PbLeaseLeasesResponse, PbLeaseRevokeRequest,
    PbLeaseRevokeResponse, PbLeaseTimeToLiveRequest, PbLeaseTimeToLiveResponse, PbPutRequest,
    PbPutResponse, PbRangeRequest, PbRangeResponse, PbResponseHeader, PbStatusRequest,
    PbStatusResponse, PbTxnRequest, PbTxnResponse,
};

/// A request, other than those of watches.
#[derive(Clone, Debug)]
pub(crate) enum Call {
    Put(PbPutRequest),
    Range(PbRangeRequest),
    Delete(PbDeleteRequest),
    Txn(PbTxnRequest),
    Compact(PbCompactionRequest),
    Grant(PbLeaseGrantRequest),
    Revoke(PbLeaseRevokeRequest),
    KeepAlive(PbLeaseKeepAliveRequest),
    TimeToLive(PbLeaseTimeToLiveRequest),
    Leases(PbLeaseLeasesRequest),
    HashKv(PbHashKvRequest),
    Status(PbStatusRequest),
}

/// The response to a [`Call`].
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Answer {
    Put(PbPutResponse),
    Range(PbRangeResponse),
    Delete(PbDeleteResponse),
    Txn(PbTxnResponse),
    Compact(PbCompactionResponse),
    Grant(PbLeaseGrantResponse),
    Revoke(PbLeaseRevokeResponse),
    /// `None` when the stream ended without a response.
    KeepAlive(Option<PbLeaseKeepAliveResponse>),
    TimeToLive(PbLeaseTimeToLiveResponse),
    Leases(PbLeaseLeasesResponse),
    HashKv(PbHashKvResponse),
    Status(PbStatusResponse),
}

/// The error in place of an [`Answer`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) code: tonic::Code,
    pub(crate) text: String,
}

impl From<tonic::Status> for Refusal {
    fn from(status: tonic::Status) -> Self {
        Self { code: status.code(), text: status.message().to_owned() }
    }
}

impl Call {
    /// Whether it may change keys or leave them changed by others.
    pub(crate) fn is_write(&self) -> bool {
        matches!(self, Self::Put(_) | Self::Delete(_) | Self::Txn(_) | Self::Revoke(_))
    }
}

impl Answer {
    /// The outermost header.
    pub(crate) fn header(&self) -> Option<&PbResponseHeader> {
        match self {
            Self::Put(answer) => answer.header.as_ref(),
            Self::Range(answer) => answer.header.as_ref(),
            Self::Delete(answer) => answer.header.as_ref(),
            Self::Txn(answer) => answer.header.as_ref(),
            Self::Compact(answer) => answer.header.as_ref(),
            Self::Grant(answer) => answer.header.as_ref(),
            Self::Revoke(answer) => answer.header.as_ref(),
            Self::KeepAlive(answer) => answer.as_ref().and_then(|answer| answer.header.as_ref()),
            Self::TimeToLive(answer) => answer.header.as_ref(),
            Self::Leases(answer) => answer.header.as_ref(),
            Self::HashKv(answer) => answer.header.as_ref(),
            Self::Status(answer) => answer.header.as_ref(),
        }
    }

    /// The same, to change it.
    pub(crate) fn header_mut(&mut self) -> Option<&mut PbResponseHeader> {
        match self {
            Self::Put(answer) => answer.header.as_mut(),
            Self::Range(answer) => answer.header.as_mut(),
            Self::Delete(answer) => answer.header.as_mut(),
            Self::Txn(answer) => answer.header.as_mut(),
            Self::Compact(answer) => answer.header.as_mut(),
            Self::Grant(answer) => answer.header.as_mut(),
            Self::Revoke(answer) => answer.header.as_mut(),
            Self::KeepAlive(answer) => answer.as_mut().and_then(|answer| answer.header.as_mut()),
            Self::TimeToLive(answer) => answer.header.as_mut(),
            Self::Leases(answer) => answer.header.as_mut(),
            Self::HashKv(answer) => answer.header.as_mut(),
            Self::Status(answer) => answer.header.as_mut(),
        }
    }
}
