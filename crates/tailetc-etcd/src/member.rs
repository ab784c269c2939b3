//! One endpoint: its connection, and the token that it accepts.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use etcd_client::{
    Client, ConnectOptions, Error, KvClient, LeaseClient, MaintenanceClient, WatchClient,
};
use tailetc_core::backend::{BackendError, BackendErrorKind};
use tokio::sync::OnceCell;

use crate::EtcdOptions;
use crate::error::from_client;
use crate::options::redacted;

/// Whether the token of one attempt has been fetched. An attempt whose token is refused is replaced
/// by a new one, once, however many requests find out at the same time.
type Login = Arc<OnceCell<()>>;

pub(crate) struct Member {
    url: String,
    client: Client,
    kv: KvClient,
    watch: WatchClient,
    user: Option<(String, String)>,
    login: Mutex<Login>,
}

impl Member {
    /// Prepares a connection, which is made with the first request.
    pub(crate) async fn new(endpoint: &str, options: &EtcdOptions) -> Result<Self, BackendError> {
        let url = url(endpoint, options)?;
        let mut connect = ConnectOptions::new()
            .with_keep_alive(options.keep_alive_interval, options.keep_alive_timeout)
            .with_keep_alive_while_idle(true)
            .with_connect_timeout(options.connect_timeout.min(options.request_timeout / 2))
            .with_require_leader(options.require_leader);
        if url.starts_with("https://") {
            connect = with_tls(connect, options)?;
        }
        // Without a user, which `login` sets later, this does not use the network.
        let client = Client::connect([&url], Some(connect)).await.map_err(|error| {
            let kind = BackendErrorKind::InvalidRequest;
            BackendError::new(kind, format!("endpoint {url}: {error}")).with_source(error)
        })?;
        let limit = options.max_message_bytes;
        Ok(Self {
            kv: client.kv_client().max_decoding_message_size(limit),
            watch: client.watch_client().max_decoding_message_size(limit),
            client,
            url,
            user: options.user.clone(),
            login: Mutex::default(),
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
        self.client.lease_client()
    }

    pub(crate) fn maintenance(&self) -> MaintenanceClient {
        self.client.maintenance_client()
    }

    /// Sends a request with a token; once more with a new one if the failure may be the token's.
    pub(crate) async fn request<T, F>(
        &self,
        mut send: impl FnMut() -> F,
        may_be_the_token: fn(BackendErrorKind) -> bool,
    ) -> Result<T, BackendError>
    where
        F: Future<Output = Result<T, BackendError>>,
    {
        let Some(user) = &self.user else {
            return send().await;
        };
        let login = self.log_in(user).await?;
        let result = send().await;
        match result {
            Err(error) if may_be_the_token(error.kind()) => {
                self.forget(&login);
                self.log_in(user).await?;
                send().await
            }
            result => result,
        }
    }

    async fn log_in(&self, (name, password): &(String, String)) -> Result<Login, BackendError> {
        let login = Arc::clone(&self.login.lock().unwrap_or_else(PoisonError::into_inner));
        login
            .get_or_try_init(|| async {
                let mut client = self.client.clone();
                let user = Some((name.clone(), password.clone()));
                match client.update_user(user).await {
                    Err(error) if !is_auth_disabled(&error) => Err(login_failed(error)),
                    _ => Ok(()),
                }
            })
            .await?;
        Ok(login)
    }

    fn forget(&self, login: &Login) {
        let mut current = self.login.lock().unwrap_or_else(PoisonError::into_inner);
        if Arc::ptr_eq(&current, login) {
            *current = Login::default();
        }
    }
}

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Member").field("url", &self.url).finish_non_exhaustive()
    }
}

/// What authentication fails with must not look like the outcome of the request, which has not
/// been sent.
fn login_failed(error: Error) -> BackendError {
    let error = from_client(error);
    if error.kind().is_outcome_unknown() {
        let message = format!("no token: {error}");
        return BackendError::new(BackendErrorKind::Unreachable, message).with_source(error);
    }
    error
}

fn is_auth_disabled(error: &Error) -> bool {
    matches!(error, Error::GRpcStatus(status)
        if status.message().contains("authentication is not enabled"))
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

#[cfg(feature = "tls")]
#[expect(clippy::unnecessary_wraps, reason = "without the feature it is an error")]
fn with_tls(
    connect: ConnectOptions,
    options: &EtcdOptions,
) -> Result<ConnectOptions, BackendError> {
    let tls = options.tls.clone().unwrap_or_default();
    Ok(connect.with_tls(tls.to_client()))
}

#[cfg(not(feature = "tls"))]
fn with_tls(_: ConnectOptions, _: &EtcdOptions) -> Result<ConnectOptions, BackendError> {
    Err(BackendError::new(
        BackendErrorKind::Unsupported,
        "an https endpoint needs the feature `tls`",
    ))
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
