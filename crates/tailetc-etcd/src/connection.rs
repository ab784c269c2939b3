//! One connection to one endpoint, and the token that it shows.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use etcd_client::{Client, ConnectOptions, Error};
use tailetc_core::backend::{BackendError, BackendErrorKind};
use tokio::sync::OnceCell;

use crate::EtcdOptions;
use crate::error::from_client;

/// Whether the token of one attempt has been fetched. An attempt whose token is refused is replaced
/// by a new one, once, however many requests find out at the same time.
type Login = Arc<OnceCell<()>>;

pub(crate) struct Connection {
    client: Client,
    user: Option<(String, String)>,
    login: Mutex<Login>,
}

impl Connection {
    /// Prepares a connection, which is made with the first request.
    pub(crate) async fn new(url: &str, options: &EtcdOptions) -> Result<Self, BackendError> {
        // HTTP/2 pings only while something is open: a server ends a connection on which nothing is
        // after the third ping (etcd: `server/embed/etcd.go`, no `PermitWithoutStream`), and the
        // requests that come to it with it. What is idle is kept by TCP.
        let mut connect = ConnectOptions::new()
            .with_keep_alive(options.keep_alive_interval, options.keep_alive_timeout)
            .with_keep_alive_while_idle(false)
            .with_tcp_keepalive(options.keep_alive_interval)
            .with_connect_timeout(options.connect_timeout.min(options.request_timeout / 2))
            .with_require_leader(options.require_leader);
        if url.starts_with("https://") {
            connect = with_tls(connect, options)?;
        }
        // Without a user, which `log_in` sets later, this does not use the network.
        let client = Box::pin(Client::connect([url], Some(connect))).await.map_err(|error| {
            let kind = BackendErrorKind::InvalidRequest;
            BackendError::new(kind, format!("endpoint {url}: {error}")).with_source(error)
        })?;
        Ok(Self { client, user: options.user.clone(), login: Mutex::default() })
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
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
