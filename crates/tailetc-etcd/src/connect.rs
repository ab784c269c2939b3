//! Finding out who answers, and what can be relied on.

use std::sync::Arc;

use tailetc_core::backend::{BackendError, BackendErrorKind, Status};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::EtcdOptions;
use crate::convert;
use crate::error::from_client;
use crate::member::{Member, Purpose};
use crate::members::Members;
use crate::version::Reliable;

/// Asks every endpoint for its status, all at once. Returns the endpoints and what every one of
/// them can be relied on for.
pub(crate) async fn connect(options: &EtcdOptions) -> Result<(Members, Reliable), BackendError> {
    let mut members = Vec::with_capacity(options.endpoints.len());
    for endpoint in &options.endpoints {
        members.push(Arc::new(Box::pin(Member::new(endpoint, options)).await?));
    }
    let answers = ask_all(&members, options).await;
    let Some(preferred) = answers.iter().position(Result::is_ok) else {
        return Err(nobody_answers(&members, answers));
    };
    same_cluster(&members, &answers)?;
    for (member, answer) in members.iter().zip(&answers) {
        if let Err(error) = answer {
            let endpoint = member.url();
            tracing::warn!(endpoint, %error, "etcd endpoint does not answer");
        }
    }
    let each = answers.iter().map(|answer| match answer {
        Ok(Answer::Status(status)) => Reliable::of(&status.version),
        Ok(Answer::Denied) => Reliable::EVERYTHING,
        Err(_) => Reliable::NOTHING,
    });
    let reliable = each.fold(Reliable::EVERYTHING, Reliable::and);
    let members = Members::new(members, preferred, options.request_timeout);
    Ok((members, reliable))
}

/// What a member that answers says of itself.
enum Answer {
    Status(Status),
    /// The user may not know.
    Denied,
}

async fn ask_all(
    members: &[Arc<Member>],
    options: &EtcdOptions,
) -> Vec<Result<Answer, BackendError>> {
    let mut tasks = JoinSet::new();
    for (index, member) in members.iter().cloned().enumerate() {
        let limit = options.connect_timeout;
        tasks.spawn(async move {
            let answer = timeout(limit, ask(&member)).await.unwrap_or_else(|_| {
                let message = format!("no answer within {limit:?}");
                Err(BackendError::new(BackendErrorKind::Unreachable, message))
            });
            (index, answer)
        });
    }
    let mut answers: Vec<_> = tasks.join_all().await;
    answers.sort_by_key(|(index, _)| *index);
    answers.into_iter().map(|(_, answer)| answer).collect()
}

async fn ask(member: &Member) -> Result<Answer, BackendError> {
    let send = || async {
        let response = member.maintenance().status().await.map_err(from_client)?;
        Ok(Answer::Status(convert::status(response.0)))
    };
    let answer = member.request(Purpose::Request, send).await;
    match answer {
        Err(error) if error.kind() == BackendErrorKind::PermissionDenied => Ok(Answer::Denied),
        answer => answer,
    }
}

/// The failure of all endpoints. A refusal is worth more than a silence: it says what to mend.
fn nobody_answers(
    members: &[Arc<Member>],
    answers: Vec<Result<Answer, BackendError>>,
) -> BackendError {
    if members.is_empty() {
        return BackendError::new(BackendErrorKind::InvalidRequest, "no etcd endpoint is given");
    }
    let errors: Vec<_> = answers.into_iter().filter_map(Result::err).collect();
    let each: Vec<_> = members
        .iter()
        .zip(&errors)
        .map(|(member, error)| format!("{} ({error})", member.url()))
        .collect();
    let message = format!("no etcd server answers: {}", each.join(", "));
    let kind = errors
        .iter()
        .map(BackendError::kind)
        .find(|kind| !kind.is_transient() || *kind == BackendErrorKind::Unauthenticated)
        .unwrap_or(BackendErrorKind::Unreachable);
    let error = BackendError::new(kind, message);
    match errors.into_iter().find(|error| error.kind() == kind) {
        Some(source) => error.with_source(source),
        None => error,
    }
}

/// Endpoints of different clusters would make one store of two.
fn same_cluster(
    members: &[Arc<Member>],
    answers: &[Result<Answer, BackendError>],
) -> Result<(), BackendError> {
    let mut first = None;
    for (member, answer) in members.iter().zip(answers) {
        let Ok(Answer::Status(status)) = answer else {
            continue;
        };
        let cluster_id = status.header.cluster_id;
        let (url, expected) = *first.get_or_insert_with(|| (member.url(), cluster_id));
        if cluster_id != expected {
            return Err(BackendError::new(
                BackendErrorKind::InvalidRequest,
                format!("{url} and {} are different etcd clusters", member.url()),
            ));
        }
    }
    Ok(())
}
