//! The endpoints of a cluster: which one gets a request, and what happens when it fails.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tailetc_core::backend::{BackendError, BackendErrorKind};
use tokio::time::timeout;

use crate::member::{Member, Purpose};

#[derive(Debug)]
pub(crate) struct Members {
    members: Vec<Arc<Member>>,
    /// The index of the member that gets the next request.
    preferred: AtomicUsize,
    request_timeout: Duration,
}

impl Members {
    /// At least one member; `preferred` is the index of one.
    pub(crate) fn new(
        members: Vec<Arc<Member>>,
        preferred: usize,
        request_timeout: Duration,
    ) -> Self {
        Self { members, preferred: AtomicUsize::new(preferred), request_timeout }
    }

    pub(crate) fn request_timeout(&self) -> Duration {
        self.request_timeout
    }

    /// Sends a request to the preferred member, and to the next ones for as long as it cannot be
    /// sent. The outcome of anything that was sent is final.
    pub(crate) async fn call<T, F>(
        &self,
        purpose: Purpose,
        send: impl FnMut(Arc<Member>) -> F,
    ) -> Result<T, BackendError>
    where
        F: Future<Output = Result<T, BackendError>>,
    {
        let asked = AtomicUsize::new(self.preferred());
        let calls = self.try_members(purpose, &asked, send);
        match timeout(self.request_timeout, calls).await {
            Ok(result) => result,
            Err(_) => {
                let asked = asked.into_inner();
                self.leave(asked);
                Err(BackendError::new(
                    BackendErrorKind::Timeout,
                    format!(
                        "{} did not answer within {:?}",
                        self.members[asked].url(),
                        self.request_timeout
                    ),
                ))
            }
        }
    }

    async fn try_members<T, F>(
        &self,
        purpose: Purpose,
        asked: &AtomicUsize,
        mut send: impl FnMut(Arc<Member>) -> F,
    ) -> Result<T, BackendError>
    where
        F: Future<Output = Result<T, BackendError>>,
    {
        // An only member is asked twice: the failure to connect may be an old one, of a request
        // that was given up before.
        let mut attempts = self.members.len().max(2);
        loop {
            let index = self.preferred();
            asked.store(index, Ordering::Relaxed);
            let member = &self.members[index];
            let result = member.request(purpose, || send(Arc::clone(member))).await;
            let Err(error) = result else {
                return result;
            };
            let never_sent = match error.kind() {
                BackendErrorKind::Unreachable => true,
                // What breaks, or says nothing of the request, may do so for ever.
                kind if kind.is_outcome_unknown() => false,
                _ => return Err(error),
            };
            self.leave(index);
            attempts -= 1;
            if !never_sent {
                return Err(error);
            }
            if attempts == 0 {
                return Err(self.unreachable(error));
            }
        }
    }

    fn preferred(&self) -> usize {
        self.preferred.load(Ordering::Relaxed)
    }

    /// Prefers the member after `index`, unless somebody else has already left it.
    fn leave(&self, index: usize) {
        let next = (index + 1) % self.members.len();
        if next != index
            && self
                .preferred
                .compare_exchange(index, next, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
        {
            tracing::debug!(
                from = self.members[index].url(),
                to = self.members[next].url(),
                "changing the etcd endpoint"
            );
        }
    }

    fn unreachable(&self, last: BackendError) -> BackendError {
        let urls: Vec<_> = self.members.iter().map(|member| member.url()).collect();
        BackendError::new(
            BackendErrorKind::Unreachable,
            format!("no connection to {}: {last}", urls.join(", ")),
        )
        .with_source(last)
    }
}
