//! One endpoint: its connections.

use std::fmt;
use std::future::Future;

use etcd_client::{KvClient, LeaseClient, MaintenanceClient, WatchClient};
use tailetc_core::LeaseId;
use tailetc_core::backend::{BackendError, BackendErrorKind, Lease};

use crate::EtcdOptions;
use crate::connection::Connection;
use crate::lease::Renewals;
use crate::options::redacted;

/// What is sent, which decides over which connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    Request,
    /// A consumer that does not read its watch fills the window of the connection, or makes the
    /// transport end it, so that nothing else gets through.
    Watch,
    /// Their streams stay open, and a proxy may allow but some on one connection.
    Renewal,
}

impl Purpose {
    /// Whether a failure may be that of an old token. etcd 3.5.1 says "permission denied" to a
    /// watch with a token that it does not know, where others say "invalid auth token".
    fn may_be_the_token(self) -> fn(BackendErrorKind) -> bool {
        use BackendErrorKind::{PermissionDenied, Unauthenticated};
        match self {
            Self::Request | Self::Renewal => |kind| kind == Unauthenticated,
            Self::Watch => |kind| matches!(kind, Unauthenticated | PermissionDenied),
        }
    }
}

pub(crate) struct Member {
    url: String,
    requests: Connection,
    watches: Connection,
    renewing: Connection,
    kv: KvClient,
    watch: WatchClient,
    renewals: Renewals,
}

impl Member {
    /// Prepares the connections, which are made with the first request over each.
    pub(crate) async fn new(endpoint: &str, options: &EtcdOptions) -> Result<Self, BackendError> {
        let url = url(endpoint, options)?;
        let requests = Connection::new(&url, options).await?;
        let watches = Connection::new(&url, options).await?;
        let renewing = Connection::new(&url, options).await?;
        let limit = options.max_message_bytes;
        Ok(Self {
            kv: requests.client().kv_client().max_decoding_message_size(limit),
            watch: watches.client().watch_client().max_decoding_message_size(limit),
            requests,
            watches,
            renewing,
            renewals: Renewals::default(),
            url,
        })
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn kv(&self) -> KvClient {
        self.kv.clone()
    }

    pub(crate) fn watch(&self) -> WatchClient {
        self.watch.clone()
    }

    pub(crate) fn lease(&self) -> LeaseClient {
        self.requests.client().lease_client()
    }

    /// Renews a lease once; none if there is none.
    pub(crate) async fn renew(&self, id: LeaseId) -> Result<Option<Lease>, BackendError> {
        self.renewals.renew(self.renewing.client().lease_client(), id).await
    }

    /// Takes note that a lease is to end.
    pub(crate) fn will_not_renew(&self, id: LeaseId) {
        self.renewals.forget(id);
    }

    pub(crate) fn maintenance(&self) -> MaintenanceClient {
        self.requests.client().maintenance_client()
    }

    /// Sends something with a token; once more with a new one if the failure may be the token's.
    pub(crate) async fn request<T, F>(
        &self,
        purpose: Purpose,
        send: impl FnMut() -> F,
    ) -> Result<T, BackendError>
    where
        F: Future<Output = Result<T, BackendError>>,
    {
        let connection = match purpose {
            Purpose::Request => &self.requests,
            Purpose::Watch => &self.watches,
            Purpose::Renewal => &self.renewing,
        };
        connection.request(send, purpose.may_be_the_token()).await
    }
}

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Member").field("url", &self.url).finish_non_exhaustive()
    }
}

fn url(endpoint: &str, options: &EtcdOptions) -> Result<String, BackendError> {
    let invalid = |why: &str| {
        let endpoint = redacted(endpoint);
        let message = format!("endpoint {endpoint:?}: {why}");
        Err(BackendError::new(BackendErrorKind::InvalidRequest, message))
    };
    if endpoint.contains('@') {
        return invalid("name and password belong in EtcdOptions::with_user");
    }
    match endpoint.split_once("://") {
        Some(("http" | "https", _)) => Ok(endpoint.to_owned()),
        Some(_) => invalid("the scheme must be http or https"),
        None if wants_tls(options) => Ok(format!("https://{endpoint}")),
        None => Ok(format!("http://{endpoint}")),
    }
}

#[cfg(feature = "tls")]
fn wants_tls(options: &EtcdOptions) -> bool {
    options.tls.is_some()
}

#[cfg(not(feature = "tls"))]
fn wants_tls(_: &EtcdOptions) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoint_without_a_scheme_is_http() {
        let options = EtcdOptions::default();
        let url = |endpoint| url(endpoint, &options);
        assert_eq!(url("localhost:2379").unwrap(), "http://localhost:2379");
        assert_eq!(url("https://a:1").unwrap(), "https://a:1");
    }

    #[test]
    fn endpoint_with_a_password_is_refused_without_repeating_it() {
        let error = url("http://root:secret@a:1", &EtcdOptions::default()).unwrap_err();
        assert_eq!(error.kind(), BackendErrorKind::InvalidRequest);
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}
